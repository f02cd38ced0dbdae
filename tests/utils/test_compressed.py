"""Compressed files of strangers: what unpacks to far more than its size is refused before it is unpacked."""

from __future__ import annotations

import csv
import gzip
import io
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from soco_datasets.cli import main
from soco_datasets.downstream.readers.unpickling import load_object_array
from soco_datasets.errors import BackboneError, DatasetFolderError
from soco_datasets.features.checkpoint_tensors import read_weights
from soco_datasets.utils.compressed import UnpackedSizeError, check_mat, check_zip, read_gzip
from soco_datasets.utils.foreign import ForeignTextError, read_json_text

ZEROS, HUGE = bytes(2**20), 600  # MB that a file of less than one MB unpacks to
SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
)


def bomb(path: Path, member: str, head: bytes = b"") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(member, "w") as file:
        file.write(head)
        for _ in range(HUGE):
            file.write(ZEROS)
    return path


def npz(path: Path) -> Path:
    head = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (HUGE * 2**20,)}
    np.lib.format.write_array_header_1_0(head, header)
    return bomb(path, "a.npy", head.getvalue())


def mat(path: Path, megabytes: int) -> Path:
    packer = zlib.compressobj()
    tags = struct.pack("<IIIIIIIIii", 14, 2**20 * megabytes + 56, 6, 8, 6, 0, 5, 8, 2**17 * megabytes, 1)
    parts = [packer.compress(tags + struct.pack("<HHI", 1, 1, 0x61) + struct.pack("<II", 9, 2**20 * megabytes))]
    parts += [packer.compress(ZEROS) for _ in range(megabytes)]
    data = b"".join([*parts, packer.flush()])
    start = b"MATLAB 5.0 MAT-file".ljust(124, b"\0") + struct.pack("<HH", 0x0100, 0x4D49)
    path.write_bytes(start + struct.pack("<II", 15, len(data)) + data)
    return path


def test_zip_gzip_and_mat_are_looked_at_first(tmp_path: Path) -> None:
    with pytest.raises(UnpackedSizeError, match="unpacks to 629,"):
        check_zip(npz(tmp_path / "a.npz"))
    with pytest.raises(DatasetFolderError, match="unpacks to"):
        load_object_array(tmp_path / "a.npz", "a")
    with pytest.raises(BackboneError, match="unpacks to"):
        read_weights(bomb(tmp_path / "w.pth", "archive/data/0"))
    with gzip.open(tmp_path / "g.gz", "wb") as file:
        for _ in range(HUGE):
            file.write(ZEROS)
    with pytest.raises(UnpackedSizeError, match="unpacks to"):
        read_gzip(tmp_path / "g.gz")
    with pytest.raises(UnpackedSizeError, match="unpacks to"):
        check_mat(mat(tmp_path / "m.mat", HUGE))


def test_what_is_sound_is_read(tmp_path: Path) -> None:
    from scipy.io import loadmat

    np.savez_compressed(tmp_path / "a.npz", a=np.arange(9))
    check_zip(tmp_path / "a.npz")
    assert load_object_array(tmp_path / "a.npz", "a").tolist() == list(range(9))
    (tmp_path / "g.gz").write_bytes(gzip.compress(b"abc"))
    assert read_gzip(tmp_path / "g.gz") == b"abc"
    check_mat(mat(tmp_path / "m.mat", 2))
    assert loadmat(tmp_path / "m.mat")["a"].shape == (2**18, 1)


def test_tensors_that_repeat_their_storage_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.zeros(1).expand(10**9)}, tmp_path / "w.pth")
    with pytest.raises(BackboneError, match=r"repeats what it stores.*contiguous"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("unit", ['{"a":1},', "[{}],"])
def test_json_of_many_small_values_is_refused(unit: str) -> None:
    with pytest.raises(ForeignTextError, match="bytes of memory"):
        read_json_text("[" + unit * 6_000_000 + "0]")
    assert len(read_json_text("[" + unit * 60_000 + "0]")) == 60_001


def workbook(path: Path, rows: str, member: str = "xl/worksheets/sheet1.xml") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", SHEET.format(rows))
    return path


WORKBOOKS: dict[str, Callable[[Path], Path]] = {
    "unpacks": lambda path: bomb(path, "xl/worksheets/sheet1.xml", b"<worksheet>"),
    "texts": lambda path: bomb(path, "xl/sharedStrings.xml", b"<sst>"),
    "far column": lambda path: workbook(path, '<row><c r="ZZZZZZZZZ1"><v>1</v></c></row>'),
}


@pytest.mark.parametrize("make", WORKBOOKS.values(), ids=WORKBOOKS)
def test_a_workbook_cannot_fill_the_memory(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path / "m_soco_lvlm_img.xlsx")
    assert path.stat().st_size < 2**20
    code = (
        "from pathlib import Path; from soco_datasets.lvlm.workbooks import read_workbook\n"
        f"try: list(read_workbook(Path({str(path)!r})))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, kilobytes = run.stdout.splitlines()
    assert said.startswith("PredictionsError")
    assert int(kilobytes) < 600_000


@pytest.mark.parametrize(
    "content", [b"model,soc\n\xff,1\n", b"model,soc\n" + b"a,1\n" * 6_000_000, b'model\n"' + b"x" * 200_000]
)
@pytest.mark.parametrize("command", ["study --out x --models", "correlate --x soc"])
def test_a_table_that_is_none_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes,
    command: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_bytes(content)
    limit = csv.field_size_limit(131_072)  # that of Python, which other tests raise
    try:
        assert main([*command.split(), "t.csv"]) == 2
    finally:
        csv.field_size_limit(limit)
    assert "t.csv is " in capsys.readouterr().err
