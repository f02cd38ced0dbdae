"""Write docs/architecture.md from the docstrings of the modules: python tools/make_architecture.py [--check]

The page cannot drift from the code: a test runs the check.
"""

from __future__ import annotations

import argparse
import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
ORDER = (  # a folder imports only from those before it
    "errors.py",
    "geometry.py",
    "config.py",
    "utils",
    "synthetic",
    "data",
    "benchmarks",
    "loading",
    "features",
    "metrics",
    "records",
    "correspondence",
    "downstream",
    "annotation",
    "lvlm",
    "distributed",
    "reporting",
    "hub",
    "api",
    "demo.py",
    "commands",
    "cli.py",
)
INTRODUCTION = """\
# Architecture

```
release  ->  tables (Arrow shards)  ->  pairs (built lazily)  ->  features (each image once)
   ->  matches  ->  metrics  ->  record  ->  report, leaderboard submission
```

Six nouns: a *benchmark* says what the data is and how it is scored, *features* come from a backbone, a *metric* turns
arrays into numbers, a *record* keeps them with everything needed to recompute them, a *task* is what a benchmark asks,
a *report* shows records. Options are three values made once and passed whole: `ScoringConfig`, `FeatureConfig`,
`RunConfig`.

A folder imports only from folders above it on this page; `tests/test_structure.py` checks that, and that nothing
imports in a circle. This page is made from the docstrings by `python tools/make_architecture.py`.
"""


def summary(path: Path) -> str:
    """The first sentence of a module's docstring, on one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def entries(folder: Path) -> list[str]:
    """A line per module of a folder, those of its sub-folders behind."""
    lines = []
    for path in sorted(folder.rglob("*.py")):
        if path.name != "__init__.py":
            lines.append(f"- `{path.relative_to(folder).as_posix()}`: {summary(path)}")
    return lines


def page() -> str:
    """The whole page."""
    package, parts = ROOT / "soco_datasets", [INTRODUCTION]
    for name in ORDER:
        place = package / name
        if place.is_file():
            parts.append(f"## `{name}`\n\n{summary(place)}\n")
        elif place.is_dir():
            head = summary(place / "__init__.py")
            parts.append("\n".join([f"## `{name}/`", "", head, "", *entries(place), ""]))
    for name in ("loading_script", "eval"):
        parts.append("\n".join([f"## `{name}/` (top level)", "", *entries(ROOT / name), ""]))
    return "\n".join(parts)


def main() -> None:
    """Write the page, or with --check compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 where the page is out of date")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        sys.exit("docs/architecture.md is out of date; run: python tools/make_architecture.py")


if __name__ == "__main__":
    main()
