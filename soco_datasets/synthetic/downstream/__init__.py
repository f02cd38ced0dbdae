"""Synthetic releases of the downstream data sets: their true layouts, exact truth from rendered scenes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from ...errors import unknown_name
from .ade20k_release import write_ade20k
from .davis_release import write_davis
from .imagenet3d_release import write_imagenet3d
from .imagenet_release import write_imagenet
from .navi_release import write_navi
from .nyu_release import write_nyu
from .omni3d_release import write_omni3d

WRITERS: dict[str, Callable[[Path, int], Mapping[str, int]]] = {
    "imagenet": write_imagenet,
    "ade20k": write_ade20k,
    "nyu": write_nyu,
    "navi": write_navi,
    "davis": write_davis,
    "imagenet3d": write_imagenet3d,
    "omni3d": write_omni3d,
}
# Raise that of a kind whenever the same seed gives other files than before.
SYNTHETIC_VERSIONS = {**dict.fromkeys(WRITERS, 1), "omni3d": 2}


def write_synthetic(kind: str, folder: Path, seed: int = 0) -> None:
    """Write the release of a data set into an existing empty folder; the same seed gives the same files.

    Raises:
        UsageError: an unknown kind.
        MissingExtraError: a package that writes the layout is not installed.
    """
    if kind not in WRITERS:
        raise unknown_name("data set", kind, WRITERS)
    expected = WRITERS[kind](folder, seed)
    content = {"kind": kind, "version": SYNTHETIC_VERSIONS[kind], "seed": seed, "expected": dict(expected)}
    (folder / "synthetic.json").write_text(json.dumps(content) + "\n", encoding="utf-8")
