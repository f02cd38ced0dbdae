"""Safetensors files of equal content have equal bytes, and the library reads them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from soco_datasets.utils.tensor_files import write_tensors

torch = pytest.importorskip("torch")
METADATA = {f"name {number}": f"välue {number}" for number in range(12)}
WRITE = """
import sys, pathlib, torch
from soco_datasets.utils.tensor_files import write_tensors
write_tensors(pathlib.Path(sys.argv[1]), {"a": torch.arange(5.0), "b": torch.ones(2, 3)}, eval(sys.argv[2]))
"""


@pytest.mark.parametrize("metadata", [METADATA, {}])
def test_equal_content_gives_equal_bytes(tmp_path: Path, metadata: dict[str, str]) -> None:
    from safetensors import safe_open

    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    tensors = {"b": torch.ones(2, 3), "a": torch.arange(5.0)}
    write_tensors(first, tensors, dict(reversed(metadata.items())))
    subprocess.run([sys.executable, "-c", WRITE, str(second), repr(metadata)], check=True)
    assert first.read_bytes() == second.read_bytes()
    with safe_open(str(first), "pt") as file:
        assert (file.metadata() or {}) == metadata
        assert all(torch.equal(file.get_tensor(name), tensors[name]) for name in tensors)
