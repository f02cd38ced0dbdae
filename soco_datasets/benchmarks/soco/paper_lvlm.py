"""The paper's table 3: vision-language models on its own draw of questions."""

from __future__ import annotations

import csv
from importlib import resources


def paper_rows() -> list[dict[str, str]]:
    """The rows as printed: circular accuracy in percent, with the keys model, vis, vis_desc, desc."""
    text = resources.files(__package__).joinpath("paper_lvlm.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
