"""What is kept of a file or a printed text: its content in a form that can be compared value by value.

A fact whose value may change by design is kept under a key that says so: "wording" (texts for people) and "pictures"
(pixels of drawings that carry such texts).
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WORDING, PICTURES = "wording", "pictures"
_NUMBER = re.compile(r"(?<![\w./:-])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w/])")
_PIECES = 2**20


def file_facts(path: Path) -> dict[str, Any]:
    """The facts of one file, by its suffix. A README is only known to exist."""
    if path.name == "README.md":
        return {"exists": True}
    readers = {
        ".json": _json,
        ".jsonl": _json_lines,
        ".csv": _csv,
        ".tsv": _tsv,
        ".parquet": _parquet,
        ".safetensors": _safetensors,
        ".png": _png,
        ".svg": _svg,
        ".html": _html,
    }
    return readers.get(path.suffix, _bytes)(path)


def folder_facts(path: Path) -> dict[str, Any]:
    """Facts of a file, or of every file below a folder, by relative path; {} where there is none."""
    if path.is_file():
        return {path.name: file_facts(path)}
    return {
        inner.relative_to(path).as_posix(): file_facts(inner) for inner in sorted(path.rglob("*")) if inner.is_file()
    }


def text_facts(text: str, prints: str) -> dict[str, Any]:
    """Facts of a printed text, see `Step.prints`. Of a text for people the numbers are kept beside its wording."""
    if prints == "json" and text.strip():
        try:
            return {"json": json.loads(text)}
        except ValueError:
            return {"not JSON": True, WORDING: text.splitlines()}
    if prints == "csv":
        return {"csv": list(csv.reader(io.StringIO(text)))}
    return {"numbers": _NUMBER.findall(text), WORDING: text.splitlines()}


def error_facts(text: str) -> dict[str, Any]:
    """Facts of stderr: which file and field each problem is at; the rest is wording."""
    return {
        "at": re.findall(r"(?:error|warning|note|repair): (\S.*?\.\w+: [\w.\[\]]+):", text),
        WORDING: text.splitlines(),
    }


def _bytes(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECES):
            digest.update(piece)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _json(path: Path) -> dict[str, Any]:
    return {"json": json.loads(path.read_text(encoding="utf-8"))}


def _json_lines(path: Path) -> dict[str, Any]:
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    return {"first": json.loads(first), "lines": len(lines), "sha256": _sha256("\n".join(lines))}


def _csv(path: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8", newline="") as file:
        return {"csv": list(csv.reader(file))}


def _tsv(path: Path) -> dict[str, Any]:
    header = path.read_text(encoding="utf-8").partition("\n")[0].split("\t")
    return {"columns": header, **_bytes(path)}


def _parquet(path: Path) -> dict[str, Any]:
    """Types, metadata and a hash of the values of each column, whatever the file's layout."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    metadata = {key.decode(): _decoded(value) for key, value in (table.schema.metadata or {}).items()}
    columns = {name: _sha256(json.dumps(table[name].to_pylist(), default=str)) for name in table.column_names}
    types = {field.name: str(field.type) for field in table.schema}
    return {"rows": len(table), "types": types, "metadata": metadata, "sha256": columns}


def _decoded(value: bytes) -> Any:
    if value[:1] in b"{[":
        try:
            return json.loads(value)
        except ValueError:
            pass
    return value.decode(errors="replace") if len(value) < 10_000 else _sha256(value.decode(errors="replace"))


def _safetensors(path: Path) -> dict[str, Any]:
    """The header and a hash of the bytes of each tensor."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    metadata = {key: _decoded(value.encode()) for key, value in header.pop("__metadata__", {}).items()}
    data = memoryview(content)[8 + length :]
    tensors = {
        name: {
            "dtype": entry["dtype"],
            "shape": entry["shape"],
            "sha256": hashlib.sha256(data[slice(*entry["data_offsets"])]).hexdigest(),
        }
        for name, entry in header.items()
    }
    return {"metadata": metadata, "tensors": tensors}


def _png(path: Path) -> dict[str, Any]:
    return {PICTURES: _pixels(path.read_bytes())}


def _svg(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    return {"numbers": re.findall(r">\s*(-?\d+\.\d+)\s*<", text), PICTURES: _sha256(text)}


def _html(path: Path) -> dict[str, Any]:
    """The numbers of all tables in order; the pictures and the words apart."""
    text = path.read_text(encoding="utf-8")
    cells = re.findall(r"<td[^>]*>(.*?)</td>", text, re.DOTALL)
    shown = [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in cells]
    embedded = re.findall(r"data:image/[\w+.-]+;base64,([\w+/=]+)", text)
    words = re.sub(r"<(script|style|svg).*?</\1>|<[^>]+>", "\n", text, flags=re.DOTALL)
    return {
        "numbers": [numbers for cell in shown if (numbers := _NUMBER.findall(cell))],
        "embedded": len(embedded),
        PICTURES: [_pixels(base64.b64decode(content)) for content in embedded],
        WORDING: [line for line in map(str.strip, words.splitlines()) if line],
    }


def _pixels(content: bytes) -> Any:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            return [image.mode, *image.size, hashlib.sha256(image.convert("RGBA").tobytes()).hexdigest()]
    except OSError:
        return hashlib.sha256(content).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def without_paths(value: Any, places: Mapping[str, str]) -> Any:
    """The value with host paths in all its texts replaced by names, such as `<checkout>`.

    Args:
        value: anything that JSON can hold.
        places: path -> name, longer paths first.
    """
    if isinstance(value, Mapping):
        return {without_paths(key, places): without_paths(inner, places) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(inner, places) for inner in value]
    if isinstance(value, str):
        for path, name in places.items():
            value = value.replace(path, name)
    return value
