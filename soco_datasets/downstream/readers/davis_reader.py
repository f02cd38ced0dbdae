"""TAP-Vid-DAVIS: videos with tracks of points, from the released pickle or a folder of Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import DatasetFolderError
from .base import Finding, ImageSet, decode, picture_findings
from .hub_rows import ParquetReader
from .rows import ParquetRows
from .unpickling import load_arrays

_FILE = "tapvid_davis.pkl"


class Video(NamedTuple):
    """One video.

    Attributes:
        name: of the video.
        frames: (T, H, W, 3) uint8, or a list of T encoded images.
        points: (N, T, 2) float32, [x, y] as shares of width and height.
        occluded: (N, T) bool.
        where: file and name or row, for messages.
    """

    name: str
    frames: Any
    points: NDArray[np.float32]
    occluded: NDArray[np.bool_]
    where: str


class DavisReader(ParquetReader):
    """Videos in the order of their names."""

    kind: ClassVar[str] = "davis"
    title: ClassVar[str] = "TAP-Vid-DAVIS"
    expected: ClassVar[dict[str, int]] = {"videos": 30}
    hub_splits: ClassVar[Mapping[str, str | None]] = {"videos": None}

    def open(self) -> None:
        file = self.root if self.root.is_file() else self.root / _FILE
        if file.is_file():
            self.layout = "pickle"
            content = load_arrays(file)
            if not isinstance(content, dict):
                raise DatasetFolderError(f"{file} holds {type(content).__name__}, expected a dict of videos.")
            self._take((str(name), f"{file} {name}", content[name]) for name in sorted(content, key=str))
        elif files := sorted(self.root.rglob("*.parquet")):
            self.layout = "Parquet"
            self.take_rows({"videos": ParquetRows(files)})
        else:
            raise DatasetFolderError(f"{self.root} holds neither {_FILE} nor Parquet files.")

    def take_rows(self, rows: Mapping[str, ParquetRows]) -> None:
        own = rows["videos"]
        frames = "video" if "video" in own.names else "frames"
        own.require(frames, "points", "occluded")
        columns = {"video": frames, "points": "points", "occluded": "occluded"}
        self._take(
            (f"row {row}", own.where(row), {name: own.value(row, column) for name, column in columns.items()})
            for row in range(len(own))
        )

    def _take(self, samples: Iterable[tuple[str, str, Any]]) -> None:
        self._broken: list[Finding] = []
        self._all: list[Video] = []
        for name, where, sample in samples:
            self._add(name, where, sample)
        self.videos = self.options.kept(self._all, "videos")

    def _add(self, name: str, where: str, sample: Any) -> None:
        try:
            frames = sample["video"]
            points = np.asarray(sample["points"], dtype=np.float32)
            occluded = np.asarray(sample["occluded"], dtype=bool)
            count = len(frames)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            problem = f"video, points or occluded cannot be read ({type(error).__name__}: {error})."
            self._broken.append(Finding("error", where, problem))
            return
        shape_fits = points.ndim == 3 and points.shape[2] == 2 and occluded.shape == points.shape[:2]
        if not shape_fits or count != points.shape[1]:
            problem = f"points {points.shape}, occluded {occluded.shape} and {count} frames do not fit."
            self._broken.append(Finding("error", where, problem, "expected (N, T, 2), (N, T) and T frames"))
            return
        self._all.append(Video(name, frames, points, occluded, where))

    def counts(self) -> dict[str, int]:
        return {"videos": len(self._all)}

    def image_set(self) -> ImageSet:
        """All frames, video after video; `frame_of` says which is which."""
        self.frame_of = [(v, t) for v, video in enumerate(self.videos) for t in range(len(video.frames))]
        keys = tuple(f"{self.videos[v].name}/{t}" for v, t in self.frame_of)
        return ImageSet("frames", keys, lambda number: self._frame(*self.frame_of[number]), self.fingerprint)

    def _frame(self, video: int, frame: int) -> Image.Image:
        pixels = self.videos[video].frames[frame]
        name = f"{self.videos[video].where} frame {frame}"
        if isinstance(pixels, dict):
            pixels = pixels.get("bytes")
        if isinstance(pixels, bytes):
            return decode(pixels, name)
        return Image.fromarray(np.asarray(pixels, dtype=np.uint8)).convert("RGB")

    def inspect(self, sampled: Callable[[Sequence[Any]], Sequence[Any]]) -> Iterable[Finding]:
        yield from self._broken
        for video in sampled(self._all):
            yield from _inspect_video(video)


def _inspect_video(video: Video) -> Iterable[Finding]:
    points = video.points[~video.occluded]
    if not np.isfinite(points).all():
        yield Finding("error", video.where, "visible points are not finite.")
    elif len(points) and float(np.abs(points).max()) > 1.5:
        problem = f"points reach {float(np.abs(points).max()):.1f}: pixels instead of shares of width and height."
        yield Finding("error", video.where, problem, "divide by width and height")
    if not len(points):
        yield Finding("warning", video.where, "no point is ever visible; the video has no score.")
    frames = video.frames
    if isinstance(frames, np.ndarray):
        if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8:
            yield Finding("error", video.where, f"frames {frames.shape} {frames.dtype}, expected (T, H, W, 3) bytes.")
        elif frames.shape[1] > frames.shape[2]:
            problem = f"frames are {frames.shape[2]}x{frames.shape[1]}: upright, so height and width may be swapped."
            yield Finding("warning", video.where, problem)
        return
    for number, frame in enumerate(frames):
        data = frame.get("bytes") if isinstance(frame, dict) else frame
        if not isinstance(data, bytes):
            yield Finding(
                "error", f"{video.where} frame {number}", f"neither pixels nor an image: {type(data).__name__}."
            )
            return
        yield from picture_findings(data, f"{video.where} frame {number}")
