"""Every Python block of the pages below is executed, in the order of the page, in an empty folder.

* All blocks of a page share one namespace, as the cells of a notebook do.
* `soco` and `soco-data` in that folder are the built mini set.
* A block whose first line is a comment with a file name (`# my_model.py`) is also written to that file.
* A block is left out by a comment of its own right above it, which must give the reason:

      <!-- not executed: downloads weights -->

To cover another page, add it to `PAGES`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.shared_builds import built_mini

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/reference/api.md", "docs/howto/report.md")
_BLOCK = re.compile(
    r"^(?:<!-- not executed: *(?P<reason>[^\n]*?) *-->\n+)?(?P<indent> *)```python[^\n]*\n(?P<code>.*?)^(?P=indent)```",
    re.M | re.S,
)
_FILE = re.compile(r"# ([\w./-]+\.py)\n")


@dataclass(frozen=True)
class Block:
    """A block of a page: its code, the page's line of its first line, and why it is not executed ("" = it is)."""

    code: str
    line: int
    reason: str


def blocks_of(text: str) -> list[Block]:
    """The Python blocks of a page, in order."""
    found = []
    for match in _BLOCK.finditer(text):
        indent = len(match["indent"])
        code = "".join(line[indent:] if line.strip() else line for line in match["code"].splitlines(keepends=True))
        reason = match["reason"]
        assert reason != "", f"a block is left out without a reason: {code[:60]!r}"
        found.append(Block(code, text.count("\n", 0, match.start("code")) + 1, reason or ""))
    return found


def run(page: Path, folder: Path) -> None:
    """Execute a page's blocks in a process of their own; a failure shows the line of the page."""
    blocks = [block for block in blocks_of(page.read_text(encoding="utf-8")) if not block.reason]
    for name in ("soco", "soco-data"):
        (folder / name).symlink_to(built_mini())
    script = ["import builtins", "namespace = {'__name__': '__main__'}"]
    for block in blocks:
        if named := _FILE.match(block.code):
            (folder / named[1]).write_text(block.code, encoding="utf-8")
        code = "\n" * (block.line - 1) + block.code
        script.append(f"exec(compile({code!r}, {str(page)!r}, 'exec'), namespace)")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SOCO_PROGRESS": "none",
        "MPLBACKEND": "agg",
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-"], input="\n".join(script), cwd=folder, env=environment, capture_output=True, text=True,
        timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{page.name}:\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run(page: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    assert blocks_of((ROOT / page).read_text(encoding="utf-8"))
    run(ROOT / page, tmp_path)


def test_blocks_are_found_with_their_line_and_their_reason() -> None:
    text = "# T\n```python\na = 1\n```\n\n<!-- not executed: needs a GPU -->\n```python\nb\n```\n- x\n  ```python\n  c\n\n  d\n  ```\n```bash\nls\n```\n"
    assert blocks_of(text) == [Block("a = 1\n", 3, ""), Block("b\n", 8, "needs a GPU"), Block("c\n\nd\n", 12, "")]
    with pytest.raises(AssertionError, match="without a reason"):
        blocks_of("<!-- not executed: -->\n```python\na\n```\n")


def test_the_reference_names_every_public_name() -> None:
    import soco_datasets

    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    missing = [name for name in soco_datasets.__all__ if not re.search(rf"`{name}\b", page)]
    assert not missing
