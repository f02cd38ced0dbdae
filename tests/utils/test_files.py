"""Atomic writes: whole or not at all, under any name, from many threads and machines at once."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from soco_datasets.errors import SocoError, UsageError
from soco_datasets.utils.files import (
    atomic_file,
    atomic_files,
    atomic_folder,
    atomic_write,
    explain_write_errors,
    writable_file,
    writable_folder,
)
from soco_datasets.utils.paths import local_path
from soco_datasets.utils.process_state import ProcessSetting
from soco_datasets.utils.text import clean


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def left_by(code: str, place: Path) -> None:
    """Run code that writes `place` in a process that ends without cleaning up."""
    text = f"import os, pathlib\nfrom soco_datasets.utils.files import *\nplace = pathlib.Path({str(place)!r})\n{code}"
    assert subprocess.run([sys.executable, "-c", text], check=False).returncode == 9


ODD = ["run:1", "s3:", "a*b", "a?b", "[x]", "{a,b}", "x::y", "50%20", "#1", "a b", "zip:x", "n" * 240, "é" * 100, "~x"]


@pytest.mark.parametrize("name", ODD)
def test_any_name_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.chdir(tmp_path)
    for path in (Path("in", name), Path("in", name + "-folder", "file") if len(name) < 200 else Path("f", name)):
        with atomic_file(path) as temporary:
            pq.write_table(pa.table({"a": [1]}), temporary)
        assert pq.read_table(path.absolute(), partitioning=None).num_rows == 1
    with atomic_folder(Path("out", name)) as folder:
        (folder / "x").touch()
    assert names(tmp_path / "out") == [name]


@pytest.mark.parametrize("path", ["~/a/b", "~", Path("~/c")])
def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    expected = tmp_path / "home" / str(path).removeprefix("~").removeprefix("/")
    assert local_path(path) == expected
    writable_folder(Path(path))
    atomic_write(Path(path) / "file", "x")
    with atomic_folder(Path(path) / "folder") as folder:
        assert folder.parent == expected
    assert names(expected) == ["file", "folder"]
    assert names(tmp_path) == ["home"]


@pytest.mark.parametrize("path", ["", "a\0b", "~nobody-of-this-name/x"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(UsageError):
        local_path(path)


def test_four_threads_write_one_file(tmp_path: Path) -> None:
    place = tmp_path / "file"
    contents = [bytes([65 + k]) * 200_000 for k in range(4)]

    def write(content: bytes) -> None:
        for _ in range(20):
            atomic_write(place, content)
            assert place.read_bytes() in contents

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, contents))
    assert names(tmp_path) == ["file"]


def test_one_of_several_builders_of_one_folder_wins_and_the_others_say_so(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def build(k: int) -> str:
        try:
            with atomic_folder(out) as folder:
                (folder / "a").write_text(str(k))
                time.sleep(0.05)
                (folder / "b").write_text(str(k))
        except UsageError as error:
            return str(error)
        return "built"

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(build, range(4)))
    assert results.count("built") == 1
    assert all(result == "built" or "is not empty" in result for result in results)
    assert (out / "a").read_text() == (out / "b").read_text()
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied", "/elsewhere/input.bin"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "input.bin"),
        IsADirectoryError(errno.EISDIR, "Is a directory", "/elsewhere"),
        OSError(errno.EIO, "Input/output error", "/elsewhere/input.bin"),
        OSError("the image is truncated"),
        FileNotFoundError("Failed to open local file '/elsewhere/shard.arrow'"),
    ],
)
def test_an_error_of_reading_stays_what_it_is(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(OSError) as caught, atomic_file(tmp_path / "out"):
        raise error
    assert caught.value is error
    with pytest.raises(OSError) as caught, atomic_folder(tmp_path / "folder"):
        raise error
    assert caught.value is error
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "text"), [(errno.ENOSPC, "disk is full"), (errno.EFBIG, "larger than"), (errno.EDQUOT, "quota")]
)
def test_an_error_of_writing_names_the_place(tmp_path: Path, number: int, text: str) -> None:
    out = tmp_path / "out"
    for error in (OSError(number, "x"), OSError(number, "x", str(out))):
        with pytest.raises(SocoError, match=f"Cannot write .*out: .*{text}"), atomic_file(out):
            raise error
    with pytest.raises(SocoError, match=r"Cannot write .*out: strange"), atomic_file(out) as temporary:
        raise OSError(errno.EMLINK, "strange", str(temporary))
    with pytest.raises(SocoError, match="Cannot write"), explain_write_errors(out):
        raise OSError(f"[Errno 5] Failed to open local file '{out}'")


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for place, text in (("file/x", "is a file"), ("loop/x", "leads to itself|is a file"), ("n" * 300, "too long")):
        with pytest.raises(SocoError, match=text):
            atomic_write(tmp_path / place, "x")
    with pytest.raises(UsageError, match="it is a folder"):
        atomic_write(tmp_path / "folder", "x")
    with pytest.raises(SocoError, match="is a file"):
        writable_folder(tmp_path / "file" / "x")


def test_files_that_belong_together_move_together(tmp_path: Path) -> None:
    pair = tmp_path / "a", tmp_path / "b"
    for path in pair:
        path.write_text("old")

    def interrupted() -> None:
        with atomic_files(*pair) as (one, other):
            one.write_text("new")
            other.write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert [path.read_text() for path in pair] == ["old", "old"]
    with atomic_files(*pair) as (one, other):
        one.write_text("new")
        other.write_text("new")
    assert [path.read_text() for path in pair] == ["new", "new"]
    full = OSError(errno.ENOSPC, "full")
    with (
        pytest.raises(SocoError, match=f"Cannot write {pair[1]}: the disk is full"),
        atomic_files(*pair) as (_, b),
        atomic_file(b),
    ):
        raise full
    assert names(tmp_path) == ["a", "b"]


def test_what_a_killed_process_left_is_removed_and_what_others_build_is_not(tmp_path: Path) -> None:
    place = tmp_path / "out"
    left_by("with atomic_file(place) as t:\n    t.write_text('x'); os._exit(9)", place)
    left_by("with atomic_folder(place) as t:\n    (t / 'x').touch(); os._exit(9)", place)
    leftovers = names(tmp_path)
    assert len(leftovers) == 2 - (leftovers[0] == leftovers[-1])
    ours = leftovers[-1]
    machine, pid, tail = ours.split(".")[2].split("-")
    elsewhere = tmp_path / f".out.{machine[::-1]}-{pid}-{tail}.part"  # of another machine: alive, as far as we know
    other_name = tmp_path / f".output.{machine}-{pid}-{tail}.part"
    alive = tmp_path / f".out.{machine}-{os.getpid()}-{tail}.part"
    for path in (elsewhere, other_name, alive):
        path.mkdir()
        (path / "x").touch()
    with atomic_folder(place) as folder:
        (folder / "y").touch()
    assert set(names(tmp_path)) == {"out", elsewhere.name, other_name.name, alive.name}
    for path in (elsewhere / "x", elsewhere):
        os.utime(path, (0, 0))
    with atomic_folder(place, overwrite=True) as folder:
        (folder / "y").touch()
    assert set(names(tmp_path)) == {"out", other_name.name, alive.name}


def test_overlapping_users_of_a_process_setting_put_it_back_once() -> None:
    value = ["before"]

    def change():
        saved = value[0]
        value[0] = "changed"
        return lambda: value.__setitem__(0, saved)

    setting = ProcessSetting(change)
    one, other = setting(), setting()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert value == ["changed"]
    other.__exit__(None, None, None)
    assert value == ["before"]

    @setting()
    def fails() -> None:
        assert value == ["changed"]
        raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert value == ["before"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é ピアノ", "plain é ピアノ"),
        ("\x1b[31mred", "\ufffd[31mred"),
        ("a\nb\rc\x07", "a\ufffdb\ufffdc\ufffd"),
        ("\u202eevil\u2066", "\ufffdevil\ufffd"),
        ("\udcff", "\ufffd"),
    ],
)
def test_printed_names_are_one_clean_line(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(("target", "said"), [("link", "leads to itself"), ("nowhere", "no folder can be made there")])
def test_a_link_that_leads_nowhere_is_no_place_to_write(tmp_path: Path, target: str, said: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / target)
    for check, name in ((writable_folder, "link"), (writable_folder, "link/below"), (writable_file, "link/file.json")):
        with pytest.raises(SocoError, match=said):
            check(tmp_path / name)
