"""A made-up vision-language model's answers to every question of a folder, as `soco lvlm run` leaves them, scored."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from soco_datasets.cli import main
from soco_datasets.data.folder import open_folder
from soco_datasets.data.questions.generation import SETTINGS
from soco_datasets.data.questions.markers import MarkerStyle
from soco_datasets.lvlm.open_questions import open_asked
from soco_datasets.lvlm.provenance import run_record_path
from soco_datasets.utils.files import sha256_file

CREATED = "2026-02-01T12:00:00+00:00"
Reply = Callable[[Mapping[str, Any]], str | None]


def mostly_right(row: Mapping[str, Any]) -> str | None:
    """Right in two thirds of the questions, in words that parsers read differently; None where it is refused."""
    chance = random.Random(f"{row['setting']} {row['g_index']}")
    if chance.random() < 2 / 3:
        return f"Answer: {row['answer']}"
    said = random.Random(f"{row['setting']} {row['index']}").choice(["A point on the left", "(B)", "hm", "", None])
    return said if said is None else str(said)


def make_answers(
    folder: Path,
    out: Path,
    *,
    reply: Reply = mostly_right,
    settings: Sequence[str] = SETTINGS,
    name: str = "soco_hf/lab/vlm",
    style: MarkerStyle | None = None,
    template: Path | None = None,
    limit: int | None = None,
) -> list[Path]:
    """Answers files and the records of their runs, of the first `limit` rows of each setting."""
    paths = []
    for setting in settings:
        asked = open_asked(setting, open_folder(folder), template=template, style=style)
        header: dict[str, Any] = {
            "soco_lvlm_answers": 1,
            "model": {"weights_hash": "abc", "dtype": "bfloat16", "max_pixels": 1_003_520},
            "setting": setting,
            "dataset": asked.dataset,
            "image_format": "png",
            "template": asked.template.name,
            "template_hash": asked.template.hash,
            "markers": asked.markers,
            "max_tokens": 512,
        }
        lines = [header]
        for row, key in list(zip(asked.rows, asked.all_keys(), strict=True))[:limit]:
            place = {part: row[part] for part in ("setting", "question_id", "g_index", "index", "ordering")}
            text = reply(row)
            outcome = "refused" if text is None else "answered" if text else "empty"
            lines.append({"key": key, **place, "response": text or "", "outcome": outcome, "stop": "stop"})
        path = out / f"{setting}.answers.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        record = {
            "model": {"name": name, "model": name.partition("/")[2], "device": "cuda:0", **header["model"]},
            "asked": {"timeout": None},
            "answers": {"sha256": sha256_file(path)},
            "versions": {"soco_datasets": "0.1.0"},
            "created": CREATED,
        }
        run_record_path(path).write_text(json.dumps(record))
        paths.append(path)
    return paths


def score(folder: Path, answers: Sequence[Path], record: Path, *options: str) -> Path:
    """`soco lvlm score`; gives the record's path."""
    arguments = ["--data", str(folder), "--out", str(record), "--resamples", "20", *options]
    assert main(["lvlm", "score", *map(str, answers), *arguments]) == 0
    return record


def make_lvlm_result(folder: Path, out: Path, *options: str, **fields: Any) -> Path:
    """A record with its answers table; see `make_answers`."""
    return score(folder, make_answers(folder, out / "answers", **fields), out / "vlm.json", *options)
