"""The question rows of a built or imported folder, without images."""

from __future__ import annotations

from typing import Any

from ..data.folder import DatasetFolder
from ..data.questions.generation import SETTINGS
from ..errors import UsageError

QUESTIONS_CONFIG = "lvlm"


def read_rows(folder: DatasetFolder, setting: str) -> list[dict[str, Any]]:
    """The rows of one setting, in order; see `schema.LVLM`.

    Raises:
        UsageError: the folder has no questions, or not in this setting.
        ChangedDataError: a file is not what was built.
    """
    if QUESTIONS_CONFIG not in folder.configs:
        raise UsageError(
            f"{folder.path} has no questions for vision-language models: it was built by an older toolkit, or no "
            "category has two images with enough common keypoints. Build it again with: soco build SOURCE --out DIR"
        )
    folder.check_intact()
    rows: list[dict[str, Any]] = folder.table(QUESTIONS_CONFIG, setting).to_pylist()
    return rows


def stored_settings(folder: DatasetFolder) -> list[str]:
    """The settings a folder has questions in, in the order of `SETTINGS`."""
    stored = folder.splits(QUESTIONS_CONFIG) if QUESTIONS_CONFIG in folder.configs else []
    return [name for name in SETTINGS if name in stored]


def questions_id(folder: DatasetFolder) -> str:
    """Hash of all question rows of a folder: answers belong to the questions of the same id."""
    return str(folder.manifest["lvlm"]["hash"])
