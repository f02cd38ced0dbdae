"""The tutorial notebook is executed from its first cell to its last, in an empty folder without network."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from helpers.file_modules import module_of

pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("torch")
pytest.importorskip("matplotlib")

import nbformat

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "tutorial" / "first_evaluation.ipynb"


def outputs(notebook: Any) -> list[list[str]]:
    """What each code cell gives: the kinds of its outputs, without warnings on standard error."""
    return [
        [kind for one in cell.outputs for kind in sorted(one.get("data", {})) or [one.get("name", one.output_type)]]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_the_notebook_runs_and_shows_what_is_stored_in_it() -> None:
    tool = module_of(ROOT / "tools" / "run_tutorial.py")
    notebook = tool.executed()
    nbformat.validate(notebook)
    pictures = [one for cell in notebook.cells for one in cell.get("outputs", ()) if "image/png" in one.get("data", {})]
    assert len(pictures) == 4
    assert all(base64.b64decode(one.data["image/png"]).startswith(b"\x89PNG") for one in pictures)
    assert outputs(notebook) == outputs(nbformat.read(NOTEBOOK, as_version=4))


def test_the_stored_notebook_is_small_and_complete() -> None:
    assert NOTEBOOK.stat().st_size < 800_000
    stored = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [
        one for cell in code for one in cell.outputs if one.output_type == "error" or one.get("name") == "stderr"
    ]
