"""What has no command: rows of `load_dataset`, scores of `evaluate.load`, options of the command line, test files.

Run as a script in a process of its own: `python snippets.py FUNCTION [ARGUMENT...]` prints JSON. `soco_datasets` is
imported by its top name alone, and all of it must come from the checkout in `SOCO_CHECKOUT`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CONFIGS = (
    "images",
    "keypoints",
    "taxonomy",
    "descriptions",
    "annotations",
    "cc",
    "soc",
    "cross_cc",
    "cross_soc",
    "soc_geo",
    "cross_soc_geo",
    "soc_probe",
    "cc_probe",
    "lvlm",
)
_SHOWN = 40  # pair ids that are listed, so that a difference can be looked at
_DECODED = 4  # rows of which the images are decoded and hashed


def load(folder: str) -> dict[str, Any]:
    """Rows of every config and split of a folder, with options: counts, order, hashes of the columns and of pixels."""
    import datasets

    import soco_datasets  # noqa: F401 - registers "soco"

    stored = {shard["config"] for shard in json.loads((Path(folder) / "manifest.json").read_text())["shards"]}
    options: dict[str, list[dict[str, Any]]] = {
        "soc": [{}, {"min_shared": 5}],
        "cross_cc": [{}, {"min_shared": 1}],
        "lvlm": [{}, {"marker": "cross", "marker_color": "green"}],
    }
    found: dict[str, Any] = {}
    for config in CONFIGS:
        if config not in stored:
            continue
        for given in options.get(config, [{}]):
            loaded = datasets.load_dataset("soco", config, data_dir=folder, **given)
            for split, rows in loaded.items():
                name = "/".join([config, split, *(f"{key}={value}" for key, value in given.items())])
                found[name] = _rows(rows)
        streamed = datasets.load_dataset("soco", config, data_dir=folder, split=next(iter(loaded)), streaming=True)
        found[f"{config}/streamed"] = [_digest(row) for row in streamed.take(2)]
    _check_origin()
    return found


def _rows(rows: Any) -> dict[str, Any]:
    pictures = [name for name, feature in rows.features.items() if "Image" in type(feature).__name__]
    plain = rows.remove_columns(pictures)
    listed = plain.with_format(None)[:]
    places = sorted({int(place * (len(rows) - 1) / max(_DECODED - 1, 1)) for place in range(_DECODED)})
    shuffled = rows.shuffle(seed=5).select(range(min(3, len(rows))))
    return {
        "rows": len(rows),
        "columns": list(rows.column_names),
        "sha256": {name: _digest(values) for name, values in listed.items()},
        "pixels": {
            str(place): {name: _digest(rows[place][name]) for name in pictures} for place in places if len(rows)
        },
        "ids": list(listed.get("pair_id", []))[:_SHOWN],
        "shuffled": shuffled.remove_columns(pictures).to_list() if "pair_id" in rows.column_names else None,
    }


def _digest(value: Any) -> str:
    """Hex sha256 of a value as JSON, floats to the last digit; of a picture by mode, size and pixels."""

    def plain(item: Any) -> Any:
        if hasattr(item, "tobytes") and hasattr(item, "mode"):
            return [item.mode, item.size, hashlib.sha256(item.tobytes()).hexdigest()]
        if isinstance(item, bytes):
            return hashlib.sha256(item).hexdigest()
        return item.tolist() if hasattr(item, "tolist") else str(item)

    return hashlib.sha256(json.dumps(value, sort_keys=True, default=plain).encode()).hexdigest()


def metric(folder: str) -> dict[str, Any]:
    """Scores of `evaluate.load("soco_pck")` of made-up predictions on two configs, with several choices."""
    import datasets
    import evaluate

    import soco_datasets  # noqa: F401 - registers "soco_pck"

    choices: list[dict[str, Any]] = [
        {},
        {"convention": "centered", "alphas": [0.2, 0.05], "reductions": ["keypoint"], "image_size": 140},
        {"normaliser": "image", "image_size": 280},
    ]
    found: dict[str, Any] = {}
    for config in ("soc", "cross_cc"):
        rows = datasets.load_dataset("soco", config, split="test", data_dir=folder)
        points = [_near(row) for row in rows]
        for number, options in enumerate(choices):
            scorer = evaluate.load("soco_pck")
            found[f"{config}/{number}"] = scorer.compute(predictions=points, references=rows, **options)
    _check_origin()
    return found


def _near(row: Mapping[str, Any]) -> list[list[float]]:
    """A prediction for each keypoint: the first target, moved by an amount that grows with the keypoint's number."""
    return [
        [targets[0][0] + 4.25 * number, targets[0][1] - 3.5 * number]
        for number, targets in enumerate(row["target_points"])
    ]


def options(known: str = "") -> dict[str, Any]:
    """The commands with the options that their help lists, and which of them (and of `known`, JSON) are accepted."""
    commands = _listed(_help([]))
    paths: list[list[str]] = []
    for name in commands:
        parts = _listed(_help([name])) if "COMMAND" in _help([name]) else []
        paths += [[name, part] for part in parts] or [[name]]
    before: dict[str, list[str]] = json.loads(known) if known else {}
    found: dict[str, Any] = {}
    for path in paths:
        text = _help(path)
        shown = sorted(
            set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text.partition("options:")[2].partition("example")[0]))
        )
        asked = sorted({*shown, *before.get(" ".join(path), [])})
        found[" ".join(path)] = {"shown": shown, "accepted": {name: _accepted(path, name) for name in asked}}
    _check_origin()
    return found


def _listed(text: str) -> list[str]:
    """The names of commands in a help text."""
    part = text.partition("positional arguments:")[2].partition("options:")[0]
    return re.findall(r"^ {4}([a-z][a-z-]*)\b", part, re.MULTILINE)


def _help(path: Sequence[str]) -> str:
    return _run([*path, "--help"])


def _accepted(path: Sequence[str], option: str) -> bool:
    """Whether a command knows an option: it then complains of the argument, not of the option."""
    complaints = _run([*path, option]) + _run([*path, f"{option}=x"])
    return f"{option}: expected" in complaints or "ignored explicit argument" in complaints or option == "--help"


def _run(arguments: Sequence[str]) -> str:
    written = io.StringIO()
    sys.argv = ["soco", *arguments]
    with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written), contextlib.suppress(SystemExit):
        runpy.run_module("soco_datasets.cli", run_name="__main__", alter_sys=True)
    return written.getvalue()


def script_answers(folder: str) -> dict[str, Any]:
    """Write the answers of a model that talks: those of `random` in sentences, some unreadable, refused or missing."""
    out = Path(folder) / "scripted"
    out.mkdir(parents=True, exist_ok=True)
    phrases = (
        "{}",
        "The answer is \\boxed{{{}}}.",
        "I think it is **{}**",
        "Option A is wrong; ({}) is the one",
        "",
        "No.",
    )
    counts = {}
    for path in sorted((Path(folder) / "random").glob("*.answers.jsonl")):
        header, *lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        header["model"] = {"name": "scripted"}
        kept = [line for number, line in enumerate(lines) if number % 11 != 7]
        for number, line in enumerate(kept):
            line["response"] = phrases[number % len(phrases)].format(line["response"])
            line["outcome"] = "refused" if number % 13 == 5 else "answered" if line["response"] else "empty"
        text = "".join(json.dumps(line) + "\n" for line in [header, *kept])
        (out / path.name).write_text(text, encoding="utf-8")
        counts[path.name] = len(kept)
    return counts


def _check_origin() -> None:
    """Refuse modules of another checkout, such as one installed in editable mode."""
    checkout = Path(os.environ["SOCO_CHECKOUT"]).resolve()
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.split(".")[0] == "soco_datasets" and file and not Path(file).resolve().is_relative_to(checkout):
            sys.exit(f"{name} was loaded from {file}, not from {checkout}: the record would mix two versions")


if __name__ == "__main__":
    functions = {function.__name__: function for function in (load, metric, options, script_answers)}
    result = functions[sys.argv[1]](*sys.argv[2:])
    sys.stdout.write(json.dumps(result, sort_keys=True, ensure_ascii=False, default=repr))
