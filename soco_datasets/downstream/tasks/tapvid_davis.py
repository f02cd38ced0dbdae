"""TAP-Vid-DAVIS: points tracked without training by looking a descriptor up in every frame."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...features.requests import FeatureRequest, PlannedFeatures
from ...features.transforms import InputTransform, PadToMultiple, Resize, RoundDown
from ...metrics.tracking import RASTER, first_queries, mean_over_videos, video_scores
from ...utils.files import atomic_write
from ..base import DownstreamTask, Outcome, Stored, TableColumn, TaskJob, TaskRun, Wanted, last_layer, measured_number
from ..readers.base import DataReader, ImageSet
from ..readers.davis_reader import DavisReader
from ..zero_shot_tracking import zero_shot_tracks

if TYPE_CHECKING:
    from ...features.families.base import Backbone

_SIDE = 448


class TapVidDavis(DownstreamTask):
    """See docs/howto/downstream/tapvid_davis.md."""

    name = "tapvid_davis"
    title = "TAP-Vid-DAVIS Average Jaccard"
    data = "davis"
    headline = "average_jaccard"
    column = TableColumn("tapvid_davis_aj", "AJ %", "percent")
    protocols: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "reference": {"raster": 256, "network": _SIDE, "queries": "first", "visibility": "always visible"},
        "native": {"raster": None, "network": _SIDE, "queries": "first", "visibility": "always visible"},
    }

    def open(self, data: DataReader, backbone: Backbone, protocol: Mapping[str, Any], work: Path) -> TaskJob:
        assert isinstance(data, DavisReader)
        return _TrackingJob(data, backbone, protocol, work)


class _TrackingJob(TaskJob):
    def __init__(self, data: DavisReader, backbone: Backbone, protocol: Mapping[str, Any], work: Path) -> None:
        # Both filters work in float32; the bytes of the 256-pixel raster are cut, not rounded, in between.
        raster = protocol["raster"]
        small = (Resize(raster, raster, "linear_point"), RoundDown()) if raster else ()
        transform = InputTransform((*small, Resize(_SIDE, _SIDE, "linear_point"), PadToMultiple()))
        self._images = data.image_set()
        self._sink = _VideoSink(data, self._images, work)
        self._request = FeatureRequest(transform, last_layer(backbone), dense=True)

    def wanted(self) -> Sequence[Wanted]:
        return [Wanted(self._images, self._request, self._sink)]

    def score(self, stored: Sequence[Stored | None], run: TaskRun) -> Outcome:
        scores = [self._sink.scores[name] for name in self._sink.names]
        means = mean_over_videos(scores)
        metrics = {
            name: measured_number(None if one["value"] is None else 100 * one["value"], one["videos"], "percent")
            for name, one in means.items()
        }
        left = sum(score["delta_avg"] is None for score in scores)
        samples = dict(list(self._sink.samples.items())[: 4 * run.samples])
        return Outcome(
            metrics,
            {"videos without a visible point after their queries": left} if left else {},
            details={"videos": {name: self._sink.scores[name] for name in self._sink.names}},
            samples=samples,
            notes=["every point is predicted visible, so AJ is below delta_avg by construction"],
        )


class _VideoSink:
    """Collects the maps of one video at a time, scores it when it is whole, and keeps its scores."""

    def __init__(self, data: DavisReader, images: ImageSet, work: Path) -> None:
        self._data, self._images, self._file = data, images, work / "videos.json"
        identity = images.identity
        self.names = [video.name for video in data.videos]
        self.scores: dict[str, Any] = {}
        self.samples: dict[str, Any] = {}
        self._identity, self._frames = identity, {}  # type: tuple[str, dict[int, Any]]
        if self._file.is_file():
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            self.scores = kept["scores"] if kept["identity"] == identity else {}

    def missing(self) -> list[int]:
        places = enumerate(self._data.frame_of)
        return [index for index, (video, _) in places if self.names[video] not in self.scores]

    def put(self, index: int, features: PlannedFeatures) -> None:
        assert features.maps is not None
        number_of_video, frame = self._data.frame_of[index]
        video = self._data.videos[number_of_video]
        self._frames[frame] = features.maps[0].float().cpu().numpy()
        if len(self._frames) < len(video.frames):
            return
        maps = np.stack([self._frames[one] for one in range(len(video.frames))])
        self._frames = {}
        tracks = first_queries(video.points, video.occluded)
        found = zero_shot_tracks(maps, tracks.queries)
        self.scores[video.name] = video_scores(tracks, found)
        middle = self._images.load(index - frame + len(video.frames) // 2).resize((RASTER, RASTER))
        self.samples[f"{video.name}/pixels"] = np.asarray(middle)
        self.samples[f"{video.name}/predicted"] = found.astype(np.float32)[:16]
        self.samples[f"{video.name}/true"] = tracks.points[:16]
        self.samples[f"{video.name}/occluded"] = tracks.occluded[:16]
        atomic_write(self._file, json.dumps({"identity": self._identity, "scores": self.scores}))
