"""Safetensors files of equal content have equal bytes, and the library reads them."""

from __future__ import annotations

import json
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


def test_a_header_that_would_take_gigabytes_is_refused(tmp_path: Path) -> None:
    from soco_datasets.downstream.parameters import load_parameters
    from soco_datasets.errors import SocoError
    from soco_datasets.features.checkpoint import check_safetensors
    from soco_datasets.features.checkpoint_tensors import read_weights
    from soco_datasets.features.heads import load_head

    path = tmp_path / "model.safetensors"
    header = json.dumps(
        {"__metadata__": {"a": "b" * 17_000_000}, "weight": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}
    )
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode())
    for read in (load_head, load_parameters, read_weights, lambda path: check_safetensors(path, "it")):
        with pytest.raises(SocoError, match=r"model\.safetensors"):
            read(path)
