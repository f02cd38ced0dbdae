"""Questions for other evaluation kits: Parquet with the pictures drawn in, a card, and a task folder for lmms-eval.

`OUT/SETTING.parquet` loads with `datasets` (config = setting, split `test`) and with EvalScope's `general_vmcq` (subset
= setting): its `question` has `<image 1>` placeholders, as in MMMU. `OUT/lmms_eval` has three task files and the
functions they name; `OUT/inspect_evals` describes the Inspect task of this package for the Inspect Evals register.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..data.folder import DatasetFolder
from ..data.questions.generation import LETTERS, SETTINGS
from ..data.questions.markers import MarkerStyle, encode
from ..data.questions.pictures import PICTURES, open_pictures
from ..errors import unknown_name
from ..records.made_files import check_same_content, same_or_new_files
from ..utils.paths import real_path
from ..utils.progress import progress
from .question_rows import read_rows, stored_settings

_IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
_TEXT = ("index", "g_index", "question_id", "setting", "category", "supercategory")
_ROWS_PER_GROUP = 64  # of a Parquet row group: what a reader holds at a time
_KITS = "kits"  # folder of the files that are copied


def export_kits(
    folder: DatasetFolder,
    out: Path,
    settings: Sequence[str] | None = None,
    style: MarkerStyle | None = None,
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Write questions for lmms-eval, EvalScope and Inspect Evals; returns what was written.

    Args:
        folder: a built or imported folder.
        out: gets a Parquet file per setting, README.md and the folders `lmms_eval` and `inspect_evals`.
        settings: of `SETTINGS`; None = all that the folder has.
        style: of the markers; imported questions come with theirs.

    Raises:
        UsageError: the folder has no questions, an unknown setting, or a file with another content has the name and
            `overwrite` is false.
    """
    chosen = list(settings) if settings is not None else stored_settings(folder)
    for name in chosen:
        if name not in SETTINGS:
            raise unknown_name("setting", name, SETTINGS)
    if not chosen:
        read_rows(folder, SETTINGS[0])  # says why there are none
    counts = {name: len(read_rows(folder, name)) for name in chosen}
    data = {name: out / f"{name}.parquet" for name in chosen}
    texts = {
        out / "README.md": _card(folder, counts),
        **{out / "lmms_eval" / f"soco_lvlm_{name}.yaml": _lmms_task(name, data[name]) for name in chosen},
        out / "lmms_eval" / "utils.py": _copied("lmms_utils.py.txt"),
        out / "inspect_evals" / "eval.yaml": _inspect_entry(counts),
    }
    paths = [*texts, *data.values()]
    with same_or_new_files(*paths, overwrite=overwrite) as temporaries:
        for path, temporary in zip(paths, temporaries, strict=True):
            if path in texts:
                temporary.write_text(texts[path], encoding="utf-8")
                check_same_content(path, temporary, overwrite=overwrite)  # before any picture is drawn
            else:
                _write_parquet(
                    temporary, path.name, _drawn(folder, read_rows(folder, path.stem), style), counts[path.stem]
                )
    return paths


def _write_parquet(path: Path, name: str, rows: Iterator[dict[str, Any]], count: int) -> None:
    schema = _schema()
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        batch: list[dict[str, Any]] = []
        for row in progress(rows, f"Writing {name}", total=count, unit="row"):
            batch.append(row)
            if len(batch) == _ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch = []
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def _schema() -> pa.Schema:
    """The columns, with what `datasets` needs to decode the pictures."""
    columns = [pa.field(name, pa.string()) for name in (*_TEXT, "question", "question_text", "answer")]
    columns += [pa.field("ordering", pa.int32()), pa.field("options", pa.list_(pa.string()))]
    columns += [pa.field(name, _IMAGE) for name in ("image_1", "image_2")]
    text = {"dtype": "string", "_type": "Value"}
    features: dict[str, Any] = {field.name: text for field in columns[:-4]}
    features["ordering"] = {"dtype": "int32", "_type": "Value"}
    features["options"] = {"feature": text, "_type": "List"}
    features |= {name: {"_type": "Image"} for name in ("image_1", "image_2")}
    return pa.schema(columns, {"huggingface": json.dumps({"info": {"features": features}})})


def _drawn(
    folder: DatasetFolder, rows: Sequence[dict[str, Any]], style: MarkerStyle | None
) -> Iterator[dict[str, Any]]:
    for row in rows:
        shown = [name for name in PICTURES if row[f"{name}_id"] is not None]
        if row["candidate_points"] is None:
            pictures = [folder.images.jpeg_bytes(row[f"{name}_id"]) for name in shown]
        else:
            pictures = [encode(image) for image in open_pictures(folder, row, style).values()]
        names = [f"{row['index']}-{name.partition('_')[0]}.jpg" for name in shown]
        images = [{"bytes": data, "path": name} for data, name in zip(pictures, names, strict=True)]
        places = " ".join(f"<image {number}>" for number in range(1, len(images) + 1))
        yield {
            **{name: row[name] for name in (*_TEXT, "answer", "ordering", "options")},
            "question": f"{places}\n{row['question']}",
            "question_text": row["question"],
            "image_1": images[0],
            "image_2": images[1] if len(images) > 1 else None,
        }


def _card(folder: DatasetFolder, counts: dict[str, int]) -> str:
    lines = ["---", "task_categories:", "- visual-question-answering", "configs:"]
    for name in counts:
        lines += [f"- config_name: {name}", "  data_files:", "  - split: test", f"    path: {name}.parquet"]
    table = "\n".join(f"| `{name}` | {number // len(LETTERS):,} | {number:,} |" for name, number in counts.items())
    text = _copied("card.md.txt")
    return "\n".join([*lines, "---", ""]) + text.format(table=table, content_hash=folder.content_hash)


def _lmms_task(setting: str, data: Path) -> str:
    return _copied("lmms_task.yaml.txt").format(setting=setting, data=json.dumps(str(real_path(data))))


def _inspect_entry(counts: dict[str, int]) -> str:
    tasks = "".join(
        f"  - name: soco_lvlm\n    arguments: {{setting: {name}}}\n    dataset_samples: {number}\n"
        for name, number in counts.items()
    )
    return _copied("inspect_entry.yaml.txt") + tasks


def _copied(name: str) -> str:
    return (files(__package__) / _KITS / name).read_text(encoding="utf-8")
