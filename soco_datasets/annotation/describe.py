"""What a keypoint is called in words, for the page and for the release's language templates."""

from __future__ import annotations

import re
import string

from .project import ProjectCategory

_BOX_TEXT = {
    "box_top_left": "Top left corner of the tightest box around the whole object",
    "box_bottom_right": "Bottom right corner of the tightest box around the whole object",
}


def describe_point(category: ProjectCategory, name: str) -> str:
    """A sentence for a keypoint: its description, else the category's template, else its name as words.

    >>> from soco_datasets.annotation.project import Keypoint
    >>> describe_point(ProjectCategory("cup", keypoints=(Keypoint("cup_handle_top"),)), "cup_handle_top")
    'Cup handle top'
    """
    if name in _BOX_TEXT:
        return _BOX_TEXT[name]
    keypoint = category.by_name[name]
    text = keypoint.description
    if text is None and category.template:
        values = {"category": category.name, "keypoint": name, **vars(keypoint)}
        words = {key: re.sub(r"[_\s]+", " ", value) for key, value in values.items() if isinstance(value, str)}
        wanted = [part[1] for part in string.Formatter().parse(category.template) if part[1] is not None]
        if all(words.get(key) for key in wanted):
            text = " ".join(re.sub(r"\{(\w+)\}", lambda m: words[m[1]], category.template).split())
    text = text or re.sub(r"[_\s]+", " ", name).strip()
    return text[:1].upper() + text[1:]
