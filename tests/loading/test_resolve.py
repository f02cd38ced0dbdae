from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest
from helpers.tiny_folder import write_manifest

from soco_datasets.benchmarks.resolve import cache_root, cached_folder, find_data, resolve_data
from soco_datasets.errors import DataNotFoundError, DatasetFolderError, SocoError, UsageError


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SOCO_HOME", raising=False)
    monkeypatch.setenv("SOCO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def test_order_is_data_dir_then_soco_home_then_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_data() is None
    cached, home = cached_folder(), tmp_path / "home"
    for path in (cached, home):
        shutil.copytree(folder, path)
    assert resolve_data() == cached
    monkeypatch.setenv("SOCO_HOME", str(home))
    assert resolve_data() == home
    assert resolve_data(folder) == folder.resolve()


def test_a_built_folder_called_soco_in_the_working_directory_comes_first(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from soco_datasets import load_dataset

    monkeypatch.chdir(tmp_path)
    home = Path(shutil.copytree(folder, tmp_path / "home"))
    monkeypatch.setenv("SOCO_HOME", str(home))
    (tmp_path / "soco").mkdir()
    for manifest in ("{}", "[]", "no json", '{"format": "web"}'):
        (tmp_path / "soco" / "manifest.json").write_text(manifest)
        assert find_data() == home  # a folder of something else is passed over
    shutil.rmtree(tmp_path / "soco")
    shutil.copytree(folder, tmp_path / "soco")
    assert find_data() == resolve_data() == tmp_path / "soco"
    pairs = load_dataset("soc", split="test", cache_dir=tmp_path / "hf")
    monkeypatch.chdir("/")
    assert pairs[0]["source_image"].mode == "RGB"
    assert str(tmp_path / "soco").removeprefix("/") in pairs.data["source_image"][0]["path"].as_py()
    assert resolve_data() == home
    monkeypatch.chdir(tmp_path)
    assert resolve_data(home) == home


def test_cache_lies_in_the_hugging_face_home_unless_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_root() == tmp_path / "cache"
    monkeypatch.delenv("SOCO_CACHE")
    assert cache_root() == Path(huggingface_hub.constants.HF_HOME) / "soco"
    assert cached_folder().name == "SOCO"
    assert cached_folder("mini").name.startswith("mini-v")
    assert cached_folder(revision="refs/pr/1") == cache_root() / "SOCO-refs%2Fpr%2F1"


def test_nothing_found_names_the_three_ways(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError) as caught:
        resolve_data()
    message = str(caught.value)
    for part in ("data_dir=DIR", 'data_dir="mini"', "SOCO_HOME", "soco build RELEASE", "GenIntelLab/SOCO"):
        assert part in message
    assert message.endswith("HF_HUB_OFFLINE is set")
    assert isinstance(caught.value, FileNotFoundError)


def test_a_cache_that_cannot_be_written_names_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SOCO_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(SocoError, match=r"Cannot write .*is a file.*SOCO_CACHE"):
        resolve_data("mini")


def test_network_failure_gives_its_reason_in_short(run_python: Callable[..., str], tmp_path: Path) -> None:
    code = """
import soco_datasets
from datasets import load_dataset
try:
    load_dataset("soco", "soc")
except FileNotFoundError as error:
    print(error)
"""
    environment = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9", "SOCO_CACHE": tmp_path / "none"}
    out = run_python(code, **environment)
    assert "soco build GenIntelLab/SOCO --out soco" in out
    assert "Cannot get the release GenIntelLab/SOCO" in out
    assert len(out.splitlines()) == 4


def test_soco_home_must_be_a_built_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder, cached_folder())  # not what was asked for, so not what is used
    monkeypatch.setenv("SOCO_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(DataNotFoundError, match=r"SOCO_HOME='.*nowhere' does not exist"):
        resolve_data()


def test_release_that_is_not_built_gives_the_command(tmp_path: Path) -> None:
    release = tmp_path / "my release"
    (release / "PairAnnotations").mkdir(parents=True)
    with pytest.raises(DataNotFoundError, match=f"soco build '{release}' --out '{release}-built'"):
        resolve_data(release)


def test_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="is not a built dataset folder"):
        resolve_data(tmp_path)


def test_damaged_folder_is_not_passed_over(folder: Path) -> None:
    cached = Path(shutil.copytree(folder, cached_folder()))
    (cached / "soc" / "test-00000-of-00001.arrow").unlink()
    with pytest.raises(DatasetFolderError, match="is missing"):
        resolve_data()


def test_revision_is_for_the_hub_release_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = Path(shutil.copytree(folder, cached_folder()))
    shards = json.loads((cached / "manifest.json").read_text())["shards"]
    write_manifest(cached, shards, source={"kind": "hub", "id": "GenIntelLab/SOCO", "revision": "abc123"})
    assert resolve_data(revision="abc123") == cached
    with pytest.raises(DataNotFoundError, match="soco build GenIntelLab/SOCO --out soco"):
        resolve_data(revision="other")
    with pytest.raises(UsageError, match="data_dir is set too"):
        resolve_data(folder, revision="abc123")
    monkeypatch.setenv("SOCO_HOME", str(folder))
    with pytest.raises(UsageError, match="SOCO_HOME is set too"):
        resolve_data(revision="abc123")


def test_mini_is_built_once_by_processes_that_ask_at_the_same_time(
    run_python: Callable[..., str], tmp_path: Path
) -> None:
    """Two processes at once, then a third, which finds it built."""
    code = """
import soco_datasets, sys
from datasets import load_dataset
pairs = load_dataset("soco", "cross_soc", data_dir="mini")
print({name: len(split) for name, split in pairs.items()}, pairs["all"][0]["source_image"].mode)
folder = soco_datasets.resolve_data("mini")
print(folder.name, (folder / "manifest.json").stat().st_mtime_ns)
"""
    starter = f"""
import subprocess, sys
both = [subprocess.Popen([sys.executable, "-c", {code!r}], stdout=subprocess.PIPE, text=True) for _ in range(2)]
for process in both:
    print(process.communicate()[0], end="")
    assert process.returncode == 0
"""
    lines = run_python(starter).splitlines() + run_python(code).splitlines()
    assert lines[0] == lines[2] == lines[4]
    assert lines[0].endswith("RGB")
    assert lines[1] == lines[3] == lines[5]
    assert lines[1].startswith("mini-v")
