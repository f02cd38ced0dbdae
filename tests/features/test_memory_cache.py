from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from soco_datasets.errors import SocoError, UsageError
from soco_datasets.features.cache.memory import MemoryFeatureCache, available_memory


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_memory_and_disk_hold_the_same(tmp_path: Path, dtype: str) -> None:
    maps = torch.randn(5, 3, 4, 6).to(getattr(torch, dtype))
    nbytes = maps.numel() * maps.element_size()
    with (
        MemoryFeatureCache(5, (3, 4, 6), memory_budget=nbytes, dtype=dtype) as memory,
        MemoryFeatureCache(5, (3, 4, 6), memory_budget=nbytes - 1, directory=tmp_path, dtype=dtype) as disk,
    ):
        assert (memory.kind, disk.kind) == ("memory", "disk")
        assert memory.nbytes == disk.nbytes == nbytes
        for index in (3, 0, 4, 1):
            memory.put(index, maps[index])
            disk.put(index, maps[index])
        for index in (0, 1, 3, 4):
            assert torch.equal(memory.get(index), maps[index])
            assert torch.equal(disk.get(index), maps[index])
        assert 2 not in disk
        with pytest.raises(KeyError, match="index 2"):
            disk.get(2)
        assert len(disk) == 5
        assert "in disk" in repr(disk)


def test_the_default_budget_is_half_of_what_is_free() -> None:
    assert 0 < available_memory() < 1 << 50
    assert MemoryFeatureCache(2, (3, 4, 4)).kind == "memory"


def test_the_file_goes_with_the_store_even_after_an_exception(tmp_path: Path) -> None:
    def fail() -> None:
        with MemoryFeatureCache(2, (1, 2, 2), memory_budget=0, directory=tmp_path) as store:
            store.put(0, torch.ones(1, 2, 2))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_after_a_kill(tmp_path: Path) -> None:
    code = (
        "import os, sys, torch\n"
        "from soco_datasets.features.cache.memory import MemoryFeatureCache\n"
        "store = MemoryFeatureCache(2, (1, 2, 2), memory_budget=0, directory=sys.argv[1])\n"
        "store.put(0, torch.ones(1, 2, 2))\n"
        "assert store.kind == 'disk'\n"
        "os.kill(os.getpid(), 9)\n"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert result.returncode == -9
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(SocoError, match=r"memory budget of 0\.0 MB.*not that much space left.*TMPDIR"):
        MemoryFeatureCache(10**7, (1024, 64, 64), memory_budget=0, directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_size_limit_is_the_same_error(tmp_path: Path) -> None:
    code = (
        "import resource, sys\n"
        "from soco_datasets.errors import SocoError\n"
        "from soco_datasets.features.cache.memory import MemoryFeatureCache\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    MemoryFeatureCache(100, (8, 16, 16), memory_budget=0, directory=sys.argv[1])\n"
        "except SocoError as error:\n"
        "    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "not that much space left" in result.stdout


def test_an_absent_folder(tmp_path: Path) -> None:
    with pytest.raises(SocoError, match="cannot be written"):
        MemoryFeatureCache(2, (1, 2, 2), memory_budget=0, directory=tmp_path / "absent")


def test_wrong_use() -> None:
    store = MemoryFeatureCache(2, (3, 4, 4))
    with pytest.raises(UsageError, match=r"\(3, 4, 4\), got \(3, 4, 5\)"):
        store.put(0, torch.zeros(3, 4, 5))
    store.close()
    store.close()
    with pytest.raises(ValueError, match="closed"):
        store.get(0)
    with pytest.raises(UsageError, match="0 or more"):
        MemoryFeatureCache(-1, (3, 4, 4))
