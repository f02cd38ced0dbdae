"""What a run needs of questions: rows of ids and text, prompts, pictures drawn when asked for, and a key per row."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..data.questions.markers import encode
from ..data.questions.prompts import DEFAULT_TEMPLATE, PromptTemplate
from ..errors import UsageError, unknown_name

if TYPE_CHECKING:
    from PIL import Image

# What of a row decides what a model sees, besides the prompt; a row read from an older folder may lack some.
KEY_FIELDS = (
    "setting", "question_id", "g_index", "index", "source_image_id", "target_image_id", "source_point",
    "candidate_points", "options", "image_paths",
)  # fmt: skip
IMAGE_FORMATS = {"png": "image/png", "jpeg": "image/jpeg"}


@dataclass(frozen=True)
class PromptedQuestions:
    """The questions of one setting as they are put to a model, in order.

    Attributes:
        setting: "vis", "vis_desc" or "desc".
        dataset: the data they are of (content hash, or the imported file's), as answers files and records name it.
        rows: of the config `lvlm`, without images.
        images: place of a row -> its pictures with their markers, RGB, by column ("source_image", "target_image").
        template: the wording.
        markers: style of the markers, as records name it; None where pictures come with theirs.
    """

    setting: str
    dataset: str
    rows: Sequence[Mapping[str, Any]]
    images: Callable[[int], Mapping[str, Image.Image]]
    template: PromptTemplate = field(default=DEFAULT_TEMPLATE)
    markers: Mapping[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def prompt(self, place: int) -> str:
        """The text of a question, options included."""
        return self.template.render(self.rows[place]).text

    def pictures(self, place: int) -> list[Image.Image]:
        """The one or two pictures of a question, in the order they are shown."""
        images = self.images(place)
        return [images[name] for name in self.template.render(self.rows[place]).images]

    def content(self, place: int, pictures: Sequence[Image.Image] | None = None) -> list[str | Image.Image]:
        """What is sent, in order: the pictures, each with its label where the template has one, then the text.

        Args:
            place: of the row.
            pictures: its pictures; None = drawn now.
        """
        shown = self.pictures(place) if pictures is None else pictures
        parts: list[str | Image.Image] = list(shown)
        if self.template.image_label and len(shown) > 1:
            parts = []
            for number, picture in enumerate(shown, start=1):
                start = "" if number == 1 else "\n"
                parts += [start + self.template.image_label.replace("{number}", str(number)), picture]
        after = "\n" if self.template.image_label and shown else ""
        return [*parts, after + self.prompt(place)]

    def key(self, place: int) -> str:
        """Hex sha256 over all that a model sees of a row: the same in every run of the same data and template."""
        row = self.rows[place]
        seen = [self.prompt(place), dict(self.markers or {}), [row.get(name) for name in KEY_FIELDS]]
        seen += [self.template.image_label] if self.template.image_label else []
        text = json.dumps(seen, ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def all_keys(self) -> Iterator[str]:
        """The key of every row, in order."""
        return (self.key(place) for place in range(len(self.rows)))

    def first(self, limit: int | None) -> PromptedQuestions:
        """The first `limit` questions with all their orderings; all of them for None.

        Raises:
            UsageError: a limit below 1.
        """
        if limit is None:
            return self
        if limit < 1:
            raise UsageError(f"A run asks at least one question; got a limit of {limit}.")
        return self.only(list(dict.fromkeys(row["g_index"] for row in self.rows))[:limit])

    def only(self, groups: Collection[str]) -> PromptedQuestions:
        """The questions of some `g_index`, with all their orderings, in the order they have here."""
        wanted = set(groups)
        places = [place for place, row in enumerate(self.rows) if row["g_index"] in wanted]
        return replace(
            self, rows=[self.rows[place] for place in places], images=lambda place: self.images(places[place])
        )


def data_uri(image: Image.Image, image_format: str = "png") -> str:
    """The picture as a data URI. "png" is exact; "jpeg" of high quality is a fifth of the bytes.

    Raises:
        UsageError: an unknown format.
    """
    if image_format not in IMAGE_FORMATS:
        raise unknown_name("image format", image_format, IMAGE_FORMATS)
    if image_format == "jpeg":
        content = encode(image.convert("RGB"))
    else:
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "PNG", compress_level=1)
        content = buffer.getvalue()
    return f"data:{IMAGE_FORMATS[image_format]};base64,{base64.b64encode(content).decode('ascii')}"
