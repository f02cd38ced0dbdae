"""What a record says of its data is what was read: a byte changed in a shard stops an evaluation, whatever it is of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers.small_release import make_release

from soco_datasets.benchmarks.base import BuildOptions
from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.cli import main
from soco_datasets.data.folder import open_folder
from soco_datasets.errors import DatasetFolderError


@pytest.fixture(scope="module", params=["arrow", "parquet"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("identity")
    release = make_release(root / "release")
    return build_dataset(str(release), root / "built", options=BuildOptions(format=request.param)).path


def change(folder: Path, config: str, place: bytes, *, old: bool = False) -> Path:
    """Flip one bit of the byte after each `place` in the first file of a config; with `old`, as if built before digests."""
    shard = next((folder / config).iterdir())
    data = bytearray(shard.read_bytes())
    found = data.find(place)
    while found >= 0:  # in each image of the same bytes
        data[found + len(place)] ^= 1
        found = data.find(place, found + 1)
    shard.write_bytes(data)
    if old:
        manifest = json.loads((folder / "manifest.json").read_text())
        for entry in manifest["shards"]:
            entry.pop("image_digests", None)
            entry.pop("rows_sha256", None)
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize("options", [[], ["--skip-bad"]])
@pytest.mark.parametrize("old", [False, True])
def test_a_changed_image_stops_an_evaluation(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], old: bool
) -> None:
    name = open_folder(built).table("soc", "test")["source_image_id"][0].as_py()
    data = open_folder(built).images.jpeg_bytes(name)
    folder = change(shutil.copytree(built, tmp_path / "changed"), "images", data[:-30], old=old)
    arguments = ["--model", "dense_sift", "--data", str(folder), "--image-size", "64", "--tasks", "soc", *options]
    assert main(["evaluate", *arguments, "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "images/test-00000-of-00001" in error
    assert old or repr(name) in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["probe", "--epochs", "1", "--variants", "reference", "--image-size", "64"],
        ["evaluate", "--split", "all", "--tasks", "soc", "--image-size", "64"],
        ["evaluate", "--store", "disk", "--tasks", "soc", "--image-size", "64"],
        ["lvlm", "baseline", "--image-size", "64"],
    ],
    ids=["probe", "all pairs", "disk", "questions"],
)
def test_a_changed_image_stops_every_command_that_reads_images(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("SOCO_CACHE", str(tmp_path / "cache"))
    whole = open_folder(built)
    config = {"probe": "cc_probe", "lvlm": "lvlm"}.get(command[0], "soc")
    if config not in whole.configs:
        pytest.skip(f"this release has no {config}")
    split = whole.splits(config)[0]
    name = whole.table(config, split)["source_image_id"][0].as_py()
    folder = change(shutil.copytree(built, tmp_path / "changed"), "images", whole.images.jpeg_bytes(name)[:-30])
    arguments = [*command, "--model", "dense_sift", "--data", str(folder), "--out", str(tmp_path / "out")]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert "images/test-00000-of-00001" in error
    same = [other for other in whole.images if whole.images.jpeg_bytes(other) == whole.images.jpeg_bytes(name)]
    assert any(repr(other) in error for other in same)
    assert not list((tmp_path / "out").rglob("*.*"))


@pytest.mark.parametrize("old", [False, True])
def test_pictures_are_of_what_was_built(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: bool
) -> None:
    arguments = ["--model", "dense_sift", "--data", str(built), "--image-size", "64", "--tasks", "soc"]
    assert main(["evaluate", *arguments, "--out", str(tmp_path / "results")]) == 0
    names = open_folder(built).table("soc", "test")["source_image_id"].to_pylist()
    folder = shutil.copytree(built, tmp_path / "changed")
    for place in {open_folder(built).images.jpeg_bytes(name)[:-30] for name in names}:  # images of one content are one
        change(folder, "images", place, old=old)
    capsys.readouterr()
    for command in (
        ["view", str(folder), "--config", "soc", "--out", str(tmp_path / "v.png")],
        ["report", str(tmp_path / "results"), "--data", str(folder), "--out", str(tmp_path / "report")],
    ):
        assert main(command) == 1
        assert "images/test-00000-of-00001" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"results", "changed"}


@pytest.mark.parametrize("command", ["baseline --model random --out {out}", "baseline --model dense_sift --out {out}"])
@pytest.mark.parametrize("config", ["images", "lvlm"])
def test_questions_are_what_was_built(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, config: str
) -> None:
    whole = open_folder(built)
    folder, out = shutil.copytree(built, tmp_path / "changed"), tmp_path / "out"
    if config == "images":
        name = whole.table("lvlm", "vis")["source_image_id"][0].as_py()
        change(folder, config, whole.images.jpeg_bytes(name)[:-30])
    else:
        shard = folder / whole.shards("lvlm", "vis")[0].path.relative_to(whole.path)
        data = bytearray(shard.read_bytes())
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)
    assert main(["lvlm", *command.format(out=out).split(), "--data", str(folder)]) == 1
    error = capsys.readouterr().err
    assert f"{config}/" in error
    assert "Traceback" not in error
    assert not list(out.rglob("*.*"))


@pytest.mark.parametrize("bits", [0x01, 0xFF])  # another text, and no text
@pytest.mark.parametrize("config", ["soc", "keypoints", "images"])
def test_any_other_change_is_found_too(built: Path, tmp_path: Path, config: str, bits: int) -> None:
    folder = shutil.copytree(built, tmp_path / "changed")
    open_folder(folder).check_intact()
    shard = next((folder / config).iterdir())
    data = bytearray(shard.read_bytes())
    place = data.index(b"car/car_1") if b"car/car_1" in data else len(data) // 2
    data[place] ^= bits
    shard.write_bytes(data)
    with pytest.raises(DatasetFolderError, match=rf"{config}/test-00000-of-00001|cannot be read"):
        open_folder(folder).check_intact(images=True)


def test_an_intact_folder_passes_whole_and_in_parts(built: Path) -> None:
    open_folder(built).check_intact()
    open_folder(built).check_intact(images=True)
