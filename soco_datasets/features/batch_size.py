"""`--batch-size auto` on an NVIDIA GPU: as many images in a forward as fit, from the peaks of the first forwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

MOST = 64  # at 798 px 200,000 tokens, which fill any GPU; twice as many decoded images wait in host memory
_WARM = 1  # unmeasured: the first forward also allocates what stays, such as the workspaces of cuBLAS
_MEASURED = (2, 4)
_FRACTION = 0.75  # of the free memory; the rest is for the copies of the maps and for matching


def largest_batch(free: int, small: tuple[int, int], large: tuple[int, int]) -> int:
    """The largest power of two of images that fits, by a straight line through two measured forwards; 1 to `MOST`.

    Args:
        free: bytes that can be allocated.
        small, large: (images, bytes at the peak) of a forward each, of different numbers of images.

    >>> largest_batch(4000, (2, 300), (4, 500))  # 100 for whatever comes, 100 an image, of 3000
    16
    """
    (fewer, less), (more, most) = small, large
    room = int(free * _FRACTION) - less
    growth = most - less  # of more - fewer images
    fitting = MOST if growth <= 0 and room >= 0 else fewer + (room * (more - fewer)) // max(growth, 1)
    return 1 << (min(max(fitting, 1), MOST).bit_length() - 1)


class DeviceMemory(Protocol):
    """What a batch size is chosen by."""

    def reset(self) -> None:
        """Peaks are counted from here."""

    def peak(self) -> int:
        """Bytes that were allocated at most since the reset, beyond those at the reset."""

    def free(self) -> int:
        """Bytes that can be allocated now."""


class CudaMemory:
    """The memory of a GPU, as torch's allocator sees it."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._before = 0

    def reset(self) -> None:
        import torch

        torch.cuda.reset_peak_memory_stats(self._device)
        self._before = torch.cuda.memory_allocated(self._device)

    def peak(self) -> int:
        import torch

        torch.cuda.synchronize(self._device)
        return torch.cuda.max_memory_allocated(self._device) - self._before

    def free(self) -> int:
        import torch

        kept = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return torch.cuda.mem_get_info(self._device)[0] + kept


class BatchChooser:
    """Says how many images the next forward takes, and learns from each: 1, then 2, then 4, then as many as fit.

    These are forwards of images that are wanted anyway: choosing costs none of its own.

    Attributes:
        size: images for the next forward.
        is_settled: whether that stays so.
    """

    def __init__(self, memory: DeviceMemory) -> None:
        self.size, self.is_settled = _WARM, False
        self._memory = memory
        self._peaks: list[tuple[int, int]] = []

    @contextlib.contextmanager
    def watch(self, images: int) -> Iterator[None]:
        """Around one forward. One of fewer images than `size`, or one that fails, teaches nothing."""
        self._memory.reset()
        yield
        if images != self.size or self.is_settled:
            return
        if images in _MEASURED:
            self._peaks.append((images, self._memory.peak()))
        if len(self._peaks) < len(_MEASURED):
            self.size = _MEASURED[len(self._peaks)]
        else:
            self.size, self.is_settled = largest_batch(self._memory.free(), *self._peaks), True


def is_out_of_memory(error: Exception) -> bool:
    """Whether a GPU's memory did not suffice, also where a plug-in's error was wrapped."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or isinstance(error.__cause__, torch.OutOfMemoryError)
