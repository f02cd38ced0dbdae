"""Execute the tutorial and store its outputs in it: python tools/run_tutorial.py

Needs the extras `models`, `report` and `docs`, no network. Run it after a change of the notebook or of what it shows;
`tests/docs/test_tutorial.py` executes it too and keeps nothing.
"""

from __future__ import annotations

import base64
import io
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "tutorial" / "first_evaluation.ipynb"
QUIET = {"SOCO_PROGRESS": "none", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore"}
WIDEST = 1200  # pixels of a stored picture


def executed(path: Path = NOTEBOOK) -> nbformat.NotebookNode:
    """The notebook with the outputs of a run in an empty folder.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **QUIET, "PYTHONPATH": str(ROOT), "IPYTHONDIR": folder}
        client = NotebookClient(notebook, timeout=1200, kernel_name="python3", resources={"metadata": {"path": folder}})
        client.execute(env=environment)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def smaller(png: str) -> str:
    """A picture (base64) of at most `WIDEST` pixels and 256 colors."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")
    picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    picture.thumbnail((WIDEST, WIDEST))
    written = io.BytesIO()
    picture.quantize(256, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode()


def main() -> None:
    """Execute and write, with pictures made smaller."""
    notebook = executed()
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        if "image/png" in output.get("data", {}):
            output.data["image/png"] = smaller(output.data["image/png"])
    nbformat.write(notebook, NOTEBOOK)
    print(f"{NOTEBOOK.relative_to(ROOT)}: {NOTEBOOK.stat().st_size / 1000:.0f} kB", file=sys.stderr)


if __name__ == "__main__":
    main()
