"""The photographs of a report: each once, small, as data URIs within a budget of bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

HEIGHT = 270  # of every photograph as shown, so that marks on source and target are of one size
_WIDEST = 2.5  # times the height; what is wider is shown lower
_STEPS = (
    (720, 80),
    (540, 78),
    (380, 80),
    (320, 70),
    (260, 62),
    (200, 55),
    (140, 45),
)  # (longer side, JPEG quality), best first
BUDGET = 7_500_000  # bytes of JPEG; base64 adds a third


@dataclass(frozen=True)
class Photograph:
    """One image as shown: its key, (width, height) and what image pixels are multiplied by.

    Points are given in this frame, whatever the size of the JPEG.
    """

    key: str
    size: tuple[int, int]
    scale: float

    def shown(self, point: Sequence[float]) -> tuple[float, float]:
        """A point of the image in the frame of the picture."""
        return round(point[0] * self.scale, 1), round(point[1] * self.scale, 1)

    def within(self, point: Sequence[float]) -> tuple[float, float]:
        """The same, moved to the border of the picture where it lies outside."""
        x, y = self.shown(point)
        return min(max(x, 0.0), float(self.size[0])), min(max(y, 0.0), float(self.size[1]))


class Photographs:
    """Collects images by id; each is loaded once.

    Args:
        load: image_id -> RGB image.
    """

    def __init__(self, load: Callable[[str], Image.Image]) -> None:
        self._load = load
        self._known: dict[str, Photograph] = {}
        self._small: list[Image.Image] = []

    def __len__(self) -> int:
        return len(self._small)

    def add(self, image_id: str) -> Photograph:
        """The image as shown. Raises what `load` raises for an unknown id."""
        if image_id not in self._known:
            image = self._load(image_id)
            scale = min(HEIGHT / image.height, _WIDEST * HEIGHT / image.width)
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            self._known[image_id] = Photograph(f"p{len(self._small)}", size, scale)
            self._small.append(_at_most(image.convert("RGB"), _STEPS[0][0]))
        return self._known[image_id]

    def data_uris(self, budget: int = BUDGET) -> dict[str, tuple[str, tuple[int, int]]]:
        """Key -> (data URI, size as shown). The more images there are, the coarser each is, to keep to the budget."""
        coded: list[bytes] = []
        for side, quality in _STEPS:
            coded, left = [], budget
            for image in self._small:
                coded.append(_jpeg(image, side, quality))
                left -= len(coded[-1])
                if left < 0 and (side, quality) != _STEPS[-1]:
                    break
            if left >= 0:
                break
        photographs = sorted(self._known.values(), key=lambda photograph: int(photograph.key[1:]))
        return {
            photograph.key: (f"data:image/jpeg;base64,{base64.b64encode(data).decode()}", photograph.size)
            for photograph, data in zip(photographs, coded, strict=True)
        }


def _jpeg(image: Image.Image, side: int, quality: int) -> bytes:
    image = _at_most(image, side)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def _at_most(image: Image.Image, side: int) -> Image.Image:
    """The image, its longer side at most so many pixels."""
    if max(image.size) > side:
        image = image.copy()
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image
