"""Synthetic releases of the downstream data sets: their true layouts, exact truth from rendered scenes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from ...errors import unknown_name
from . import ade20k, davis, imagenet, imagenet3d, navi, nyu, omni3d

SYNTHETIC_VERSION = 1  # raise it whenever the same seed gives other files than before
WRITERS: dict[str, Callable[[Path, int], Mapping[str, int]]] = {
    "imagenet": imagenet.write_imagenet,
    "ade20k": ade20k.write_ade20k,
    "nyu": nyu.write_nyu,
    "navi": navi.write_navi,
    "davis": davis.write_davis,
    "imagenet3d": imagenet3d.write_imagenet3d,
    "omni3d": omni3d.write_omni3d,
}


def write_synthetic(kind: str, folder: Path, seed: int = 0) -> None:
    """Write the release of a data set into an existing empty folder; the same seed gives the same files.

    Raises:
        UsageError: an unknown kind.
        MissingExtraError: a package that writes the layout is not installed.
    """
    if kind not in WRITERS:
        raise unknown_name("data set", kind, WRITERS)
    expected = WRITERS[kind](folder, seed)
    content = {"kind": kind, "version": SYNTHETIC_VERSION, "seed": seed, "expected": dict(expected)}
    (folder / "synthetic.json").write_text(json.dumps(content) + "\n", encoding="utf-8")
