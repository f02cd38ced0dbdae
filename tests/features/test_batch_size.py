"""`--batch-size auto`: the arithmetic, and the first forwards of an extractor, on a device whose memory is a formula."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from soco_datasets.features.batch_size import MOST, BatchChooser, largest_batch
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.features.plugin import load_plugin, plugin

BYTES = st.integers(0, 1 << 40)


@given(free=BYTES, fixed=BYTES, each=st.integers(1, 1 << 36))
def test_it_fits_and_the_next_power_of_two_would_not(free: int, fixed: int, each: int) -> None:
    chosen = largest_batch(free, (2, fixed + 2 * each), (4, fixed + 4 * each))
    room = free * 0.75
    assert chosen in {1 << power for power in range(MOST.bit_length())}
    assert chosen == 1 or fixed + chosen * each <= room
    assert chosen == MOST or fixed + 2 * chosen * each > room - 1


@given(free=BYTES, more=BYTES, small=BYTES, large=BYTES)
def test_more_memory_is_never_a_smaller_batch(free: int, more: int, small: int, large: int) -> None:
    """Whatever a noisy measurement says."""
    assert largest_batch(free, (2, small), (4, large)) <= largest_batch(free + more, (2, small), (4, large))


def test_a_peak_that_does_not_grow() -> None:
    assert largest_batch(1000, (2, 500), (4, 500)) == MOST
    assert largest_batch(1000, (2, 800), (4, 800)) == 1


class Memory:
    """A device of a size; the first forward leaves something behind that stays."""

    def __init__(self, size: int) -> None:
        self.size, self.kept, self.used = size, 0, 0

    def forward(self, images: int) -> None:
        first = 0 if self.kept else 5000
        self.used = first + 100 + 50 * images
        self.kept = 5000
        if self.used > self.size:
            raise torch.OutOfMemoryError("CUDA out of memory")

    def reset(self) -> None:
        self.used = 0

    def peak(self) -> int:
        return self.used

    def free(self) -> int:
        return self.size - self.kept


def extractor(memory: Memory) -> tuple[DenseFeatureExtractor, list[int]]:
    """One whose forwards take that memory, and the sizes of those it did."""
    done: list[int] = []

    @plugin(stride=8, statistics="half")
    def means(pixels: torch.Tensor) -> torch.Tensor:
        memory.forward(len(pixels))
        done.append(len(pixels))
        return torch.nn.functional.avg_pool2d(pixels, 8)

    found = DenseFeatureExtractor(load_plugin(means), 32, BatchChooser(memory), together=True)
    done.clear()
    return found, done


IMAGES = [Image.effect_noise((32, 32), 50).convert("RGB") for _ in range(60)]


def test_the_first_forwards_choose_and_none_is_wasted() -> None:
    memory = Memory(5000 + 2000)
    model, done = extractor(memory)
    memory.kept = 0
    maps = model.extract(IMAGES)
    assert done == [1, 2, 4, 16, 16, 16, 5], "1,500 bytes are 28 images, and what stays is not counted as theirs"
    one_by_one, _ = extractor(Memory(1 << 30))
    alone = torch.cat([one_by_one.extract([image]) for image in IMAGES])
    torch.testing.assert_close(maps, alone)


def test_batches_that_are_smaller_than_asked_teach_nothing() -> None:
    model, done = extractor(Memory(1 << 30))
    for _ in range(3):
        model.extract(IMAGES[:1])
    assert model.forward_size == 2
    model.extract(IMAGES[:9])
    assert done == [1, 1, 1, 2, 4, 3]
    assert model.forward_size == MOST == model.batch_size


def test_memory_that_runs_out_while_choosing_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    memory = Memory(5000 + 250)
    model, done = extractor(memory)
    memory.size = 250
    model.extract(IMAGES[:8])
    assert done == [1, 2, 2, 2, 1]
    assert "out of memory with 4 images in one forward: going on with 2" in caplog.text
    assert model.forward_size == 2


def test_without_a_gpu_nothing_is_measured() -> None:
    @plugin(stride=8, statistics="half")
    def means(pixels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(pixels, 8)

    backbone = load_plugin(means)
    assert DenseFeatureExtractor(backbone, 32, None).forward_size == 1
    assert DenseFeatureExtractor(backbone, 32, None, together=True).forward_size == 32
