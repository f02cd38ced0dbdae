"""Write the generated reference pages of the documentation: python tools/make_reference.py [DIR]

DIR is `docs/reference/generated` by default, which git ignores; `docs/conf.py` runs this before each build. The pages
are the Python API (public names, for autodoc), the command line (from the help of each command), the result records
(from the JSON schemas of their pydantic classes) and the tables (from `data.schema` and `records.predictions`).
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "reference" / "generated"

API_GROUPS = {
    "Evaluate": ("evaluate", "Result", "ResultComparison", "prediction_errors", "subset"),
    "During training": ("TrainingEvaluator", "SocoCallback"),
    "Options": ("FeatureConfig", "ScoringConfig", "RunConfig", "CachePolicy", "Protocol"),
    "Models": ("load_backbone", "DenseFeatureExtractor", "evaluate_backbone"),
    "Load data": ("load_dataset", "load_metric", "expand_pairs", "register", "unregister"),
    "Folders and tables": (
        "build_dataset",
        "dataset_folder",
        "open_folder",
        "resolve_data",
        "DatasetFolder",
        "Taxonomy",
    ),
    "Pairs": ("PairIndex", "pair_queries"),
    "Errors": ("SocoError",),
}
CONSTANTS = ("__version__", "CONFIGS")  # described in docs/reference/api.md and in the page of tables


def cell(text: object) -> str:
    """Text as one cell of a Markdown table: nothing in it is markup but `code`."""
    plain = " ".join(str(text).split())
    return re.sub(r"([|<>*_\[\]])", r"\\\1", plain) if "`" not in plain else plain.replace("|", r"\|")


def code(text: object) -> str:
    """A cell in code type."""
    return f"`` {str(text).replace('|', chr(92) + '|')} ``" if "`" in str(text) else f"`{text!s}`".replace("|", r"\|")


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    names = list(header)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def plain_signature(function: Any) -> str:
    """The signature without types, of a function with overloads; else "", and autodoc reads it itself."""
    if inspect.getsource(sys.modules[function.__module__]).count(f"def {function.__name__}(") == 1:
        return ""
    parameters = inspect.signature(function).parameters.values()
    return str(inspect.Signature([one.replace(annotation=inspect.Parameter.empty) for one in parameters]))


def api_page() -> str:
    """The public names, by topic; autodoc writes their docstrings."""
    import soco_datasets

    listed = {name for names in API_GROUPS.values() for name in names} | set(CONSTANTS)
    if missing := set(soco_datasets.__all__) ^ listed:
        sys.exit(f"tools/make_reference.py: API_GROUPS and soco_datasets.__all__ differ in {sorted(missing)}")
    parts = [
        "# Python API",
        "All public names, from their docstrings. [The Python interface](../api.md) shows them in use.",
    ]
    for title, names in API_GROUPS.items():
        parts.append(f"## {title}")
        for name in names:
            value = getattr(soco_datasets, name)
            directive = "autoclass" if inspect.isclass(value) else "autofunction"
            shown = f"{value.__module__}.{name}" + ("" if inspect.isclass(value) else plain_signature(value))
            members = "\n   :members:" if directive == "autoclass" and name != "SocoError" else ""
            parts.append(f"```{{eval-rst}}\n.. {directive}:: {shown}{members}\n```")
    return "\n\n".join(parts) + "\n"


def helps() -> Iterator[tuple[tuple[str, ...], str]]:
    """Each command's path and the help that it prints off a terminal, depth first in the order of the help."""
    from soco_datasets.cli import main
    from soco_datasets.commands import COMMANDS

    def walk(path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            if main([*path, "--help"]) != 0:
                sys.exit(f"soco {' '.join(path)} --help failed")
        yield path, printed.getvalue()
        inner = printed.getvalue().partition("\nCommands:\n")[2].partition("\n\n")[0]
        for name in re.findall(r"^  (\S+)", inner, re.MULTILINE):
            yield from walk((*path, name))

    for name in COMMANDS:
        yield from walk((name.replace("_", "-"),))


def command_section(path: tuple[str, ...], text: str) -> str:
    """One command: what it does, usage, example, and a table for each panel of options."""
    usage, about, *blocks = text.strip("\n").split("\n\n")
    parts = [
        f"{'#' * (len(path) + 1)} `soco {' '.join(path)}`",
        about,
        f"```text\n{usage.removeprefix('usage: ')}\n```",
    ]
    for block in blocks:
        title, _, lines = block.partition(":\n")
        if title == "example":
            example = "\n".join(line[2:] for line in lines.splitlines())
            parts.append(f"Example:\n\n```bash\n{example}\n```")
            continue
        rows = [re.split(r" {2,}", line.strip(), maxsplit=1) for line in lines.splitlines()]
        parts.append(
            f"**{title}**\n\n"
            + table(("name", "meaning"), ((code(row[0]), cell(row[-1]) if row[1:] else "") for row in rows))
        )
    return "\n\n".join(parts)


def cli_page() -> str:
    """Every command, from its own help."""
    parts = [
        "# Command line",
        "Made from `soco COMMAND --help`. Exit codes: 0 when the work was done, 1 when it was not, 2 for wrong use, "
        "130 when interrupted. Results go to standard output and files, messages to standard error.",
    ]
    return "\n\n".join([*parts, *(command_section(path, text) for path, text in helps())]) + "\n"


def json_type(schema: Mapping[str, Any]) -> str:
    """The type of a field of a JSON schema in words."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2].lstrip("_")
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " or ".join(json.dumps(value) for value in schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(json_type(one) for one in schema[key]))
    kind = schema.get("type", "JSON value")
    if kind == "array":
        inner = schema.get("items") or {}
        return f"list of {json_type(inner)}" if inner else "list"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"mapping of {json_type(inner)}" if isinstance(inner, Mapping) and inner else "mapping"
    return str(kind)


def attribute_docs(record: type) -> dict[str, str]:
    """Field -> what the `Attributes:` sections of a class and its bases say of it."""
    found: dict[str, str] = {}
    for one in reversed(record.__mro__):
        section = (
            (inspect.getdoc(one) or "" if one is not object else "").partition("Attributes:\n")[2].partition("\n\n")[0]
        )
        for names, text in re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {5,}.*)*)", section, re.MULTILINE):
            if not text.startswith("see `fields.Provenance`"):  # whose own section has been read before
                found.update({name.strip(): text for name in names.split(",")})
    return found


def fields_table(schema: Mapping[str, Any], about: Mapping[str, str]) -> str:
    """One row per field of a JSON schema."""
    required = set(schema.get("required", ()))
    rows = []
    for name, field in schema.get("properties", {}).items():
        text = about.get(name, field.get("description", ""))
        rows.append((code(name), cell(json_type(field)), "yes" if name in required else "no", cell(text)))
    return table(("field", "type", "required", "meaning"), rows)


def records_page() -> str:
    """Every kind of result record, from its pydantic class."""
    from soco_datasets.records.registry import record_types

    parts = [
        "# Result records",
        "A result record is one JSON file. Every number in it is a fraction, never percent; what could not be scored "
        "is null, with a count of 0. `soco verify` and `soco score` compute a record again from the predictions beside "
        "it. These tables are made from the pydantic classes that read and write the files.",
    ]
    for record in record_types():
        schema = record.model_json_schema()
        about = (inspect.getdoc(record) or "").partition("\n")[0]
        parts += [
            f"## {record.noun.capitalize()} (`{record.kind}`)",
            f"{about} Version {record.version} of its JSON. Class: `{record.__module__}.{record.__name__}`.",
        ]
        parts.append(fields_table(schema, attribute_docs(record)))
        for name, inner in schema.get("$defs", {}).items():
            if inner.get("properties"):
                parts += [
                    f"### `{name.lstrip('_')}` of {record.kind} records",
                    " ".join(str(inner.get("description", "")).partition("\n\n")[0].split()),
                    fields_table(inner, {}),
                ]
    return "\n\n".join(part for part in parts if part) + "\n"


def column_notes(path: Path) -> dict[str, dict[str, str]]:
    """Name of a table in a source file -> column -> the comment on the column's line."""
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            columns = re.findall(
                r'^\s*(?:_field\()?"(\w+)".*?  # (.*)$', "\n".join(lines[node.lineno - 1 : node.end_lineno]), re.M
            )
            found[node.targets[0].id] = dict(columns)
    return found


def type_name(feature: Any) -> str:
    """A column's type in short."""
    inner = getattr(feature, "feature", None)
    if inner is not None:
        return f"list of {type_name(inner)}"
    return str(getattr(feature, "dtype", None) or type(feature).__name__.lower())


def tables_page() -> str:
    """The tables of a built folder and the predictions file."""
    from soco_datasets.data import schema
    from soco_datasets.records import predictions

    notes = column_notes(Path(schema.__file__))
    named = {id(value): name for name, value in vars(schema).items() if isinstance(value, schema.Features)}
    frames = (schema.__doc__ or "").partition("\n\n")[2].replace("<", r"\<")
    parts = [
        "# Tables",
        "The tables of a built folder (configs of `load_dataset`) and of a predictions file, made from the code.",
        frames,
    ]
    shown: dict[int, str] = {}
    for name, spec in schema.CONFIGS.items():
        parts += [
            f"## `{name}`",
            f"One row: {spec.about}. Splits: {', '.join(spec.splits)}"
            + (", `all` (derived, never stored)." if spec.has_all else "."),
        ]
        if first := shown.get(id(spec.features)):
            parts.append(f"Columns: those of [`{first}`](#{first.replace('_', '-')}).")
            continue
        shown[id(spec.features)] = name
        about = (
            {**notes.get("PAIRS", {}), **notes.get(named[id(spec.features)], {})}
            if spec.is_pairs
            else notes.get(named[id(spec.features)], {})
        )
        rows = (
            (code(column), cell(type_name(kind)), cell(about.get(column, ""))) for column, kind in spec.features.items()
        )
        parts.append(table(("column", "type", "meaning"), rows))
    about = column_notes(Path(predictions.__file__))["PREDICTIONS_SCHEMA"]
    parts += ["## Predictions (`<model>.predictions.parquet`)", (predictions.__doc__ or "")]
    rows = (
        (code(field.name), cell(field.type), "yes" if field.nullable else "no", cell(about.get(field.name, "")))
        for field in predictions.PREDICTIONS_SCHEMA
    )
    parts.append(table(("column", "type", "may be null", "meaning"), rows))
    return "\n\n".join(parts) + "\n"


PAGES = {"python.md": api_page, "cli.md": cli_page, "records.md": records_page, "tables.md": tables_page}


def write_pages(out: Path = OUT) -> None:
    """Write all pages; a page that is as it was keeps its time, so that a second build is incremental."""
    out.mkdir(parents=True, exist_ok=True)
    for name, make in PAGES.items():
        text = re.sub(r"\n{3,}", "\n\n", make())
        if not (out / name).is_file() or (out / name).read_text(encoding="utf-8") != text:
            (out / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]) if sys.argv[1:] else OUT)
