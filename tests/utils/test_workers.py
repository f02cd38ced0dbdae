"""Chunks by processes: in order, errors raised here, and a build of the same bytes whatever does its work."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable
from pathlib import Path

import pytest

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.benchmarks.soco import release
from soco_datasets.errors import SocoError
from soco_datasets.utils.workers import process_mapper


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_results_come_in_order_and_errors_are_raised_here() -> None:
    with process_mapper(2) as mapper:
        assert list(mapper(operator.neg, range(50))) == [-number for number in range(50)]
        with pytest.raises(TypeError):
            list(mapper(operator.neg, ["text"] * 5))
        assert list(mapper(len, ["ab"] * 9)) == [2] * 9  # after a call that was left before its end
        with pytest.raises(SocoError, match=r"exit code 3"):
            list(mapper(eval, ["__import__('os')._exit(3)"] * 5))


@pytest.mark.parametrize("workers", [2, 3])
def test_a_build_has_the_same_bytes(workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "_CHUNK", 60)
    called: list[object] = []
    with process_mapper(workers) as mapper:

        def counted(function: object, chunks: Iterable[object], /) -> object:
            given = list(chunks)
            called.append(len(given))
            return mapper(function, given)  # type: ignore[arg-type]

        build_dataset("mini", tmp_path / "many", mapper=counted)  # type: ignore[arg-type]
    build_dataset("mini", tmp_path / "one", mapper=map)
    assert max(called) >= 4  # enough for processes to be started
    assert digests(tmp_path / "many") == digests(tmp_path / "one")
