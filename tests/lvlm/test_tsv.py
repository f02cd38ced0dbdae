"""The released TSV form: in, out, and everything that can be wrong with a file."""

from __future__ import annotations

import base64
import csv
import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import load_dataset
from helpers.tiny_folder import write_folder
from PIL import Image

import soco_datasets  # noqa: F401 - teaches `datasets` the name soco
from soco_datasets.benchmarks.info import describe_folder
from soco_datasets.cli import main
from soco_datasets.data.folder import open_folder
from soco_datasets.data.questions.generation import LETTERS
from soco_datasets.data.questions.prompts import load_template
from soco_datasets.errors import DataNotFoundError, ReleaseError, UsageError
from soco_datasets.lvlm.baselines import RANDOM, guess
from soco_datasets.lvlm.circular_scores import Answer, score_answers
from soco_datasets.lvlm.question_rows import read_rows
from soco_datasets.lvlm.tsv import COLUMNS, FILE_NAMES
from soco_datasets.lvlm.tsv_files import export_tsv, import_tsv

Cells = list[dict[str, str]]
csv.field_size_limit(2**27)


def picture(color: int, size: int = 30) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (color % 256, color // 256, 0)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def cells(groups: int = 2) -> Cells:
    """Rows as the released files have them: a group's source once, a target for every ordering."""
    return [
        {
            "index": str(4 * group + k),
            "question": f"Which point\tis it,\n\"here\" or 'there'? {group} é",
            "image": repr([picture(group), picture(100 + 4 * group + k)]),
            "image_path": repr([f"{group}_s.jpg", f"{group}_{k}.jpg"]),
            "answer": LETTERS[(k + group) % 4],
            "g_index": str(group),
            "qid": f"q{group}",
            "category": "arctic fox" if group % 2 else "bus",
            **{letter: f"Point {letter} " for letter in LETTERS},
        }
        for group in range(groups)
        for k in range(4)
    ]


def write(path: Path, rows: Cells) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(path: Path) -> Cells:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_import_then_export_gives_the_same_rows(tmp_path: Path) -> None:
    given = cells(3)
    for row in given[4:8]:
        row["image"] = picture(77 + int(row["index"]))  # one picture
        row["image_path"] = "one.jpg"
    path = write(tmp_path / FILE_NAMES["vis"], given)
    manifest = import_tsv([path], tmp_path / "folder")
    folder = open_folder(tmp_path / "folder")
    folder.verify()
    assert manifest["counts"]["rows"] == {"images": {"test": 2 + 12}, "lvlm": {"vis": 12}}
    assert manifest["lvlm"]["questions"] == 3
    (out,) = export_tsv(folder, tmp_path / "out")
    assert out.read_bytes() == path.read_bytes()
    assert read(out) == given


def test_export_then_import_gives_the_same_questions(tmp_path: Path) -> None:
    folder = open_folder(write_folder(tmp_path / "tiny"))
    assert main(["lvlm", "export", "--data", str(folder.path), "--setting", "desc", "--out", str(tmp_path)]) == 0
    path = tmp_path / FILE_NAMES["desc"]
    assert main(["lvlm", "import", str(path), "--out", str(tmp_path / "back")]) == 0
    before, after = read_rows(folder, "desc"), read_rows(open_folder(tmp_path / "back"), "desc")
    told = (
        "index",
        "question_id",
        "ordering",
        "setting",
        "category",
        "supercategory",
        "question",
        "options",
        "answer",
    )
    assert [{name: row[name] for name in told} for row in before] == [
        {name: row[name] for name in told} for row in after
    ]
    assert all(row["g_index"] == str(int(row["index"]) // 4 * 4) for row in after)
    heads = [row for row in read(path) if row["index"] == row["g_index"]]  # how VLMEvalKit finds the questions
    assert len(heads) == len(before) // 4
    loaded = load_dataset("soco", "lvlm", split="desc", data_dir=str(tmp_path / "back"))
    assert loaded[3]["source_image"] is None
    drawn = load_dataset("soco", "lvlm", split="desc", data_dir=str(folder.path))[3]["target_image"]
    assert loaded[3]["target_image"].size == drawn.size


def test_imported_questions_load_are_asked_and_scored(tmp_path: Path) -> None:
    files = [write(tmp_path / FILE_NAMES[setting], cells()) for setting in ("vis", "desc")]
    import_tsv(files, tmp_path / "folder")
    folder = open_folder(tmp_path / "folder")
    row = load_dataset("soco", "lvlm", split="vis", data_dir=str(folder.path))[5]
    assert row["source_image"].getpixel((0, 0)) == (1, 0, 0)
    assert row["target_image"].getpixel((0, 0)) == (105, 0, 0)
    assert (row["keypoint"], row["candidate_points"], row["supercategory"]) == (None, None, "animals")
    assert re.search(r"pictures +\d+\n +vis +8\n +desc +8", describe_folder(folder))
    rows = [*read_rows(folder, "vis"), *read_rows(folder, "desc")]
    prompt = load_template().render(rows[0])
    assert "Which point" in prompt.text
    assert len(prompt.images) == 2
    answers = {(row["setting"], row["index"]): Answer(row["answer"]) for row in rows}
    strict = score_answers(rows, answers, resamples=5)["parsers"]["strict"]
    assert strict["settings"]["vis"]["overall"]["circular"] == 1.0
    assert strict["gaps"]["desc-vis"]["groups"] == 2
    assert len(guess(rows, RANDOM)) == 16


def test_a_short_image_names_the_row_that_has_it(tmp_path: Path) -> None:
    rows = cells(1)
    rows[0]["image"], rows[2]["image"] = "3", "1"  # VLMEvalKit's way of not repeating a picture
    path = write(tmp_path / "my.tsv", rows)
    import_tsv([path], tmp_path / "folder", setting="vis_desc")
    stored = read_rows(open_folder(tmp_path / "folder"), "vis_desc")
    assert stored[0]["target_image_id"] == stored[3]["target_image_id"]
    assert stored[2]["target_image_id"] == stored[1]["target_image_id"]


def changed(**values: str) -> Callable[[Cells], None]:
    return lambda rows: rows[5].update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(image="['" + "A" * 101 + "']"), r"row 6: index 5: broken base64"),
        (changed(image=picture(9)[:-40]), "row 6: index 5: (broken base64|the base64 is not a complete picture)"),
        (
            changed(image=base64.b64encode(b"no picture" * 20).decode()),
            "row 6: index 5: the base64 is not a complete picture",
        ),
        (changed(image=""), "row 6: image is empty"),
        (changed(image="4711"), "row 6: the image '4711' is neither"),
        (changed(image=repr([picture(1)] * 3)), "row 6: index 5: 3 pictures"),
        (changed(image="[" + "x" * 90 + "]"), "row 6: index 5: a list of strings that cannot be read"),
        (changed(answer="E"), "row 6: the answer is 'E'"),
        (changed(answer=""), "row 6: the answer is ''"),
        (changed(index="3"), "row 6: index 3 comes twice"),
        (changed(g_index=""), "row 6: g_index is empty"),
        (changed(answer="B"), "row 6: g_index 1 has the answer B in row 5 already"),
        (changed(category="cat"), "row 6: g_index 1 is another question in row 5"),
        (changed(D="Poi"), "row 6: g_index 1 is another question in row 5"),
        (changed(g_index="0"), "row 6: g_index 0 has the answer C in row 3 already"),
        (lambda rows: rows.pop(6), "row 5: g_index 1 has 3 orderings of 4: none with the answer D"),
        (lambda rows: rows.clear(), "has no row"),
    ],
)
def test_every_bad_row_is_named(tmp_path: Path, change: Callable[[Cells], None], message: str) -> None:
    rows = cells()
    change(rows)
    with pytest.raises(ReleaseError, match=message):
        import_tsv([write(tmp_path / FILE_NAMES["vis"], rows)], tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.93, 0.999])
def test_a_cut_file_is_never_taken_for_a_whole_one(tmp_path: Path, kept: float) -> None:
    path = write(tmp_path / FILE_NAMES["vis"], cells())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ReleaseError, match=r"cut|another question|orderings"):
        import_tsv([path], tmp_path / "folder")


def test_every_cut_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / FILE_NAMES["vis"], cells(1))
    data = path.read_bytes()
    for end in [*range(60, len(data) - 2, 97), *range(len(data) - 60, len(data) - 2)]:
        path.write_bytes(data[:end])
        with pytest.raises((ReleaseError, UsageError)):
            import_tsv([path], tmp_path / "folder")


def test_what_is_no_such_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"none\.tsv"):
        import_tsv([tmp_path / "none.tsv"], tmp_path / "folder", setting="vis")
    (tmp_path / "a.tsv").write_text("index\tquestion\n1\tx\n")
    with pytest.raises(UsageError, match="lacks the column"):
        import_tsv([tmp_path / "a.tsv"], tmp_path / "folder", setting="vis")
    with pytest.raises(UsageError, match="--setting vis, vis_desc or desc"):
        import_tsv([tmp_path / "a.tsv"], tmp_path / "folder")
    with pytest.raises(UsageError, match="'viss'"):
        import_tsv([tmp_path / "a.tsv"], tmp_path / "folder", setting="viss")
    good = write(tmp_path / FILE_NAMES["vis"], cells())
    with pytest.raises(UsageError, match="one of each"):
        import_tsv([good, good], tmp_path / "folder")
    bad = good.read_bytes().replace("é".encode(), b"\xff", 1)
    good.write_bytes(bad)
    with pytest.raises(ReleaseError, match="row 1: question is not UTF-8"):
        import_tsv([good], tmp_path / "folder")
    with pytest.raises(UsageError, match="'viss'"):
        export_tsv(open_folder(write_folder(tmp_path / "tiny")), tmp_path / "out", ["viss"])


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Sixty megabytes more of TSV take less than a quarter of that more memory."""
    script = (
        "import sys; from pathlib import Path; from soco_datasets.lvlm.tsv_files import import_tsv\n"
        "import_tsv([Path(sys.argv[1])], Path(sys.argv[2]), setting='vis')\n"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    noise = Image.effect_noise((380, 380), 90)
    peaks, sizes = [], []
    for groups in (85, 170):
        rows = cells(groups)
        for number, row in enumerate(rows):
            buffer = io.BytesIO()
            noise.transpose(Image.Transpose(number % 7)).point(lambda v, n=number: v ^ (n % 251)).save(
                buffer, "JPEG", quality=95
            )
            row["image"] = base64.b64encode(buffer.getvalue()).decode()
        path = write(tmp_path / f"{groups}.tsv", rows)
        sizes.append(path.stat().st_size)
        command = [sys.executable, "-c", script, str(path), str(tmp_path / str(groups))]
        out = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(out.stdout) * 1024)
    assert sizes[1] - sizes[0] > 60e6
    assert peaks[1] - peaks[0] < (sizes[1] - sizes[0]) / 4


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"\n <!DOCTYPE html><html></html>", "HTML page"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        ("index\tquestion".encode("utf-16"), "UTF-16"),
        (",".join(COLUMNS).encode() + b"\n1,2\n", "separated by commas"),
    ],
)
def test_a_file_that_is_something_else_is_named_once(tmp_path: Path, content: bytes, named: str) -> None:
    path = tmp_path / FILE_NAMES["vis"]
    path.write_bytes(content)
    with pytest.raises(UsageError, match=named) as raised:
        import_tsv([path], tmp_path / "folder")
    assert str(raised.value).count(str(path)) == 1
    assert not (tmp_path / "folder").exists()


def test_a_row_that_lost_a_picture_or_has_nul_bytes_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    given = cells(2)
    given[5]["image"] = picture(9)
    with pytest.raises(ReleaseError, match=r"row 6.*g_index 1 has 1 picture here and 2"):
        import_tsv([write(tmp_path / FILE_NAMES["vis"], given)], tmp_path / "folder")
    given = cells(2)
    given[2]["question"] = "Which\0?"
    with pytest.raises(ReleaseError, match=r"row 3.*question contains NUL"):
        import_tsv([write(tmp_path / FILE_NAMES["vis"], given)], tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_small_answers_and_data_urls_are_read(tmp_path: Path) -> None:
    given = cells(1)
    for row in given:
        row["answer"] = row["answer"].lower()
        row["image"] = "data:image/png;base64," + picture(int(row["index"]))
    import_tsv([write(tmp_path / FILE_NAMES["vis"], given)], tmp_path / "folder")
    rows = read_rows(open_folder(tmp_path / "folder"), "vis")
    assert [row["answer"] for row in rows] == list(LETTERS)
