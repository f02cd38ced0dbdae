"""A matplotlib figure as inline SVG that follows the page: its fonts, and its colors in light and in dark."""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ElementTree
from typing import TYPE_CHECKING, Any

from ..utils.colors import PAPER
from ..utils.text import clean
from .style import css_names, print_settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_REFERENCE = re.compile(r"url\(#([^)]*)\)")
_COLOR = re.compile(r"#[0-9a-f]{6}")
_FAMILY = re.compile(rb"(<(?:text|tspan)\b[^<>]*?font-family: )[^;\"<>]*")  # within a tag, never in a name
_FAMILIES = rb"\1Arial, Helvetica, 'Liberation Sans', 'Nimbus Sans', 'DejaVu Sans', sans-serif"
_FONT = re.compile(r"font-family:[^;]*;?\s*")


def inline_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an `<svg>` element for an HTML page, its text selectable.

    Colors of the house style become `var(--ink)` and so on; ids are made unique with `name`. Text is only ever
    written as XML text, so nothing in a label can become markup.

    Args:
        figure: drawn with `reporting.style`.
        name: letters, digits and dashes; different for every chart of a page.
        description: what a screen reader says.
    """
    root = ElementTree.fromstring(picture(figure, "svg", name, "none"))
    _strip(root)
    names = {identity: f"{name}-{number}" for number, identity in enumerate(_referenced(root))}
    variables = css_names()
    for element in root.iter():
        _follow(element, names, variables)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": clean(description)}
    return ElementTree.tostring(root, encoding="unicode")


def picture(figure: Figure, form: str, salt: str = "soco", background: str = PAPER) -> bytes:
    """The figure as a file's bytes, the same for the same figure.

    Args:
        figure: drawn with `reporting.style`.
        form: "svg", "pdf" or "png".
        salt: of the ids in an SVG.
        background: a color, or "none".
    """
    import matplotlib

    buffer = io.BytesIO()
    settings: Any = {**print_settings(), "svg.hashsalt": salt}
    unstated = {"svg": ("Date", "Creator"), "pdf": ("CreationDate", "Creator", "Producer")}
    metadata = dict.fromkeys(unstated.get(form, ("Software",)))
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # Labels are measured in matplotlib's font; what it lacks, the font of a browser may have.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format=form, facecolor=background, metadata=metadata, dpi=160)
    return _FAMILY.sub(_FAMILIES, buffer.getvalue()) if form == "svg" else buffer.getvalue()


def _strip(root: ElementTree.Element) -> None:
    """Take out metadata, the style that would leak into the page, and namespaces, which HTML does without."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}


def _referenced(root: ElementTree.Element) -> list[str]:
    """The ids that something refers to, in order."""
    found: dict[str, None] = {}
    for element in root.iter():
        if "href" in element.attrib:
            found[element.attrib["href"].removeprefix("#")] = None
        for value in element.attrib.values():
            found.update(dict.fromkeys(_REFERENCE.findall(value)))
    return list(found)


def _follow(element: ElementTree.Element, names: dict[str, str], variables: dict[str, str]) -> None:
    attributes = element.attrib
    if attributes.get("id") in names:
        attributes["id"] = names[attributes["id"]]
    else:
        attributes.pop("id", None)
    if "href" in attributes:
        attributes["href"] = "#" + names[attributes["href"].removeprefix("#")]
    if "clip-path" in attributes:
        attributes["clip-path"] = _REFERENCE.sub(lambda match: f"url(#{names[match[1]]})", attributes["clip-path"])
    if "style" in attributes:
        style = _FONT.sub("", attributes["style"])
        attributes["style"] = _COLOR.sub(
            lambda match: f"var(--{variables[match[0]]})" if match[0] in variables else match[0], style
        )
