"""Released TSVs to a dataset folder and back: `soco lvlm import` and `soco lvlm export`.

An imported folder has two configs: `images`, each picture of the file once, and `lvlm`, whose rows name them. It loads
and is asked as a built one is; only what the TSV does not say (keypoints, points, photographs) is null.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from .. import __version__
from ..benchmarks.card import render_card
from ..benchmarks.soco.categories import CATEGORIES
from ..data.diagnostics import BuildReport
from ..data.folder import DatasetFolder
from ..data.manifest import FORMAT_NAME, MANIFEST, MANIFEST_VERSION
from ..data.questions.generation import LETTERS, SETTINGS
from ..data.questions.markers import MarkerStyle, encode
from ..data.questions.pictures import PICTURES, open_pictures
from ..data.schema import CONFIGS
from ..data.shards import ContentHash, WrittenShard, write_shards
from ..errors import UsageError, unknown_name
from ..records.made_files import check_same_content, same_or_new_files
from ..utils.files import atomic_folder
from ..utils.progress import progress
from .question_rows import read_rows, stored_settings
from .tsv import FILE_NAMES, TsvRow, read_tsv, setting_of, write_tsv

_SHARD_BYTES = 500 * 10**6
_LISTED = 1000


@dataclass
class _Group:
    """What is kept of a question while its file is read: enough to check it, no picture."""

    category: str
    options: tuple[str, ...]
    answers: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)


@dataclass
class _FileState:
    """What is kept of one file while it is read."""

    name: str
    setting: str
    groups: dict[str, _Group] = field(default_factory=dict)
    pictures: dict[str, list[str]] = field(default_factory=dict)  # index -> ids of its pictures
    rows: list[dict[str, Any]] = field(default_factory=list)  # text alone


def import_tsv(
    files: Sequence[Path], out: Path, *, setting: str | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """Read TSVs, one of each setting, into a dataset folder; returns its manifest.

    Rows are read one at a time and a picture is written once however many rows show it; what stays in memory is the
    text of the rows.

    Args:
        files: `soco_lvlm_img.tsv` (vis), `soco_lvlm_imgtxt.tsv` (vis_desc), `soco_lvlm_txt.tsv` (desc).
        out: folder to make.
        setting: what a file of another name holds; only with a single file.
        overwrite: replace `out` when it is not empty.

    Raises:
        ReleaseError: naming every row that is cut, has broken base64, lacks an ordering or comes twice. Nothing is
            written then.
        DataNotFoundError, UsageError: no such file, or no such TSV.
    """
    states = [_FileState(path.name, _setting(path, setting, len(files))) for path in files]
    taken = [state.setting for state in states]
    if len(set(taken)) < len(taken):
        raise UsageError(f"Two files are of one setting ({', '.join(taken)}): import one of each.")
    findings = BuildReport()
    with atomic_folder(out, overwrite) as folder:
        content, asked = ContentHash(), ContentHash()
        content.start("images", "test")
        images = _images(files, states, findings, content)
        shards = write_shards(folder, CONFIGS["images"], "test", images, "arrow", _SHARD_BYTES)
        _resolve(states, findings)
        findings.check(", ".join(str(path) for path in files), strict=False)
        for state in sorted(states, key=lambda state: SETTINGS.index(state.setting)):
            asked.start("lvlm", state.setting)
            for row in state.rows:
                asked.add(row)
            shards += write_shards(folder, CONFIGS["lvlm"], state.setting, state.rows, "arrow", _SHARD_BYTES)
        both = hashlib.sha256(f"{content.hexdigest()}{asked.hexdigest()}".encode()).hexdigest()
        manifest = _manifest(files, states, shards, both, asked.hexdigest(), findings)
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(render_card(manifest, "arrow"), encoding="utf-8")
    return manifest


def _setting(path: Path, given: str | None, files: int) -> str:
    if given is not None and given not in SETTINGS:
        raise unknown_name("setting", given, SETTINGS)
    if given is not None and files > 1:
        raise UsageError("--setting is for a single file.")
    found = given or setting_of(path)
    if found is None:
        raise UsageError(
            f"The setting of {path.name} is not known by its name ({', '.join(FILE_NAMES.values())} are): "
            "give --setting vis, vis_desc or desc."
        )
    return found


def _images(
    files: Sequence[Path], states: Sequence[_FileState], findings: BuildReport, content: ContentHash
) -> Iterator[dict[str, Any]]:
    """Rows of `images` as the pictures come, each once; fills `states` on the way."""
    seen: set[str] = set()
    for path, state in zip(files, states, strict=True):
        for row in progress(read_tsv(path, findings), f"Reading {path.name}", unit="row"):
            ids = []
            for data in row.pictures:
                digest = hashlib.sha256(data).hexdigest()
                image_id = f"{row.category}/{digest[:24]}"
                ids.append(image_id)
                if image_id not in seen:
                    seen.add(image_id)
                    image = _image_row(image_id, row.category, data)
                    content.add({**image, "image": digest})
                    yield image
            _keep(state, row, ids, findings)


def _image_row(image_id: str, category: str, data: bytes) -> dict[str, Any]:
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        name = f"{image_id.partition('/')[2]}.{'png' if image.format == 'PNG' else 'jpg'}"
    known = CATEGORIES.get(category)
    return {
        "image_id": image_id,
        "image": {"bytes": data, "path": name},
        "file_name": f"{category}/{name}",
        "category": category,
        "supercategory": known.supercategory if known else None,
        "width": width,
        "height": height,
        **dict.fromkeys(("bbox", "azimuth", "elevation", "rotation", "source")),
        "exif_orientation": 1,
    }


def _keep(state: _FileState, row: TsvRow, ids: list[str], findings: BuildReport) -> None:
    """Remember the text of a row, and check it against the rows of its question so far."""
    where = f"row {row.number}"
    if row.index in state.pictures:
        message = f"index {row.index} comes twice"
        findings.error(state.name, where, "doubled_index", message, "get the file again")
        return
    state.pictures[row.index] = ids
    group = state.groups.setdefault(row.g_index, _Group(row.category, tuple(sorted(row.options))))
    problem = ""
    if row.answer in group.answers:
        earlier = group.rows[group.answers.index(row.answer)]
        problem = f"g_index {row.g_index} has the answer {row.answer} in row {earlier} already: the g_index comes twice"
    elif (row.category, tuple(sorted(row.options))) != (group.category, group.options):
        problem = f"g_index {row.g_index} is another question in row {group.rows[0]}: the g_index comes twice"
    if problem:
        findings.error(state.name, where, "doubled_g_index", problem, "give every question a g_index of its own")
        return
    ordering = len(group.rows)
    group.answers.append(row.answer)
    group.rows.append(row.number)
    known = CATEGORIES.get(row.category)
    state.rows.append(
        {
            "index": row.index,
            "g_index": row.g_index,
            "question_id": row.qid or None,
            "ordering": ordering,
            "setting": state.setting,
            "category": row.category,
            "supercategory": known.supercategory if known else None,
            "source_image_id": row.reference,  # until all rows are known: see `_resolve`
            "target_image_id": where,
            **dict.fromkeys(("keypoint", "description", "source_point", "candidate_keypoints", "candidate_points")),
            "question": row.question,
            "options": list(row.options),
            "answer": row.answer,
            "image_paths": list(row.paths) or None,
        }
    )


def _resolve(states: Sequence[_FileState], findings: BuildReport) -> None:
    """Give every row its pictures, those of another row where it says so, and check that no ordering is missing."""
    for state in states:
        numbers: dict[str, list[tuple[str, int]]] = {}
        for row in state.rows:
            where, reference = row["target_image_id"], row["source_image_id"]
            ids = state.pictures.get(row["index"] if reference is None else reference, [])
            if not ids:
                message = f"the image {reference!r} is neither base64 nor the index of a row that has pictures"
                findings.error(state.name, where, "bad_image", message, "get the file again")
                continue
            row["source_image_id"], row["target_image_id"] = (None, *ids)[-2:]
            numbers.setdefault(row["g_index"], []).append((where, len(ids)))
        for g_index, own in numbers.items():
            most = max(number for _, number in own)
            for where, number in own:
                if number < most:
                    message = f"g_index {g_index} has {number} picture here and {most} in its other rows: one is lost"
                    findings.error(state.name, where, "lost_picture", message, "get the file again")
        for g_index, group in state.groups.items():
            if len(group.rows) < len(LETTERS):
                missing = ", ".join(letter for letter in LETTERS if letter not in group.answers)
                message = f"g_index {g_index} has {len(group.rows)} orderings of {len(LETTERS)}: none with the answer "
                where = f"row {group.rows[0]}"
                findings.error(state.name, where, "missing_ordering", message + missing, "get the file again")
        if not state.rows and not findings.of("error"):
            findings.error(state.name, "", "no_rows", "has no row", "get the file again")


def _manifest(
    files: Sequence[Path],
    states: Sequence[_FileState],
    shards: Sequence[WrittenShard],
    content: str,
    asked: str,
    findings: BuildReport,
) -> dict[str, Any]:
    rows: dict[str, dict[str, int]] = {}
    for shard in shards:
        rows.setdefault(shard.config, {})
        rows[shard.config][shard.split] = rows[shard.config].get(shard.split, 0) + shard.rows
    categories = {group.category for state in states for group in state.groups.values()}
    return {
        "format": FORMAT_NAME,
        "format_version": MANIFEST_VERSION,
        "toolkit_version": __version__,
        "source": {"kind": "tsv", "id": ", ".join(path.name for path in files), "revision": None},
        "content_hash": content,
        "pairs": {"intra": "none (imported questions)", "cross": "none (imported questions)"},
        "lvlm": {
            "questions": max((len(state.groups) for state in states), default=0),
            "passed_over": {},
            "hash": asked,
        },
        "counts": {
            "images": rows["images"]["test"],
            "image_bytes": sum(shard.bytes for shard in shards if shard.config == "images"),
            "categories": len(categories),
            **dict.fromkeys(("keypoints", "keypoint_names", "concepts", "exif_rotated"), 0),
            "rows": rows,
        },
        "findings": {"counts": findings.counts(), "left_out": 0, "listed": findings.as_dicts()[:_LISTED]},
        "shards": [shard.as_dict() for shard in shards],
    }


def export_tsv(
    folder: DatasetFolder,
    out: Path,
    settings: Sequence[str] | None = None,
    style: MarkerStyle | None = None,
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Write the questions of a folder as TSVs of the released names, one per setting; returns their paths.

    Pictures are drawn and encoded (JPEG, quality 95) one row at a time; those of imported questions are written as they
    came.

    Raises:
        UsageError: the folder has no questions, an unknown setting, or a file of other questions has the name and
            `overwrite` is false.
    """
    available = stored_settings(folder)
    chosen = list(settings) if settings is not None else available
    for name in chosen:
        if name not in SETTINGS:
            raise unknown_name("setting", name, SETTINGS)
    if not chosen:
        read_rows(folder, SETTINGS[0])  # says why there are none
    paths = [out / FILE_NAMES[name] for name in chosen]
    with same_or_new_files(*paths, overwrite=overwrite) as temporaries:
        for name, path, temporary in zip(chosen, paths, temporaries, strict=True):
            rows = read_rows(folder, name)
            with open(temporary, "w", encoding="utf-8", newline="") as file:
                bar = progress(rows, f"Writing {path.name}", total=len(rows), unit="row")
                heads = circular_heads(rows)
                for number, row in enumerate(bar, start=1):
                    write_tsv(file, [_tsv_row(folder, number, row, heads, style)], header=number == 1)
                    if number == 1:  # other questions are refused before all their pictures are drawn
                        file.flush()
                        check_same_content(path, temporary, overwrite=overwrite, begun=True)
    return paths


def circular_heads(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """g_index of each question -> the g_index to write, which is the `index` of its first ordering.

    VLMEvalKit's circular evaluation finds a question by the row whose `index` equals its `g_index`. Imported questions
    keep the numbers they came with.
    """
    heads = {row["g_index"]: row["index"] for row in rows if row["ordering"] == 0}
    imported = {row["g_index"] for row in rows if row["candidate_points"] is None}
    return {g_index: g_index if g_index in imported else index for g_index, index in heads.items()}


def _tsv_row(
    folder: DatasetFolder, number: int, row: dict[str, Any], heads: dict[str, str], style: MarkerStyle | None
) -> TsvRow:
    shown = [name for name in PICTURES if row[f"{name}_id"] is not None]
    if row["candidate_points"] is None:
        pictures = [folder.images.jpeg_bytes(row[f"{name}_id"]) for name in shown]
    else:
        pictures = [encode(image) for image in open_pictures(folder, row, style).values()]
    names = [f"{row['question_id']}-{row['ordering']}-{name.partition('_')[0]}.jpg" for name in shown]
    paths = row["image_paths"] if row["candidate_points"] is None else names
    return TsvRow(
        number,
        row["index"],
        heads[row["g_index"]],
        row["question_id"] or "",
        row["category"],
        row["question"],
        row["answer"],
        tuple(row["options"]),
        tuple(pictures),
        None,
        tuple(paths or ()),
    )
