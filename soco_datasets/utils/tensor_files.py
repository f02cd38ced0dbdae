"""Safetensors files whose bytes depend on their content alone: the library writes metadata in an order of chance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .compressed import UnpackedSizeError
from .files import atomic_file

if TYPE_CHECKING:
    import torch

_LONGEST = 16_000_000  # bytes of a header; that of DINOv3 7B has 70,000
_LENGTH = 8  # bytes at the start that give the length of the header, which is padded with blanks to a multiple of it


def check_tensors(path: Path) -> None:
    """Look at the length that a safetensors file states for its header: what a header says takes 30 times its bytes.

    Raises:
        UnpackedSizeError: longer than that of a hundred thousand tensors.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
    if _LONGEST < length <= path.stat().st_size:
        raise UnpackedSizeError(f"its header is {length:,} bytes, more than {_LONGEST:,}")


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
