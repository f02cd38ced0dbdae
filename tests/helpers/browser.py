"""A page opened in the real browser, headless."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip


def _run(page: Path, *flags: str) -> bytes:
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", *flags, page.resolve().as_uri()]
        run = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr.decode(errors="replace")[-2000:]
    return run.stdout


def dom_of(page: Path) -> str:
    """The document after loading, as the browser serializes it."""
    return _run(page, "--dump-dom").decode()


def screenshot(page: Path, out: Path, width: int, height: int) -> Path:
    _run(page, f"--window-size={width},{height}", f"--screenshot={out}")
    return out


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, frozenset[str]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, frozenset(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def elements(dom: str) -> list[tuple[str, frozenset[str]]]:
    """(name, names of attributes) of every element, in order."""
    parser = _Elements()
    parser.feed(dom)
    return parser.found


def text_of(dom: str) -> str:
    parser = _Elements()
    parser.feed(dom)
    return " ".join(parser.text)
