"""A new project: a commented example, or the keypoints of a known taxonomy; and concepts proposed by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..benchmarks.soco.metadata import read_metadata
from ..benchmarks.soco.names import parse_name
from ..errors import DataNotFoundError, UsageError, unknown_name
from ..utils.files import atomic_write
from ..utils.foreign import read_json_text
from ..utils.paths import local_path
from .project import PROJECT_FILE, Keypoint, ProjectCategory

_AP10K = (
    "left_eye",
    "right_eye",
    "nose",
    "neck",
    "root_of_tail",
    "left_shoulder",
    "left_elbow",
    "left_front_paw",
    "right_shoulder",
    "right_elbow",
    "right_front_paw",
    "left_hip",
    "left_knee",
    "left_back_paw",
    "right_hip",
    "right_knee",
    "right_back_paw",
)
_COCO = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
TAXONOMIES: dict[str, tuple[str, Sequence[str]]] = {"ap-10k": ("animals", _AP10K), "coco-person": ("person", _COCO)}
_SIDES = frozenset({"left", "right", "front", "rear", "back", "top", "bottom", "upper", "lower"})

EXAMPLE = """\
# A project of `soco annotate`. Lines that begin with # are comments; check the file with: soco annotate check FOLDER
title: My category
license: CC BY 4.0          # of the photographs; travels along where a photograph has none of its own
instructions: >-
  Place each point as exactly as you can; zoom in where it is small. A point that is hidden by something
  is "not visible", even if you can guess where it is.

settings:
  annotators_per_image: 3   # independent people an image
  ask_box: true             # ask for the object's box where an image has none
  gold_every: 10            # about every tenth image is one with a known answer; 0 = never
  gold_pass: 0.7            # below this share of right gold points a person is paused
  qualification_pass: 0.8   # share of right points before real work begins
  tolerance: 0.1            # right = within this share of the box's longest side
  dispute: 0.05             # points further apart than this share of the longest image side are disputed

categories:
  - name: mug
    supercategory: hand_held      # SOCO's are transportation, hand_held, furniture, animals
    template: "{part} of a {category}"   # describes keypoints without a description of their own
    keypoints:
      # name: unique; left/right and front/rear in it make partners. concept: what it is, shared across categories.
      - name: mug_handle_top
        concept: handle_end         # points of one concept correspond across categories
        kind: functional            # structural (a place of the shape) or functional (a place with a use)
        part: handle                # the part it lies on
        part_position: side         # where the part is on the object
        point_position: top         # where the point is on the part
        description: Where the handle joins the body at its top
        # card: {image: cards/mug.jpg, point: [120, 40]}   # a reference card: a picture in this folder, the point on it
      - {name: mug_handle_bottom, concept: handle_end, kind: functional, part: handle, point_position: bottom}
      - {name: mug_rim_left, concept: rim, part: rim, part_position: left}
      - {name: mug_rim_right, concept: rim, part: rim, part_position: right}
      - {name: mug_base_center, concept: base_center, part: base, point_position: center}
"""


def init_project(folder: Path, taxonomy: str | None = None, categories: Sequence[str] = ()) -> Path:
    """Write `project.yaml` and the folders for images and cards.

    Args:
        folder: new, or without a `project.yaml`.
        taxonomy: None = the commented example; "ap-10k", "coco-person", or a file: SOCO's `keypoint_taxonomy.json` (a
            release folder will do) or a COCO annotation file with categories that have keypoints.
        categories: names to take from a file's taxonomy (default: all), or to give to a named one's keypoints.

    Raises:
        UsageError: there is a project already, or an unknown taxonomy or category.
    """
    path = folder / PROJECT_FILE
    if path.exists():
        raise UsageError(f"{path} is there already; edit it, or choose another folder.")
    text = EXAMPLE if taxonomy is None else project_text(folder.name, load_taxonomy(taxonomy, categories))
    atomic_write(path, text)
    for name in ("images", "cards"):
        (folder / name).mkdir(exist_ok=True)
    return path


def load_taxonomy(source: str, names: Sequence[str] = ()) -> list[ProjectCategory]:
    """The categories of a known taxonomy, see `init_project`."""
    if source in TAXONOMIES:
        default, points = TAXONOMIES[source]
        return [ProjectCategory(name, default, None, _with_concepts(points)) for name in names or (default,)]
    path = local_path(source)
    for inner in ("Metadata/keypoint_taxonomy.json", "keypoint_taxonomy.json"):
        path = path / inner if (path / inner).is_file() else path
    if not path.is_file():
        raise DataNotFoundError(f"{source!r} is neither a file nor one of {', '.join(TAXONOMIES)}.")
    try:
        data = read_json_text(path.read_bytes())
    except ValueError:
        raise UsageError(f"{path} is not valid JSON.") from None
    found = _from_coco(data) if isinstance(data, dict) and "annotations" in data else _from_soco(data)
    if not found:
        raise UsageError(f"{path} has no categories with keypoints.")
    by_name = {category.name: category for category in found}
    for name in names:
        if name not in by_name:
            raise unknown_name("category", name, by_name)
    return [by_name[name] for name in names] if names else found


def _with_concepts(points: Iterable[str]) -> tuple[Keypoint, ...]:
    return tuple(Keypoint(name, concept_by_name(name)) for name in points)


def concept_by_name(name: str) -> str:
    """The name without the words for sides: what left and right, front and rear have in common.

    >>> concept_by_name("left_front_paw"), concept_by_name("nose")
    ('paw', 'nose')
    """
    words = [word for word in name.replace("-", "_").split("_") if word and word.lower() not in _SIDES]
    return "_".join(words) or name


def _from_coco(data: Mapping[str, Any]) -> list[ProjectCategory]:
    nodes = [node for node in data.get("categories") or [] if isinstance(node, dict) and node.get("keypoints")]
    return [
        ProjectCategory(str(n["name"]), n.get("supercategory"), None, _with_concepts(map(str, n["keypoints"])))
        for n in nodes
    ]


def _from_soco(data: object) -> list[ProjectCategory]:
    stated = read_metadata(data)
    found: dict[str, list[Keypoint]] = {}
    for (category, name), values in stated.keypoints.items():
        kind = values.get("kind") if values.get("kind") in ("structural", "functional") else "structural"
        parsed = parse_name(name, values.get("concept"), category)
        found.setdefault(category, []).append(
            Keypoint(
                name,
                values.get("concept"),
                str(kind),
                values.get("part") or parsed.part,
                values.get("part_position") or parsed.part_position,
                values.get("point_position") or parsed.point_position,
                values.get("description"),
            )
        )
    return [
        ProjectCategory(name, stated.categories.get(name, {}).get("supercategory"), None, tuple(points))
        for name, points in found.items()
    ]


def project_text(title: str, categories: Sequence[ProjectCategory]) -> str:
    """`project.yaml` for some categories."""
    import yaml

    nodes = []
    for category in categories:
        points = []
        for keypoint in category.keypoints:
            node: dict[str, Any] = {key: value for key, value in vars(keypoint).items() if isinstance(value, str)}
            if keypoint.card is not None:
                node["card"] = {"image": keypoint.card.image, "point": list(keypoint.card.point)}
            points.append(node)
        head = {"name": category.name, "supercategory": category.supercategory, "template": category.template}
        nodes.append({**{key: value for key, value in head.items() if value}, "keypoints": points})
    settings = EXAMPLE.partition("settings:")[2].partition("categories:")[0]
    body = yaml.safe_dump({"categories": nodes}, sort_keys=False, allow_unicode=True, width=110)
    head_text = yaml.safe_dump({"title": title or "My category"}, allow_unicode=True)
    return (
        f"# Fields are explained by: soco annotate init --example\n{head_text}"
        f"# license: CC BY 4.0\n# instructions: ...\n\nsettings:{settings}{body}"
    )


def propose_concepts(
    categories: Sequence[ProjectCategory], known: Sequence[ProjectCategory] = ()
) -> list[dict[str, str]]:
    """Concepts for keypoints that have none, and shared ones that are spelled otherwise, by name.

    Args:
        categories: of the project.
        known: of an existing taxonomy whose concepts are preferred.

    Returns:
        One dict a proposal: category, keypoint, concept, why.
    """
    vocabulary: dict[str, tuple[str, str]] = {}
    for category in (*known, *categories):
        for keypoint in category.keypoints:
            if keypoint.concept:
                for key in (_key(keypoint.name, category.name), _plain(keypoint.concept)):
                    vocabulary.setdefault(key, (keypoint.concept, f"{keypoint.name} of {category.name}"))
    found = []
    for category in categories:
        for keypoint in category.keypoints:
            keys = (_key(keypoint.name, category.name), _plain(concept_by_name(keypoint.name)))
            match = next((vocabulary[key] for key in keys if key in vocabulary), None)
            row = {"category": category.name, "keypoint": keypoint.name}
            if keypoint.concept is None:
                concept, why = match or (_key(keypoint.name, category.name).replace(" ", "_"), "from its name")
                found.append({**row, "concept": concept, "why": why if match is None else f"as {why}"})
            elif match and match[0] != keypoint.concept and _plain(match[0]) == _plain(keypoint.concept):
                found.append({**row, "concept": match[0], "why": f"the same, spelled as in {match[1]}"})
    return found


def _key(name: str, category: str) -> str:
    """The part, and where the point is on it; without sides and owner."""
    parsed = parse_name(name, category=category)
    words = [parsed.part, parsed.point_position or ""]
    return _plain(concept_by_name("_".join(word.replace(" ", "_") for word in words if word)))


def _plain(text: str) -> str:
    return " ".join(text.replace("_", " ").replace("-", " ").lower().split())
