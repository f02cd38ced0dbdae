"""NAVI: recall of matches between two views of an object, measured in 3D."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...errors import DatasetFolderError, UsageError
from ...features.requests import FeatureRequest
from ...features.transforms import InputTransform, PadToMultiple
from ...metrics.navi import BIN_EDGES, match_scores, matched_points, recall_summary, rotation_angles
from ...utils.files import atomic_write
from ...utils.foreign import ForeignTextError, read_csv_rows
from ..base import DownstreamTask, Outcome, Stored, TableColumn, TaskJob, TaskRun, Wanted, last_layer, measured_number
from ..readers.base import DataReader
from ..readers.navi_reader import NaviImage, NaviReader

if TYPE_CHECKING:
    from ...features.families.base import Backbone

_SEED = 8
_SHOWN, _PER_SAMPLE = 60, 6  # matches of a sample, and its arrays
_OFFICIAL = Path("custom_splits", "pairwise_pixel_correspondences", "pairs-wild_set.txt")
Pair = tuple[NaviImage, NaviImage]


class Navi(DownstreamTask):
    """See docs/howto/downstream/navi.md."""

    name = "navi"
    title = "NAVI recall at 2 cm, 30-60 degrees"
    data = "navi"
    headline = "recall_2cm_30_60"
    column = TableColumn("navi_recall", "NAVI %", "percent")
    protocols: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "reference": {"pairs": "one partner per image within 0 to 120 degrees, every fourth image", "self_pairs": True},
        "clean": {"pairs": "one partner per image within 0 to 120 degrees, every fourth image", "self_pairs": False},
        "official_pairs": {"pairs": _OFFICIAL.as_posix(), "self_pairs": False},
    }

    def open(self, data: DataReader, backbone: Backbone, protocol: Mapping[str, Any], work: Path) -> TaskJob:
        assert isinstance(data, NaviReader)
        if data.options.pairs is not None:
            pairs = read_pairs(data.options.pairs, data)
        elif protocol["pairs"] == _OFFICIAL.as_posix():
            pairs = official_pairs(data)
        else:
            pairs = navi_pairs(data, self_pairs=protocol["self_pairs"])
        if not pairs:
            raise DatasetFolderError(f"{data.root} gives no pair of images. Wild sets need two images of an object.")
        return _NaviJob(data, backbone, data.options.kept(pairs, "pairs"))


class _NaviJob(TaskJob):
    def __init__(self, data: NaviReader, backbone: Backbone, pairs: list[Pair]) -> None:
        self._data, self._pairs = data, pairs
        images = list({image.key: image for pair in pairs for image in pair}.values())
        self._place = {image.key: number for number, image in enumerate(images)}
        self._images = data.image_set(images)
        self._request = FeatureRequest(InputTransform((PadToMultiple(),)), last_layer(backbone), dense=True)

    def wanted(self) -> Sequence[Wanted]:
        return [Wanted(self._images, self._request)]

    def samples_scored(self) -> int:
        return len(self._pairs)

    def score(self, stored: Sequence[Stored | None], run: TaskRun) -> Outcome:
        maps = stored[0]
        assert maps is not None
        results, rows = [], []
        samples: dict[str, Any] = {}
        for one, two in self._pairs:
            features = tuple(maps.maps(self._place[image.key])[0].float().cpu().numpy() for image in (one, two))
            points = (self._data.view(one).points, self._data.view(two).points)
            matches = matched_points((features[0], features[1]), points, rigid_transform(one, two))
            results.append(match_scores(matches))
            rows.append([one.key, two.key, f"{matches['angle']:.4f}"])
            in_bin = BIN_EDGES[1] <= matches["angle"] < BIN_EDGES[2]
            if in_bin and len(matches["errors"]) and len(samples) < _PER_SAMPLE * run.samples:
                samples |= self._sample((one, two), matches, points[1])
        text = "".join(",".join(row) + "\n" for row in [["first", "second", "angle"], *rows])
        atomic_write(run.out / f"{run.stem}.pairs.csv", text)
        return _outcome(results, hashlib.sha256(text.encode()).hexdigest(), samples)

    def _sample(self, pair: Pair, matches: Mapping[str, Any], second: NDArray[np.float64]) -> dict[str, Any]:
        """Both views at half size, some matches, and the points of the second view, for a picture."""
        name = f"{pair[0].key} - {pair[1].stem}"
        chosen = np.linspace(0, len(matches["errors"]) - 1, min(_SHOWN, len(matches["errors"]))).astype(int)
        seen = second[:, second[2] > 0].T
        views = [self._data.view(image).pixels[::2, ::2] for image in pair]
        return {
            f"{name}/first": views[0],
            f"{name}/second": views[1],
            f"{name}/cells": matches["cells"][chosen].astype(np.int16),
            f"{name}/moved": matches["moved"][chosen].astype(np.float32),
            f"{name}/found": matches["found"][chosen].astype(np.float32),
            f"{name}/cloud": seen[:: max(1, len(seen) // 1500)].astype(np.float32),
        }


def _outcome(results: list[dict[str, Any]], pairs_hash: str, samples: dict[str, Any]) -> Outcome:
    summary = recall_summary(results)
    metrics = {}
    for threshold, name in (("0.02", "2cm"), ("0.01", "1cm"), ("0.05", "5cm")):
        overall = summary["recall_all"][threshold]
        metrics[f"recall_{name}"] = measured_number(
            None if overall is None else 100 * overall, summary["pairs"], "percent"
        )
        for bin_name, one in summary["bins"][threshold].items():
            value = None if one["mean"] is None else 100 * one["mean"]
            metrics[f"recall_{name}_{bin_name.replace('-', '_')}"] = measured_number(value, one["pairs"], "percent")
    left = {"pairs without points": summary["pairs_left_out"]} if summary["pairs_left_out"] else {}
    note = "r8's column is almost certainly the bin of 30 to 60 degrees (its head says so; the text says 90 to 120)"
    details = {"pairs_sha256": pairs_hash, "pairs": [{k: one[k] for k in ("angle", "matches")} for one in results]}
    return Outcome(metrics, left, details=details, samples=samples, notes=[note])


def rigid_transform(one: NaviImage, two: NaviImage) -> NDArray[np.float64]:
    """(4, 4) from the camera of the first image to that of the second, meters."""
    first, second = np.eye(4), np.eye(4)
    for matrix, image in ((first, one), (second, two)):
        matrix[:3, :3], matrix[:3, 3] = image.rotation, image.translation
    return second @ np.linalg.inv(first)


def navi_pairs(data: NaviReader, *, self_pairs: bool) -> list[Pair]:
    """One partner for each wild image, drawn within (0, 120] degrees; then every fourth image of the list.

    The draw is torch's multinomial with a generator of seed 8, as the reference's: it is stable for one torch only, so
    the pairs are written out.
    """
    import torch

    generator = torch.Generator().manual_seed(_SEED)
    pairs = []
    for name in sorted(data.wild):
        images = data.wild[name]
        rotations = np.stack([image.rotation for image in images]) if images else np.empty((0, 3, 3))
        for row, image in enumerate(images):
            relative = torch.from_numpy(rotations[row] @ np.swapaxes(rotations, 1, 2)).float()
            angles = (
                _reference_angles(relative)
                if self_pairs
                else torch.from_numpy(rotation_angles(rotations[row] @ np.swapaxes(rotations, 1, 2)))
            )
            allowed = (angles > 0) & (angles <= 120)
            if not self_pairs:
                allowed[row] = False
            if allowed.any():
                partner = int(torch.multinomial(allowed.float(), 1, generator=generator))
                pairs.append((image, images[partner]))
    return pairs[::4] if len(pairs) >= 16 else pairs  # a small set keeps all of its pairs


def _reference_angles(relative: Any) -> Any:
    """Degrees by the arc cosine of the trace in float32, whose rounding lets an image be its own partner."""
    import torch

    trace = relative.diagonal(dim1=1, dim2=2).sum(dim=1)
    return torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1)))


def read_pairs(path: Path, data: NaviReader) -> list[Pair]:
    """Pairs of a CSV file as `navi` writes them: keys of two images, and their angle."""
    known = {image.key: image for images in data.wild.values() for image in images}
    try:
        (_, header), *rows = read_csv_rows(path) or [(0, [])]
    except (OSError, ForeignTextError) as error:
        raise UsageError(f"{path} cannot be read as a list of pairs ({error}).") from error
    pairs = []
    for line, cells in rows:
        row = dict(zip(header, cells, strict=False))
        for name in ("first", "second"):
            if row.get(name) not in known:
                raise UsageError(f"{path}, line {line}: {row.get(name)!r} is not a wild image of {data.root}.")
        pairs.append((known[row["first"]], known[row["second"]]))
    return pairs


def official_pairs(data: NaviReader) -> list[Pair]:
    """The data set's own pairs of wild images."""
    path = next((base / _OFFICIAL for base in (data.base, data.root) if (base / _OFFICIAL).is_file()), None)
    if path is None:
        raise UsageError(f"{data.root} lacks {_OFFICIAL}, which the protocol official_pairs reads.")
    known = {image.key: image for images in data.wild.values() for image in images}
    pairs = []
    for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        names = [_key_of(part) for part in text.replace(",", " ").split()[:2]]
        if any(name not in known for name in names):
            raise UsageError(f"{path}, line {line}: no such wild image in {text!r}.")
        pairs.append((known[names[0]], known[names[1]]))
    return pairs


def _key_of(path: str) -> str:
    parts = Path(path).parts
    return "/".join((*parts[-4:-2], Path(path).stem))
