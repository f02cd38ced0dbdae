"""The dataset card of the whole SOCO from what is known without its files: the repository's `dataset_card.md`."""

from __future__ import annotations

from typing import Any

from ..card import render_card
from ..preview import MOST_PAIRS
from .benchmark import BENCHMARK
from .categories import REAL_COUNTS
from .source import HUB_RELEASE

_ROWS = {
    "images": REAL_COUNTS.images,
    "keypoints": REAL_COUNTS.images,
    "intra": REAL_COUNTS.intra_pair_files,
    "cross": REAL_COUNTS.cross_pair_files,
    "train": REAL_COUNTS.probe_train_pair_files,
    "test": REAL_COUNTS.probe_test_pair_files,
}


def full_card(repo: str, sample: str) -> str:
    """The card that a published folder of the whole SOCO has.

    Args:
        repo: "ORG/NAME" that its examples load.
        sample: address of the sample picture.

    Rows that nobody can count without the files are left out, and so are the sizes of files.
    """
    rows: dict[str, dict[str, int | None]] = {}
    for name, spec in BENCHMARK.configs.items():
        rows[name] = {split: _ROWS.get(split if spec.pairs == "probe" else spec.pairs or name) for split in spec.splits}
    manifest: dict[str, Any] = {
        "counts": {
            "images": REAL_COUNTS.images,
            "categories": REAL_COUNTS.categories,
            "keypoints": REAL_COUNTS.about_keypoints,
            "rows": rows,
        },
        "source": {"id": HUB_RELEASE, "revision": None},
        "pairs": {"intra": "released", "cross": "released"},
        "shards": [],
        "preview": {"config": "preview", "split": "test", "rows": MOST_PAIRS, "bytes": 0},
        "sample": sample,
    }
    return render_card(manifest, "parquet", repo)
