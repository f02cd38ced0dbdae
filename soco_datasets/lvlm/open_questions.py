"""The questions of a built dataset folder, ready to be asked."""

from __future__ import annotations

from pathlib import Path

from ..benchmarks.resolve import dataset_folder
from ..data.folder import DatasetFolder
from ..data.questions.generation import SETTINGS
from ..data.questions.markers import MarkerStyle
from ..data.questions.pictures import open_pictures
from ..data.questions.prompts import PromptTemplate, load_template
from ..errors import unknown_name
from .prompted import PromptedQuestions
from .question_rows import read_rows


def open_asked(
    setting: str,
    data: str | Path | DatasetFolder | None = None,
    *,
    template: str | Path | PromptTemplate | None = None,
    style: MarkerStyle | None = None,
) -> PromptedQuestions:
    """The questions of one setting.

    Args:
        setting: of `SETTINGS`.
        data: a built dataset folder (its path or opened), "mini", or None = where `load_dataset("soco")` finds it.
        template: another wording, as a TOML file or loaded.
        style: of the markers; default a red arrow.

    Raises:
        UsageError: an unknown setting, or a folder without questions.
        DataNotFoundError, DatasetFolderError: no such data, or damaged.
    """
    if setting not in SETTINGS:
        raise unknown_name("setting", setting, SETTINGS)
    folder = dataset_folder(data)
    rows = read_rows(folder, setting)
    style = style or MarkerStyle()
    return PromptedQuestions(
        setting=setting,
        dataset=folder.content_hash,
        rows=rows,
        images=lambda place: open_pictures(folder, rows[place], style),
        template=template if isinstance(template, PromptTemplate) else load_template(template),
        markers={"shape": style.shape, "color": style.color},
    )
