"""Building a dataset folder: time, size against the JPEGs, and the mini set's drawing time.

    python benchmarks/bench_build.py [RELEASE]

RELEASE defaults to the mini set. Prints the folder's size as a ratio of the JPEG bytes it holds, and the build time as
a ratio of merely decoding every image once, which no checked build can avoid.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.data.folder import open_folder
from soco_datasets.data.schema import CONFIGS
from soco_datasets.synthetic import write_mini_release


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        source = sys.argv[1] if len(sys.argv) > 1 else ""
        if not source:
            start = time.perf_counter()
            source = str(Path(place, "mini"))
            write_mini_release(Path(source))
            print(f"drawing the mini set   {time.perf_counter() - start:.1f} s")
        start = time.perf_counter()
        result = build_dataset(source, Path(place, "out"))
        built = time.perf_counter() - start
        images = open_folder(result.path).images
        start = time.perf_counter()
        for image_id in images:
            images.decode(image_id)
        decoding = time.perf_counter() - start
        jpegs = result.manifest["counts"]["image_bytes"]
        size = sum(path.stat().st_size for path in result.path.rglob("*") if path.is_file())
        rows = result.manifest["counts"]["rows"]
        pairs = sum(sum(splits.values()) for name, splits in rows.items() if CONFIGS[name].is_pairs)
        print(f"images, pair rows      {len(images)}, {pairs}")
        print(f"build                  {built:.2f} s, {built / decoding:.1f} times decoding each image once")
        print(f"folder                 {size:,} bytes, {size / jpegs:.3f} times its {jpegs:,} bytes of JPEG")


if __name__ == "__main__":
    main()
