"""Every Python and shell block of README and of the documentation is executed, in the order of its page, in an empty folder.

* The Python blocks of a page share one namespace, as the cells of a notebook do. Shell blocks stop at the first error.
* `soco` is on the PATH, and there is no network. Except for README, which makes it itself, `soco` in that folder is the
  built mini set.
* A block whose first line is a comment with a file name (`# my_model.py`) is also written to that file.
* A block is left out by a comment of its own right above it, which must give the reason:

      <!-- not executed: downloads weights -->

  So is every `console` block. Blocks of other languages (text, json) are shown only, and must not begin with a command.
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
DOCS = sorted(path for path in (ROOT / "docs").rglob("*.md") if "generated" not in path.parts)
ELSEWHERE = {"docs/howto/annotation.md"}  # tests/annotation/test_docs.py executes it and checks what it prints
NEEDS = {"docs/howto/distributed.md": ("ray",)}  # beside torch and matplotlib
_BLOCK = re.compile(
    r"^(?:<!-- not executed: *(?P<reason>[^\n]*?) *-->\n+)?(?P<indent> *)```(?P<language>\w*)[^\n]*\n"
    r"(?P<code>.*?)^(?P=indent)```",
    re.M | re.S,
)
_FILE = re.compile(r"# ([\w./-]+\.py)\n")
_COMMAND = re.compile(r"(?:\$ )?(?:soco|pip|python|pytest|hf|inspect) \S")
RUN = {"python", "bash", "console"}


@dataclass(frozen=True)
class Block:
    """A block of a page: its language and code, the page's line of its first line, and why it is left out ("" = it is not)."""

    language: str
    code: str
    line: int
    reason: str


def blocks_of(text: str) -> list[Block]:
    """The Python and shell blocks of a page, in order."""
    found = []
    for match in _BLOCK.finditer(text):
        indent = len(match["indent"])
        code = "".join(line[indent:] if line.strip() else line for line in match["code"].splitlines(keepends=True))
        reason, language = match["reason"], match["language"]
        assert reason != "", f"a block is left out without a reason: {code[:60]!r}"
        if language in RUN:
            assert reason or language != "console", f"a console block needs a reason: {code[:60]!r}"
            found.append(Block(language, code, text.count("\n", 0, match.start("code")) + 1, reason or ""))
        else:
            assert not _COMMAND.match(code), f"a block with commands needs the language bash: {code[:60]!r}"
    return found


def script_of(page: Path, blocks: list[Block], folder: Path) -> str:
    """A Python script that executes the blocks; errors show the line of the page."""
    lines = ["import subprocess", "namespace = {'__name__': '__main__'}"]
    for block in blocks:
        if block.language == "bash":
            command = ["bash", "-euo", "pipefail", "-c", block.code]
            lines.append(f"print('line {block.line}', flush=True)\nsubprocess.run({command!r}, check=True)")
            continue
        if named := _FILE.match(block.code):
            (folder / named[1]).write_text(block.code, encoding="utf-8")
        code = "\n" * (block.line - 1) + block.code
        lines.append(f"exec(compile({code!r}, {str(page)!r}, 'exec'), namespace)")
    return "if __name__ == '__main__':\n" + "\n".join("    " + line for line in "\n".join(lines).splitlines())


def run(page: Path, folder: Path, bin_folder: Path) -> None:
    """Execute a page's blocks in a process of their own."""
    blocks = [block for block in blocks_of(page.read_text(encoding="utf-8")) if not block.reason]
    if page.name != "README.md":
        (folder / "soco").symlink_to(built_mini())
    soco = bin_folder / "soco"
    soco.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m soco_datasets.cli "$@"\n', encoding="utf-8")
    soco.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SOCO_CACHE": str(bin_folder / "cache"),
        "SOCO_PROGRESS": "none",
        "MPLBACKEND": "agg",
        "HF_HUB_OFFLINE": "1",
    }
    script = bin_folder / "page.py"
    script.write_text(script_of(page, blocks, folder), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, env=environment, capture_output=True, text=True, timeout=3600, check=False
    )  # fmt: skip
    assert done.returncode == 0, f"{page.name}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def executed_pages() -> list[str]:
    """The pages that have a block to execute."""
    names = [path.relative_to(ROOT).as_posix() for path in (ROOT / "README.md", *DOCS)]
    return [
        name
        for name in names
        if any(not b.reason for b in blocks_of((ROOT / name).read_text(encoding="utf-8"))) and name not in ELSEWHERE
    ]


@pytest.mark.parametrize("page", executed_pages())
def test_the_blocks_of_a_page_run(page: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    for package in NEEDS.get(page, ()):
        pytest.importorskip(package)
    for name in ("work", "bin"):
        (tmp_path / name).mkdir()
    run(ROOT / page, tmp_path / "work", tmp_path / "bin")


def test_blocks_are_found_with_their_line_and_their_reason() -> None:
    text = (
        "# T\n```python\na = 1\n```\n\n<!-- not executed: needs a GPU -->\n```bash\nb\n```\n- x\n  ```python\n  c\n\n  d\n  ```\n"
        "```text\nls\n```\n"
    )
    assert blocks_of(text) == [
        Block("python", "a = 1\n", 3, ""),
        Block("bash", "b\n", 8, "needs a GPU"),
        Block("python", "c\n\nd\n", 12, ""),
    ]
    for wrong in (
        "<!-- not executed: -->\n```python\na\n```\n",
        "```console\nsoco x\n```\n",
        "```\nsoco info x\n```\n",
    ):
        with pytest.raises(AssertionError, match=r"reason|language"):
            blocks_of(wrong)


def test_the_reference_names_every_public_name() -> None:
    import soco_datasets

    page = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    missing = [name for name in soco_datasets.__all__ if not re.search(rf"`{name}\b", page)]
    assert not missing
