"""The project: a folder that a person can read. `project.yaml` names categories, keypoints and reference cards."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import DataNotFoundError, unknown_name
from ..utils.foreign import ForeignTextError, read_bounded_bytes
from ..utils.paths import local_path, real_path
from .yaml_lines import LinedYaml, ProjectError, parse_yaml
from .yaml_lines import Path as FieldPath

PROJECT_FILE = "project.yaml"
_LARGEST = 10_000_000  # bytes
DATABASE_FILE = "annotations.sqlite"
BOX_POINTS = ("box_top_left", "box_bottom_right")  # asked for as two more points where an image has no box
KINDS = ("structural", "functional")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.\-]{0,79}")


@dataclass(frozen=True)
class Card:
    """A reference card. `image` is a path below the project folder, `point` (x, y) in its stored pixels."""

    image: str
    point: tuple[float, float]


@dataclass(frozen=True)
class Keypoint:
    """A keypoint of a category; fields as in the release's taxonomy, None where not given."""

    name: str
    concept: str | None = None
    kind: str = "structural"
    part: str | None = None
    part_position: str | None = None
    point_position: str | None = None
    description: str | None = None
    card: Card | None = None
    mirror: str | None = None


@dataclass(frozen=True)
class ProjectCategory:
    """A category. `template` describes keypoints without a description of their own ("{concept} of a {category}")."""

    name: str
    supercategory: str | None = None
    template: str | None = None
    keypoints: tuple[Keypoint, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Keypoint]:
        """Keypoint name -> keypoint."""
        return {keypoint.name: keypoint for keypoint in self.keypoints}

    @cached_property
    def mirrors(self) -> dict[str, str]:
        """Keypoint -> its left-right partner, stated or by its name; both directions."""
        return {
            k.name: m
            for k in self.keypoints
            if (m := k.mirror or swapped_words(k.name, "left", "right")) in self.by_name
        }

    @cached_property
    def ends(self) -> dict[str, str]:
        """Keypoint -> its front-rear partner by name."""
        pairs = (("front", "rear"), ("front", "back"), ("fore", "hind"), ("top", "bottom"))
        found = {}
        for name in self.by_name:
            other = next((o for a, b in pairs if (o := swapped_words(name, a, b)) in self.by_name), None)
            if other:
                found[name] = other
        return found


@dataclass(frozen=True)
class Settings:
    """Numbers that decide how work is given out and judged; lengths are shares.

    Attributes:
        annotators_per_image: independent annotators of an image (k).
        qualification_pass: share of gold points that must be right before real work.
        gold_every: a gold image is mixed in after about this many images; 0 = never.
        gold_pass: mean share of right gold points over `gold_window` images below which a person is paused.
        gold_window: gold images that the running mean is taken over.
        tolerance: a gold point is right within this share of the box's longest side.
        dispute: spread of the points, as a share of the longest image side, from which a keypoint is disputed.
        task_hours: an opened image goes to somebody else after this long without a save.
        ask_box: ask for the object's box where an image has none.
    """

    annotators_per_image: int = 3
    qualification_pass: float = 0.8
    gold_every: int = 10
    gold_pass: float = 0.7
    gold_window: int = 3
    tolerance: float = 0.1
    dispute: float = 0.05
    task_hours: float = 24.0
    ask_box: bool = True


@dataclass(frozen=True)
class Project:
    """A project as its file says it."""

    folder: Path
    title: str
    license: str | None
    instructions: str
    settings: Settings
    categories: tuple[ProjectCategory, ...]
    by_name: dict[str, ProjectCategory] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        self.by_name.update({category.name: category for category in self.categories})

    def category(self, name: str) -> ProjectCategory:
        """Raises `UsageError` for an unknown name."""
        if name not in self.by_name:
            raise unknown_name("category", name, self.by_name)
        return self.by_name[name]

    @property
    def database_url(self) -> str:
        """The embedded database beside `project.yaml`."""
        return f"sqlite:///{self.folder / DATABASE_FILE}"


def swapped_words(name: str, first: str, second: str) -> str | None:
    """The name with two words exchanged; None where neither occurs.

    >>> swapped_words("wheel_front_left", "left", "right"), swapped_words("nose", "left", "right")
    ('wheel_front_right', None)
    """
    words = re.split(r"([_\s-])", name)
    exchanged = [second if word == first else first if word == second else word for word in words]
    return None if exchanged == words else "".join(exchanged)


def asked_points(category: ProjectCategory, has_box: bool, settings: Settings) -> list[str]:
    """Names that an annotator is asked for, in order."""
    names = [keypoint.name for keypoint in category.keypoints]
    return names if has_box or not settings.ask_box else [*names, *BOX_POINTS]


def load_project(folder: Path) -> Project:
    """Read and check `project.yaml`.

    Raises:
        DataNotFoundError: there is none.
        ProjectError: every problem, with line and field.
    """
    path = local_path(folder) / PROJECT_FILE
    if not path.is_file():
        raise DataNotFoundError(f"{folder} has no {PROJECT_FILE}. Make a project with: soco annotate init {folder}")
    try:
        text = read_bounded_bytes(path, _LARGEST).decode("utf-8")
    except UnicodeDecodeError:
        raise ProjectError(f"{path}: not UTF-8; save it as UTF-8.") from None
    except ForeignTextError as error:
        raise ProjectError(f"{path}: {error}.") from None
    parsed = parse_yaml(text, str(path))
    project = _Reader(parsed, local_path(folder)).project()
    if parsed.problems:
        raise ProjectError(f"{path} has {len(parsed.problems)} problem(s):\n  " + "\n  ".join(parsed.problems))
    return project


class _Reader:
    """Reads the parsed file; problems are collected, so that one run shows all of them."""

    def __init__(self, parsed: LinedYaml, folder: Path) -> None:
        self.parsed, self.folder = parsed, folder

    def project(self) -> Project:
        known = {"title", "license", "instructions", "settings", "categories"}
        top = self.mapping(self.parsed.value, (), known)
        nodes = top.get("categories")
        if not isinstance(nodes, list) or not nodes:
            self.parsed.report(("categories",), "give a list with at least one category")
            nodes = []
        categories = [self.category(node, ("categories", index)) for index, node in enumerate(nodes)]
        self.unique([c.name for c in categories], ("categories",))
        self.same_concepts(categories)
        return Project(
            real_path(self.folder),
            self.text(top, "title", ()) or self.folder.name,
            self.text(top, "license", ()),
            self.text(top, "instructions", ()) or "",
            self.settings(top.get("settings")),
            tuple(categories),
        )

    def mapping(self, node: Any, path: FieldPath, known: set[str]) -> dict[str, Any]:
        if not isinstance(node, dict):
            self.parsed.report(path, f"must be fields such as {', '.join(sorted(known)[:3])}")
            return {}
        for key in node.keys() - known:
            self.parsed.report((*path, key), f"unknown field; known: {', '.join(sorted(known))}")
        return node

    def text(self, node: dict[str, Any], key: str, path: FieldPath) -> str | None:
        value = node.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            self.parsed.report((*path, key), f"must be text, got {value!r}")
            return None
        return value.strip()

    def name(self, node: dict[str, Any], path: FieldPath, reserved: tuple[str, ...] = ()) -> str:
        value = self.text(node, "name", path)
        if value is None:
            self.parsed.report((*path, "name"), "is missing")
            return ""
        if not _NAME.fullmatch(value) or ".." in value or value.endswith((".", " ")):
            self.parsed.report((*path, "name"), f"{value!r}: letters, digits, spaces, _ . and - only, at most 80")
        if value in reserved:
            self.parsed.report((*path, "name"), f"{value!r} is reserved")
        return value

    def category(self, node: Any, path: FieldPath) -> ProjectCategory:
        top = self.mapping(node, path, {"name", "supercategory", "template", "keypoints"})
        nodes = top.get("keypoints")
        if not isinstance(nodes, list) or not nodes:
            self.parsed.report((*path, "keypoints"), "give a list with at least one keypoint")
            nodes = []
        points = [self.keypoint(item, (*path, "keypoints", index)) for index, item in enumerate(nodes)]
        names = [point.name for point in points]
        self.unique(names, (*path, "keypoints"))
        for index, point in enumerate(points):
            if point.mirror is not None and point.mirror not in names:
                self.parsed.report((*path, "keypoints", index, "mirror"), f"{point.mirror!r} is not a keypoint here")
        return ProjectCategory(
            self.name(top, path), self.text(top, "supercategory", path), self.text(top, "template", path), tuple(points)
        )

    def keypoint(self, node: Any, path: FieldPath) -> Keypoint:
        node = {"name": node} if isinstance(node, str) else node
        top = self.mapping(node, path, {f.name for f in fields(Keypoint)})
        kind = self.text(top, "kind", path) or "structural"
        if kind not in KINDS:
            self.parsed.report((*path, "kind"), f"{kind!r}; known: {', '.join(KINDS)}")
        texts = ("concept", "part", "part_position", "point_position", "description", "mirror")
        values = {key: self.text(top, key, path) for key in texts}
        card = None if top.get("card") is None else self.card(top["card"], (*path, "card"))
        return Keypoint(name=self.name(top, path, BOX_POINTS), kind=kind, card=card, **values)

    def card(self, node: Any, path: FieldPath) -> Card | None:
        top = self.mapping(node, path, {"image", "point"})
        image, point = self.text(top, "image", path), top.get("point")
        if image is None:
            self.parsed.report((*path, "image"), "is missing")
            return None
        file = real_path(self.folder / image)
        if not file.is_relative_to(real_path(self.folder)):
            self.parsed.report((*path, "image"), f"{image!r} is outside the project folder")
            return None
        if not file.is_file():
            self.parsed.report((*path, "image"), f"{image!r} is not there")
            return None
        if not (isinstance(point, list) and len(point) == 2 and all(_is_number(value) for value in point)):
            self.parsed.report((*path, "point"), f"give [x, y] in pixels of the card, got {point!r}")
            return None
        size = _image_size(file)
        if size is None:
            self.parsed.report((*path, "image"), f"{image!r} does not decode as an image")
        elif not (0 <= point[0] < size[0] and 0 <= point[1] < size[1]):
            self.parsed.report((*path, "point"), f"{point} is outside the card of {size[0]} x {size[1]} pixels")
        return Card(image, (float(point[0]), float(point[1])))

    def settings(self, node: Any) -> Settings:
        if node is None:
            return Settings()
        types: dict[str, type] = {name: type(value) for name, value in vars(Settings()).items()}
        values: dict[str, Any] = {}
        top = self.mapping(node, ("settings",), set(types))
        for key, value in top.items():
            kind = types.get(key)
            right = (
                isinstance(value, bool)
                if kind is bool
                else _is_number(value) and (kind is float or value == int(value))
            )
            if not right:
                self.parsed.report(("settings", key), f"must be a {kind.__name__ if kind else 'number'}, got {value!r}")
            elif kind is not bool and value < (1 if key in ("annotators_per_image", "gold_window") else 0):
                self.parsed.report(("settings", key), f"is too small: {value}")
            elif kind is float and key != "task_hours" and value > 1:
                self.parsed.report(("settings", key), f"is a share from 0 to 1, got {value}")
            elif kind is not None:
                values[key] = kind(value)
        return Settings(**{k: v for k, v in values.items() if k in types})

    def unique(self, names: list[str], path: FieldPath) -> None:
        for index, name in enumerate(names):
            if name and name.casefold() in (other.casefold() for other in names[:index]):
                self.parsed.report((*path, index, "name"), f"{name!r} is there twice")

    def same_concepts(self, categories: list[ProjectCategory]) -> None:
        """One keypoint name has one concept in all categories: the release cannot say otherwise."""
        first: dict[str, tuple[str | None, str]] = {}
        for number, category in enumerate(categories):
            for index, point in enumerate(category.keypoints):
                concept, holder = first.setdefault(point.name, (point.concept, category.name))
                if concept != point.concept:
                    message = f"{point.concept!r}, but {concept!r} for the same keypoint in {holder!r}"
                    self.parsed.report(("categories", number, "keypoints", index, "concept"), message)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9


def _image_size(file: Path) -> tuple[int, int] | None:
    from PIL import Image

    try:
        with Image.open(file) as image:
            return image.size
    except Exception:  # Pillow raises many kinds of error on damaged data
        return None
