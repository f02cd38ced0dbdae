"""The documentation site: its links, its generated pages, and where the code names its pages."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from helpers.command_lines import every_help
from helpers.file_modules import module_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [page.relative_to(ROOT).as_posix() for page in PAGES])
def test_links_lead_to_a_page_and_a_heading(page: str) -> None:
    broken = []
    for link in _LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if "://" in link or "reference/generated" in (ROOT / page).parent.joinpath(path).resolve().as_posix():
            continue
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_pages_that_the_code_names_exist() -> None:
    files = subprocess.run(["git", "ls-files", "*.py", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    if files.returncode:
        pytest.skip("not a git checkout")
    named = {
        (name, page)
        for name in files.stdout.splitlines()
        if (ROOT / name).is_file()
        for page in re.findall(r"(?<![\w/.])docs/[\w/-]+\.(?:md|ipynb)", (ROOT / name).read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    assert {(name, page) for name, page in named if not (ROOT / page).is_file()} == set()


def make_reference() -> ModuleType:
    """tools/make_reference.py as a module."""
    return module_of(ROOT / "tools" / "make_reference.py")


def test_the_reference_has_every_command_field_and_column(tmp_path: Path) -> None:
    from soco_datasets import CONFIGS, __all__
    from soco_datasets.records.predictions import PREDICTIONS_SCHEMA
    from soco_datasets.records.registry import record_types

    tool = make_reference()
    tool.write_pages(tmp_path)
    page = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    for path, text in every_help().items():
        section = page["cli.md"].partition(f"# `soco {' '.join(path)}`\n")[2].partition("\n## ")[0]
        assert section, path
        options = set(re.findall(r"^  (--[\w-]+)", text, re.M))
        assert {option for option in options if f"`{option}" not in section} == set(), path
    for record in record_types():
        section = page["records.md"].partition(f"(`{record.kind}`)\n")[2]
        assert {name for name in record.model_fields if f"| `{name}` |" not in section} == set()
    for spec in CONFIGS.values():
        assert f"## `{spec.name}`\n" in page["tables.md"]
        assert {name for name in spec.features if f"| `{name}` |" not in page["tables.md"]} == set()
    assert {name for name in PREDICTIONS_SCHEMA.names if f"| `{name}` |" not in page["tables.md"]} == set()
    documented = set(re.findall(r":: soco_datasets[\w.]*\.(\w+)", page["python.md"]))
    assert documented == set(__all__) - set(tool.CONSTANTS)


def test_generated_pages_that_are_unchanged_keep_their_time(tmp_path: Path) -> None:
    tool = make_reference()
    tool.PAGES = {"tables.md": tool.tables_page}
    tool.write_pages(tmp_path)
    before = (tmp_path / "tables.md").stat().st_mtime_ns
    tool.write_pages(tmp_path)
    assert (tmp_path / "tables.md").stat().st_mtime_ns == before
