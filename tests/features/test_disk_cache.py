"""Stores shared between runs: whole after a kill, damage found, two processes at once, listed and cleared."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from soco_datasets.cli import main
from soco_datasets.errors import SocoError, UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.cache.disk import MAPS, STRIDE, DiskFeatureCache
from soco_datasets.features.cache.index import ENTRY, INDEX_FILE, count_marks
from soco_datasets.features.cache.inventory import clear_features, stored_features
from soco_datasets.features.cache.key import feature_key
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.features.plugin import load_plugin, plugin

SHAPE = (3, 5, 7)
TOTAL = 40
KEY: dict[str, Any] = {"model": {"name": "tiny", "effective_size": 56, "layer": -1, "norm": "none", "dtype": "float32"}}


def open_store(directory: Path, key: dict[str, Any] = KEY, numbers: Iterable[int] = range(TOTAL)) -> DiskFeatureCache:
    """Of the images of some numbers."""
    return DiskFeatureCache(
        directory, key, SHAPE, [hashlib.sha256(str(number).encode()).digest() for number in numbers]
    )


def feature_map(number: int) -> torch.Tensor:
    return torch.arange(math.prod(SHAPE), dtype=torch.float32).view(SHAPE) + 1000 * number


def fill(directory: Path, numbers: Any = range(TOTAL)) -> Path:
    with open_store(directory) as store:
        for number in numbers:
            store.put(number, feature_map(number))
    return store.path


def held(directory: Path) -> set[int]:
    """The numbers whose map the store has; each is what was put there."""
    with open_store(directory) as store:
        numbers = {number for number in range(TOTAL) if store.is_intact(number)}
        assert all(torch.equal(store.get(number), feature_map(number)) for number in numbers)
    return numbers


def test_what_is_put_is_there_for_whoever_has_the_same_image(tmp_path: Path) -> None:
    fill(tmp_path, [3, 17])
    assert held(tmp_path) == {3, 17}
    with open_store(tmp_path, numbers=[17, 99]) as store:
        assert (len(store), 0 in store, 1 in store) == (2, True, False)
        assert torch.equal(store.get(0), feature_map(17))
        with pytest.raises(KeyError, match="index 1"):
            store.get(1)
        with pytest.raises(UsageError, match=r"\(3, 5, 7\), got \(3, 5, 6\)"):
            store.put(1, torch.zeros(3, 5, 6))
        store.put(0, torch.zeros(SHAPE))  # marked: whole, and not written again
        assert torch.equal(store.get(0), feature_map(17))


def test_a_dataset_that_grew_costs_its_new_images_only(tmp_path: Path) -> None:
    fill(tmp_path)
    with open_store(tmp_path, numbers=[TOTAL, *reversed(range(TOTAL)), TOTAL]) as store:
        assert [index in store for index in range(len(store))] == [False, *[True] * TOTAL, False]
        store.put(0, feature_map(TOTAL))
        assert torch.equal(store.get(len(store) - 1), feature_map(TOTAL)), "the same photograph, twice in a dataset"
        assert torch.equal(store.get(1), feature_map(TOTAL - 1))
    assert held(tmp_path) == set(range(TOTAL))
    assert stored_features(tmp_path)[0].images == TOTAL + 1


def test_what_another_process_adds_is_seen_and_moves_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path) as first, open_store(tmp_path, numbers=range(7, 20)) as second:
        first.put(3, feature_map(3))
        seen = first.get(3)
        assert 0 not in second
        for index in range(13):
            second.put(index, feature_map(7 + index))
        assert [number for number in range(TOTAL) if number in first] == [3, *range(7, 20)]
        first.put(7, torch.zeros(SHAPE))
        assert torch.equal(first.get(7), feature_map(7)), "the other's map stays"
        assert torch.equal(seen, feature_map(3))
        seen.zero_()
        assert first.is_intact(3), "what is read is a copy as far as writing goes"
    assert torch.equal(seen, torch.zeros(SHAPE)), "and outlives the store"


def test_another_key_is_another_store(tmp_path: Path) -> None:
    fill(tmp_path)
    for change in ({"versions": {"torch": "0"}}, {"model": {**KEY["model"], "layer": 2}}):
        with open_store(tmp_path, {**KEY, **change}) as store:
            assert not any(number in store for number in range(TOTAL))


def test_a_damaged_map_is_found_said_and_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = fill(tmp_path)
    with open(path / MAPS, "r+b") as file:
        file.seek(STRIDE * 5 + 100)
        file.write(b"\xff")
    assert held(tmp_path) == set(range(TOTAL)) - {5}
    assert "damaged in slot 5" in caplog.text
    assert 5 not in held(tmp_path), "it stays forgotten until it is put again"
    length = (path / MAPS).stat().st_size
    with open_store(tmp_path, numbers=[TOTAL]) as store:
        store.put(0, feature_map(TOTAL))
    fill(tmp_path, [5])
    assert held(tmp_path) == set(range(TOTAL))
    assert (path / MAPS).stat().st_size == length + STRIDE, "it goes where it was, whatever came meanwhile"


@pytest.mark.parametrize("name", [MAPS, INDEX_FILE])
def test_a_file_cut_short_loses_only_what_was_behind(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = fill(tmp_path)
    os.truncate(path / name, (path / name).stat().st_size // 2 + 5)
    with caplog.at_level(logging.WARNING):
        assert held(tmp_path) == set(range(TOTAL // 2))
    assert f"{name} was cut short" in caplog.text
    assert stored_features(tmp_path)[0].images == TOTAL // 2
    fill(tmp_path)
    caplog.clear()
    assert held(tmp_path) == set(range(TOTAL))
    assert caplog.text == ""


def test_marks_cut_between_two_are_said_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.truncate(fill(tmp_path) / INDEX_FILE, ENTRY.size * 9)
    assert held(tmp_path) == set(range(9))
    assert f"{INDEX_FILE} was cut short" in caplog.text


def test_marks_of_another_place_do_not_count(tmp_path: Path) -> None:
    path = fill(tmp_path, range(10))
    marks = (path / INDEX_FILE).read_bytes()
    (path / INDEX_FILE).write_bytes(marks[ENTRY.size :] + bytes(ENTRY.size))
    assert held(tmp_path) == set()
    assert stored_features(tmp_path)[0].images == 0
    fill(tmp_path)
    assert held(tmp_path) == set(range(TOTAL))


def test_a_map_in_another_images_place_does_not_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = fill(tmp_path)
    with open(path / MAPS, "r+b") as file:
        file.write(feature_map(1).numpy().tobytes())
    assert held(tmp_path) == set(range(1, TOTAL))
    assert "damaged" in caplog.text


WRITER = """
import hashlib, os, random, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from features.test_disk_cache import TOTAL, feature_map, open_store
with open_store(Path(sys.argv[1])) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for again in range(int(sys.argv[3])):
        for number in random.sample(range(TOTAL), TOTAL):
            store.put(number, feature_map(number))
            if int(sys.argv[3]) > 1:
                image = hashlib.sha256(str(number).encode()).digest()
                slot = store._marks.slot_for(image)
                store._marks.lost(image, slot)
                os.pwrite(store._maps, bytes(420), slot * store._stride)
"""


def writer(directory: Path, rounds: int) -> subprocess.Popen[str]:
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", WRITER, str(directory), tests, str(rounds)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


def test_a_kill_at_any_moment_leaves_whole_maps_only(tmp_path: Path) -> None:
    """The writer puts and forgets maps all the time, so that the kill falls into a write."""
    for attempt, delay in enumerate((0.01, 0.05)):
        process = writer(tmp_path / str(attempt), 10**6)
        start(process)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        held(tmp_path / str(attempt))  # every map that counts as there is the right one
        fill(tmp_path / str(attempt))
        assert held(tmp_path / str(attempt)) == set(range(TOTAL)), "the lock went with the process"
        process.communicate()


def test_two_processes_fill_one_store(tmp_path: Path) -> None:
    both = [writer(tmp_path, 1), writer(tmp_path, 1)]
    for process in both:
        start(process)
    assert [process.wait() for process in both] == [0, 0]
    assert held(tmp_path) == set(range(TOTAL))
    (store,) = stored_features(tmp_path)
    assert count_marks(store.path) == (store.path / INDEX_FILE).stat().st_size / ENTRY.size == TOTAL, (
        "one slot an image"
    )
    for process in both:
        process.communicate()


def test_a_full_disk_is_a_clear_error_and_keeps_what_is_done(tmp_path: Path) -> None:
    code = (
        "import resource, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from pathlib import Path\n"
        "from soco_datasets.errors import SocoError\n"
        "from features.test_disk_cache import feature_map, open_store\n"
        "import signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with open_store(Path(sys.argv[1])) as store:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (65536 * 10 + 100,) * 2)\n"
        "    try:\n"
        "        for number in range(40):\n"
        "            store.put(number, feature_map(number))\n"
        "    except SocoError as error:\n"
        "        print(number, error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("10 The disk of the feature store")
    assert "soco cache clear" in result.stdout
    assert held(tmp_path) == set(range(10))


def test_a_store_that_cannot_fit_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(SocoError, match=r"is full: it needs [\d,]+ MB more.*CachePolicy none"):
        DiskFeatureCache(tmp_path, KEY, (4096, 64, 64), [number.to_bytes(32) for number in range(10**5)])
    assert sum(store.nbytes for store in stored_features(tmp_path)) < 10**6


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SocoError, match="a part of the path is a file"):
        open_store(tmp_path / "file")


def test_list_and_clear(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = fill(tmp_path, range(3))
    with open_store(tmp_path, {**KEY, "versions": {}}) as used:
        (tmp_path / "mine.txt").write_text("keep")
        then = time.time() - 10 * 86400
        os.utime(old / "key.json", (then, then))
        command = ["cache", "list", "--store-dir", str(tmp_path)]
        assert main(command) == 0
        lines = capsys.readouterr().out.splitlines()
        assert "  3 images  " in lines[1]
        assert "tiny 56 px layer -1 norm none float32" in lines[1]
        assert lines[2].startswith("2 stores, ")
        clear = ["cache", "clear", "--store-dir", str(tmp_path)]
        assert main([*clear, "--older-than", "11"]) == 0
        assert main([*clear, "--older-than", "9"]) == 0
        out = capsys.readouterr().out.splitlines()
        assert [line.split(",")[0] for line in out] == ["0 stores removed", "1 stores removed"]
        assert main(clear) == 0
        assert capsys.readouterr().out.startswith("kept, in use: ")
        used.put(0, feature_map(0))
    assert main(clear) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert main([*command, "--older-than", "3"]) == 2
    assert main([*clear, "--older-than", "-1"]) == 2


def test_a_store_nobody_can_read_is_listed_and_cleared(tmp_path: Path) -> None:
    path = fill(tmp_path)
    (path / "key.json").write_text("{")
    assert [store.model for store in stored_features(tmp_path)] == ["?"]
    assert held(tmp_path) == set(range(TOTAL)), "the description is written again, the maps are still known"
    assert json.loads((path / "key.json").read_text()) == KEY
    assert [store.path for store in clear_features(tmp_path)[0]] == [path]
    assert stored_features(tmp_path) == stored_features(tmp_path / "absent") == []
    assert count_marks(tmp_path / "absent") == 0


def test_the_key_knows_what_decides_the_maps() -> None:
    def key(size: int, **versions: str) -> dict[str, Any]:
        return feature_key(DenseFeatureExtractor(load_backbone("dense_sift"), size), versions)

    first = DenseFeatureExtractor(load_backbone("dense_sift"), 96)
    assert key(96) == key(first.size + 1), "one size in effect"
    assert key(96) != key(960)
    assert key(96, torch="1") != key(96, torch="2")
    assert key(96, datasets="1") == key(96, datasets="2"), "which reads the data but makes no feature"


def test_a_model_nobody_can_know_again_is_not_kept() -> None:
    @plugin(stride=8)
    def means(pixels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(pixels, 8)

    with pytest.raises(UsageError, match=r"nothing says which weights.*@plugin\(weights=FILE\)"):
        feature_key(DenseFeatureExtractor(load_plugin(means), 32), {})
