"""Write dataset_card.md, the card of the whole SOCO, and its picture: python tools/make_dataset_card.py [--check]

The picture is a pair of the built-in mini set, whose images may be shown by anybody. A test runs the check.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.benchmarks.preview import SAMPLE
from soco_datasets.benchmarks.soco.full_card import full_card

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "soco-data"  # what the examples load: the folder of `soco build --out soco-data`
CARD, PICTURE = ROOT / "dataset_card.md", ROOT / "docs" / "images" / SAMPLE


def main() -> None:
    """Write both, or with --check exit with 1 where the card is not what would be written."""
    text = full_card(FOLDER, PICTURE.relative_to(ROOT).as_posix())
    if "--check" in sys.argv[1:]:
        sys.exit(0 if CARD.read_text(encoding="utf-8") == text else f"{CARD} is old: python {Path(__file__).name}")
    CARD.unlink(missing_ok=True)  # it was a link once
    CARD.write_text(text, encoding="utf-8")
    with tempfile.TemporaryDirectory() as work:
        PICTURE.write_bytes((build_dataset("mini", Path(work) / "mini").path / SAMPLE).read_bytes())


if __name__ == "__main__":
    main()
