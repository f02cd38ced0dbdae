"""The linear probe of `soco evaluate --protocol paper`: when it is trained, and why it is skipped otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..utils.terminal import print_note

if TYPE_CHECKING:
    from ..config import ScoringConfig
    from ..correspondence.probe_pairs import ProbeData
    from ..data.folder import DatasetFolder
    from .evaluate_options import EvaluationPlan


def requested_probe(plan: EvaluationPlan, folder: DatasetFolder) -> ProbeData | None:
    """The pairs of the probe that belongs to the preset; None if no probe is trained, with the reason on stderr.

    Without images to hold out there is only the variant that selects its epoch on the test split.
    """
    from ..correspondence.presets import get_preset
    from ..correspondence.probe_pairs import SOC, read_probe_data
    from ..errors import DatasetFolderError, UsageError

    protocol = plan.protocol
    if not get_preset(protocol.protocol).probe or protocol.tasks is not None or protocol.no_probe:
        return None
    reasons = {
        f"since {folder.path} has no {SOC.config}": SOC.config not in folder.configs,
        "since it uses the released pairs": protocol.split == "all",
        "since the model has a head already": plan.model.head is not None,
        "since it is scored by boxes and over all cells": protocol.normalizer != "bbox" or protocol.valid_area,
    }
    for reason, holds in reasons.items():
        if holds:
            report_skipped(reason)
            return None
    try:
        return read_probe_data(folder, overlap="keep")  # the paper's protocol takes the release as it is
    except UsageError:
        report_skipped(
            "since there are too few training images to hold some out", "the heldout variant of the linear probe"
        )
        return read_probe_data(folder, ("reference",), overlap="keep")
    except DatasetFolderError as error:
        report_skipped(f"since it cannot be trained ({error})")
        return None


def probe_scoring(scoring: ScoringConfig) -> ScoringConfig:
    """How the probe of an evaluation is scored: with its convention and thresholds, by boxes and over all cells."""
    from ..config import ScoringConfig

    return ScoringConfig(scoring.convention, scoring.alphas)


def report_skipped(reason: str, what: str = "the linear probe") -> None:
    """Report on stderr what is not run."""
    print_note(f"left out, {reason}: {what}")
