"""Draw the mini set again and write it to the archive that the package ships: python tools/make_mini_release.py

Run it after a change to `soco_datasets/synthetic` that moves pixels or annotations, and raise `MINI_VERSION` with it.
A slow test compares the archive with what the renderer draws. The archive has fixed dates, so equal files give equal
bytes.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from soco_datasets.synthetic import MINI_ARCHIVE, write_mini_release
from soco_datasets.utils.files import atomic_file


def main() -> None:
    """Write the archive in place."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "release")
        write_mini_release(root)
        with atomic_file(MINI_ARCHIVE) as place, zipfile.ZipFile(place, "w") as archive:
            for path in sorted(path for path in root.rglob("*") if path.is_file()):
                member = zipfile.ZipInfo(path.relative_to(root).as_posix(), date_time=(2026, 1, 1, 0, 0, 0))
                kind = zipfile.ZIP_STORED if path.suffix == ".JPEG" else zipfile.ZIP_DEFLATED
                archive.writestr(member, path.read_bytes(), compress_type=kind, compresslevel=9)
    print(f"{MINI_ARCHIVE}: {MINI_ARCHIVE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
