"""Caches that others own or can write are not used, and what is made is for its owner alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from soco_datasets.benchmarks.locations import cached_folder
from soco_datasets.benchmarks.resolve import resolve_data
from soco_datasets.cli import main
from soco_datasets.errors import SocoError
from soco_datasets.features.cache.disk import DiskFeatureCache
from soco_datasets.features.cache.vectors import GlobalVectorCache
from soco_datasets.utils.private_folders import TRUST

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no owners of this kind")
as_root = pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root can give files away")
OTHER = 12345  # a user


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOCO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(TRUST, raising=False)
    return tmp_path / "cache"


def use_features(root: Path) -> None:
    for kind in (DiskFeatureCache, GlobalVectorCache):
        kind(root, {"key": 1}, (1, 2), [b"x" * 32]).close()


def test_a_umask_of_zero_opens_no_cache(cache: Path, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = resolve_data("mini")
        use_features(cache / "features")
        use_features(tmp_path / "stores")
    finally:
        os.umask(before)
    made = [cache, cache / "features", *(cache / "features").iterdir(), *(tmp_path / "stores").iterdir()]
    assert {oct(path.stat().st_mode & 0o777) for path in made} == {"0o700"}
    assert resolve_data("mini") == folder
    use_features(cache / "features")


def test_what_others_can_write_is_refused_unless_trusted(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_folder("mini").mkdir(parents=True)
    cache.chmod(0o777)
    assert main(["info", "mini"]) == 1
    assert "can be written by others" in capsys.readouterr().err
    with pytest.raises(SocoError, match="can be written by others"):
        use_features(cache)
    cache.chmod(0o1777)  # as /tmp
    use_features(cache)
    assert cached_folder("mini").name
    cached_folder("mini").chmod(0o777)
    with pytest.raises(SocoError, match="can be written by others"):
        cached_folder("mini")
    cache.chmod(0o700)  # nobody gets there
    assert cached_folder("mini").name
    cache.chmod(0o777)
    monkeypatch.setenv(TRUST, "1")
    assert cached_folder("mini").name
    use_features(cache)


@as_root
@pytest.mark.parametrize("what", ["folder", "link", "store"])
def test_what_belongs_to_others_is_refused(cache: Path, tmp_path: Path, what: str) -> None:
    if what == "link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        cache.symlink_to(tmp_path / "theirs")
        os.lchown(cache, OTHER, OTHER)
    else:
        use_features(cache)
        os.chown(cache if what == "folder" else next(cache.iterdir()), OTHER, OTHER)
    with pytest.raises(SocoError, match=f"belongs to another user .{OTHER}"):
        use_features(cache)


@as_root
def test_of_others_only_root_is_trusted(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_features(cache)
    cache.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)
    assert cached_folder("mini").name.startswith("mini-v")
    os.chown(cache, OTHER + 1, OTHER + 1)
    with pytest.raises(SocoError, match="belongs to another user"):
        cached_folder("mini")
