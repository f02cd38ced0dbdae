"""A point in a model's answer, and the coordinate frames that models use. Needs neither inspect-ai nor torch.

Read are Molmo's XML, Qwen's `point_2d` and `bbox_2d`, JSON objects and lists, "x=..., y=..." and tuples; of several
points the last one counts. What the numbers mean is the model's frame: the text alone does not say it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import UsageError, unknown_name
from .answer_text import without_thought

_N = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_GAP = r"\s*[,;]\s*|\s+"
_NUMBERS = rf"{_N}(?:(?:{_GAP}){_N})+"
_UNIT = re.compile(r"(?<=[\d.])\s*(?:px\b|pixels?\b|%)", re.IGNORECASE)
_QUOTED = re.compile(rf"([\"'])\s*({_NUMBERS}|{_N})\s*\1")
_LIST = rf"[\[(]+\s*{_NUMBERS}\s*[\])]+"
_KEYED = re.compile(
    r"[\"']?\b(?:point_2d|bbox_2d|box_2d|bbox|points?|coordinates?|coords?|position|location)[\"']?\s*[:=]\s*"
    rf"(?P<lists>[\[(]*{_LIST}(?:\s*,\s*{_LIST})*)",
    re.IGNORECASE,
)
_BRACKETS = re.compile(rf"[\[(]\s*(?P<numbers>{_NUMBERS})\s*[\])]")
_AXIS = (
    r"(?<![A-Za-z])[\"']?{axis}(?:[-_ ]?coord(?:inate)?)?\d?[\"']?\s*(?:[:=>]|\bis\b)\s*"
    r"[\"']?\s*(?P<{axis}>{number})[\"']?"
)
_BETWEEN = r"(?:</\w+>)?\s*(?:[,;]|\band\b)?\s*<?"
_XY, _YX = (
    re.compile(_AXIS.format(axis=one, number=_N) + _BETWEEN + _AXIS.format(axis=two, number=_N), re.IGNORECASE)
    for one, two in ("xy", "yx")
)
_ONLY_PAIR = re.compile(rf"(?<![\w.])(?P<x>{_N})\s*(?:[,;/]\s*|\s)(?P<y>{_N})")


def parse_point(text: object) -> tuple[float, float] | None:
    """The two numbers (x, y) of the last point in an answer, as written; None where there is none.

    A box of four numbers gives its center. What a model thinks before </think> is not read.

    >>> parse_point('<point x="61.5" y="40.2" alt="ear">ear</point>'), parse_point('[{"point_2d": [512, 300]}]')
    ((61.5, 40.2), (512.0, 300.0))
    >>> parse_point("It is at (10, 20), so in the second image at (30, 40)."), parse_point("I cannot see it.")
    ((30.0, 40.0), None)
    """
    if not isinstance(text, str):
        return None
    words = unicodedata.normalize("NFKC", without_thought(text)).replace("−", "-").replace("\\", "")
    words = _QUOTED.sub(r"\2", _UNIT.sub("", words))
    lists = [(match.start(), re.findall(_NUMBERS, match["lists"])[-1]) for match in _KEYED.finditer(words)]
    lists = lists or [(match.start(), match["numbers"]) for match in _BRACKETS.finditer(words)]
    found = [(place, point) for place, numbers in lists if (point := _of_numbers(numbers)) is not None]
    for pattern in (_XY, _YX):
        found += [(match.start(), (float(match["x"]), float(match["y"]))) for match in pattern.finditer(words)]
    whole = all(words.count(start) == words.count(end) for start, end in ("[]", "()", "{}"))  # not cut in "[512, 30"
    if not found and whole and len(re.findall(rf"(?<![\w.]){_N}", words)) == 2 and (pair := _ONLY_PAIR.search(words)):
        found.append((0, (float(pair["x"]), float(pair["y"]))))
    point = max(found)[1] if found else (math.nan, math.nan)
    return point if all(math.isfinite(value) for value in point) else None


def _of_numbers(text: str) -> tuple[float, float] | None:
    numbers = [float(number) for number in re.findall(_N, text)]
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    if len(numbers) == 4:
        return (numbers[0] + numbers[2]) / 2, (numbers[1] + numbers[3]) / 2
    return None


@dataclass(frozen=True)
class Frame:
    """What the numbers of a model mean.

    Attributes:
        name: what records call it.
        request: how the prompt asks for it.
        to_pixels: (point as written, [width, height] of the picture as sent, how a processor resizes it) -> pixels of
            the picture as sent.
    """

    name: str
    request: str
    to_pixels: Callable[[tuple[float, float], tuple[int, int], ResizeLimits], tuple[float, float]]


def _scaled(whole: float) -> Callable[[tuple[float, float], tuple[int, int], object], tuple[float, float]]:
    return lambda point, size, limits: (point[0] / whole * size[0], point[1] / whole * size[1])


def smart_size(
    size: tuple[int, int], factor: int = 28, min_pixels: int = 3136, max_pixels: int = 12_845_056
) -> tuple[int, int]:
    """[width, height] to which Qwen2.5-VL's processor resizes a picture; its coordinates are pixels of that.

    Both sides become multiples of `factor`, with the number of pixels between the limits (transformers,
    models/qwen2_vl/image_processing_qwen2_vl.py, smart_resize).

    >>> smart_size((500, 375)), smart_size((20, 20))
    ((504, 364), (56, 56))
    """
    width, height = (max(factor, round(side / factor) * factor) for side in size)
    if width * height > max_pixels:
        shrink = math.sqrt(size[0] * size[1] / max_pixels)
        width, height = (max(factor, math.floor(side / shrink / factor) * factor) for side in size)
    elif width * height < min_pixels:
        grow = math.sqrt(min_pixels / (size[0] * size[1]))
        width, height = (math.ceil(side * grow / factor) * factor for side in size)
    return width, height


@dataclass(frozen=True)
class ResizeLimits:
    """How Qwen2.5-VL's processor resizes pictures, see `smart_size`; the defaults are the released checkpoints'."""

    factor: int = 28
    min_pixels: int = 3136
    max_pixels: int = 12_845_056


RELEASED_LIMITS = ResizeLimits()


def _of_resized(point: tuple[float, float], size: tuple[int, int], limits: ResizeLimits) -> tuple[float, float]:
    width, height = smart_size(size, limits.factor, limits.min_pixels, limits.max_pixels)
    return point[0] * size[0] / width, point[1] * size[1] / height


_JSON = 'Answer with JSON alone: {"point_2d": [x, y]}, where x and y are '
FRAMES = {
    "pixels": Frame(
        "pixels", _JSON + "pixels of the image, from its top left corner.", lambda point, size, limits: point
    ),
    "resized": Frame("resized", _JSON + "pixels of the image, from its top left corner.", _of_resized),
    "thousandths": Frame(
        "thousandths", _JSON + "thousandths of the width and the height, from 0 to 1000.", _scaled(1000)
    ),
    "percent": Frame("percent", 'Answer as <point x="..." y="..."/>, in percent of width and height.', _scaled(100)),
    "unit": Frame("unit", _JSON + "shares of the width and the height, from 0 to 1.", _scaled(1)),
}
# Declared per family by what its publishers say; the calibration checks it.
_DECLARED = (
    (r"qwen2[._]5[-_]?vl", "resized"),
    (r"qwen3[-_]?vl|internvl|gemini", "thousandths"),
    (r"molmo", "percent"),
)


def declared_frame(model: str, model_type: str | None = None) -> str:
    """The frame of a model by its name or type; "pixels" where nothing is known of it.

    >>> declared_frame("Qwen/Qwen2.5-VL-7B-Instruct"), declared_frame("allenai/Molmo-7B-D"), declared_frame("gpt-4o")
    ('resized', 'percent', 'pixels')
    """
    for name in (model, model_type or ""):
        for pattern, frame in _DECLARED:
            if re.search(pattern, name, re.IGNORECASE):
                return frame
    return "pixels"


def frame_of(name: str) -> Frame:
    """The frame of a name. Raises `UsageError` for an unknown one."""
    if name not in FRAMES:
        raise unknown_name("coordinate frame", name, FRAMES)
    return FRAMES[name]


def point_in_pixels(
    text: object,
    frame: str,
    sent: tuple[int, int],
    size: tuple[int, int],
    limits: ResizeLimits = RELEASED_LIMITS,
) -> tuple[float, float] | None:
    """Where an answer points, in pixels of the stored image; None where it gives no point.

    Args:
        text: the answer.
        frame: of `FRAMES`.
        sent: [width, height] of the picture as it was sent.
        size: [width, height] of the stored image.
        limits: of the frame "resized".

    Raises:
        UsageError: an unknown frame, or an empty picture.
    """
    if min(*sent, *size) < 1:
        raise UsageError(f"A picture has at least one pixel; got {sent} and {size}.")
    point = parse_point(text)
    if point is None:
        return None
    x, y = frame_of(frame).to_pixels(point, sent, limits)
    return x * size[0] / sent[0], y * size[1] / sent[1]
