"""Safetensors files whose bytes depend on their content alone: the library writes metadata in an order of chance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .files import atomic_file

if TYPE_CHECKING:
    import torch

_LENGTH = 8  # bytes at the start that give the length of the header, which is padded with blanks to a multiple of it


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors as safetensors, atomically; equal content gives equal bytes.

    Args:
        path: file to write.
        tensors: named tensors, contiguous, on the CPU.
        metadata: strings kept in the file's header, sorted by name.

    Raises:
        SocoError: the file cannot be written.
    """
    from safetensors.torch import save

    data = save(dict(tensors))
    length = int.from_bytes(data[:_LENGTH], "little")
    entries = json.loads(data[_LENGTH : _LENGTH + length])
    header = {"__metadata__": dict(sorted(metadata.items())), **entries} if metadata else entries
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % _LENGTH)
    with atomic_file(path) as temporary, open(temporary, "wb") as file:
        file.write(len(text).to_bytes(_LENGTH, "little"))
        file.write(text)
        file.write(memoryview(data)[_LENGTH + length :])
