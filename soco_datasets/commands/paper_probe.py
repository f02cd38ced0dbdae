"""The linear probe of `soco evaluate --protocol paper`: where it is trained, and why it is not elsewhere."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..correspondence.probe_pairs import ProbeData
    from ..data.folder import DatasetFolder


def probe_asked(arguments: argparse.Namespace, folder: DatasetFolder) -> ProbeData | None:
    """The pairs of the probe that belongs to the preset; None where there is none to train, for a reason that is said.

    Without images to hold out there is only the variant that selects its epoch on the test split.
    """
    from ..correspondence.presets import get_preset
    from ..correspondence.probe_pairs import SOC, read_probe_data
    from ..errors import DatasetFolderError, UsageError

    if not get_preset(arguments.protocol).probe or arguments.tasks is not None or arguments.no_probe:
        return None
    reasons = {
        f"since {folder.path} has no {SOC.config}": SOC.config not in folder.configs,
        "since it is of the released pairs": arguments.split == "all",
        "since it is trained in one process": arguments.engine != "local",
        "since the model has a head already": arguments.head is not None,
        "since it is scored by boxes and over all cells": arguments.normaliser != "bbox" or arguments.valid_area,
    }
    for reason, holds in reasons.items():
        if holds:
            say_left_out(reason)
            return None
    try:
        return read_probe_data(folder)
    except UsageError:
        say_left_out(
            "since there are too few training images to hold some out", "the honest variant of the linear probe"
        )
        return read_probe_data(folder, ("reference",))
    except DatasetFolderError as error:
        say_left_out(f"since it cannot be trained ({error})")
        return None


def say_left_out(reason: str, what: str = "the linear probe") -> None:
    """Tell on stderr what is not run."""
    print(f"left out, {reason}: {what}", file=sys.stderr)
