"""What the Omni3D tasks share: recipe, view, classes, and the true boxes of an image in network pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetFolderError
from ..features.requests import FeatureRequest
from ..features.transforms import InputTransform, PadToMultiple, ResizeShorter
from ..geometry import PointMap
from ..metrics.average_precision3d import TRAINING_RULES, annotation_box2d, is_ignored
from .base import DownstreamTask, Stored, TaskJob, Wanted, four_layers
from .heads.cuboids import VIRTUAL_FOCAL, Cuboids
from .readers.omni3d_reader import Omni3dReader
from .schedules import warmup_cosine, warmup_steps

if TYPE_CHECKING:
    from torch import Tensor

    from ..features.families.base import Backbone

STEPS = "linear warm-up, times 0.1 at 60 % and at 80 %"
COSINE = "linear warm-up, half a cosine to 0"
UPRIGHT = "cuboids upright at the mean virtual depth of their class, uncertainty 1"
OMNI3D_RECIPE: dict[str, Any] = {
    "epochs": 10, "batch": 32, "rate": 1e-3, "eps": 1e-2, "decay": 1e-4, "warmup": 5000, "seed": 0, "side": 512,
    "pyramid": 512, "levels": 256, "hidden": 1024, "regions": "16 pixels per cell of any patch size", "iou": "exact",
    "schedule": STEPS, "start": "biases 0, uncertainty 5",
}  # fmt: skip


def tiny_omni3d(epochs: int) -> dict[str, Any]:
    """Small heads for synthetic data."""
    return {
        "epochs": epochs, "batch": 4, "rate": 1e-3, "eps": 1e-8, "warmup": 50, "side": 160, "pyramid": 32, "levels": 32,
        "hidden": 128, "schedule": COSINE, "start": UPRIGHT,
    }  # fmt: skip


class Regions(NamedTuple):
    """The given boxes of one image in network pixels.

    Attributes:
        boxes: (N, 4) [x1, y1, x2, y2].
        classes: (N,) int64, places in the list of trained classes.
        intrinsics: (3, 3).
        truth: their cuboids.
        annotations: they come from.
    """

    boxes: Tensor
    classes: Tensor
    intrinsics: Tensor
    truth: Cuboids
    annotations: list[Mapping[str, Any]]


def has_cuboid(annotation: Mapping[str, Any]) -> bool:
    """Whether an annotation holds a finite cuboid in front of the camera with an extent, and a finite 2D box."""
    numbers = [annotation["center_cam"], annotation["dimensions"], annotation["R_cam"], annotation_box2d(annotation)]
    if not all(np.isfinite(np.asarray(one, dtype=np.float64)).all() for one in numbers):
        return False
    return bool(annotation["center_cam"][2] > 0 and min(annotation["dimensions"]) > 0)


class Omni3dTask(DownstreamTask):
    """What the Omni3D tasks have in common."""

    data = "omni3d"
    headline = "AP3D"
    default = "fixed"
    layers = "four"
    trained = True


class Omni3dJob(TaskJob):
    """Images, requests and true boxes of the Omni3D tasks."""

    def __init__(self, data: Omni3dReader, backbone: Backbone, protocol: Mapping[str, Any]) -> None:
        """Decide what is wanted."""
        self.data, self.choices, self.backbone = data, protocol, backbone
        view = InputTransform((ResizeShorter(protocol["side"], "bilinear"), PadToMultiple()))
        self._view = view.for_multiple(backbone.size_multiple)
        self._request = FeatureRequest(view, four_layers(backbone))
        sizes = data.mean_sizes()
        if not sizes:
            raise DatasetFolderError(f"{data.root} has no training box that counts.")
        self.classes = {name: place for place, name in enumerate(sorted(sizes))}
        self.mean_sizes = np.stack([sizes[name] for name in sorted(sizes)])
        self._wanted = [Wanted(data.image_set(split), self._request) for split in ("train", "test")]

    def wanted(self) -> Sequence[Wanted]:
        return self._wanted

    def samples_scored(self) -> int:
        return sum(len(self.data.usable("test", image)) for image in self.data.ids("test"))

    def place(self, split: str, image: Any) -> PointMap:
        """From pixels of an image to network pixels."""
        entry = self.data.images[split][image]
        return self._view.point_map((int(entry["width"]), int(entry["height"])))

    def to_image(self, image: Any, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 4) boxes of a test image in its own pixels."""
        place = self.place("test", image)
        return np.concatenate([place.inverse(boxes[:, :2]), place.inverse(boxes[:, 2:])], axis=1)

    def intrinsics(self, split: str, image: Any, device: str) -> Tensor:
        """(3, 3) K of network pixels."""
        import torch

        place = self.place(split, image)
        shift = np.array([[place.scale[0], 0, place.offset[0]], [0, place.scale[1], place.offset[1]], [0, 0, 1]])
        matrix = shift @ np.asarray(self.data.images[split][image]["K"], dtype=np.float64)
        return torch.tensor(matrix, dtype=torch.float32, device=device)

    def maps(self, stored: Stored, rows: Sequence[int], device: str) -> Iterator[tuple[list[int], list[Tensor]]]:
        """Maps of some images, those of one shape together: (places in `rows`, four (B, C, h, w) maps)."""
        import torch

        found = [stored.maps(row) for row in rows]
        shapes = [one.shape for one in found]
        for shape in dict.fromkeys(shapes):
            places = [place for place, other in enumerate(shapes) if other == shape]
            together = torch.stack([found[place] for place in places], dim=1).float().to(device)
            yield places, list(together)

    def left_out(self, regions: Sequence[Regions | None], dropped: int) -> dict[str, int]:
        """What training left out, by reason, given the regions of training and how many had no finite loss."""
        every = sum(len(self.data.boxes["train"][image]) for image in self.data.ids("train"))
        used = sum(len(one.classes) for one in regions if one is not None)
        found = {"training boxes that do not count": every - used, "regions with a non-finite loss": dropped}
        return {why: count for why, count in found.items() if count}

    def rates(self, steps: int) -> Callable[[int], float]:
        """Learning rate of each of `steps` steps by the protocol's schedule."""
        peak, warmup = self.choices["rate"], min(self.choices["warmup"], steps // 3)
        factor = warmup_cosine if self.choices["schedule"] == COSINE else warmup_steps
        return lambda step: peak * factor(step, steps, warmup)

    def depths(self, regions: Sequence[Regions | None]) -> Tensor:
        """(classes,) mean virtual depth of the true boxes of each class, meters; of all, for a class without one."""
        import torch

        held = [one for one in regions if one is not None]
        depth = torch.cat([one.truth.depths * VIRTUAL_FOCAL / one.intrinsics[1, 1] for one in held]).cpu()
        label = torch.cat([one.classes for one in held]).cpu()
        own = [depth[label == place] for place in range(len(self.classes))]
        return torch.stack([(one if len(one) else depth).mean() for one in own])

    def regions(self, split: str, image: Any, device: str) -> Regions | None:
        """The boxes of an image that the head is trained on, or (test) that it is asked for."""
        import torch

        entry = self.data.images[split][image]
        kept = [one for one in self.data.boxes[split][image] if one["category_name"] in self.classes]
        if split == "train":
            kept = [one for one in kept if not is_ignored(one, float(entry["height"]), TRAINING_RULES)]
        kept = [one for one in kept if has_cuboid(one)]
        if not kept:
            return None
        place, intrinsics = self.place(split, image), self.intrinsics(split, image, device)
        boxes = np.array([annotation_box2d(one) for one in kept])
        boxes = np.concatenate([place(boxes[:, :2]), place(boxes[:, 2:])], axis=1)
        centers = np.array([one["center_cam"] for one in kept], dtype=np.float64)
        pixels = centers @ intrinsics.double().cpu().numpy().T

        def tensor(values: Any) -> Tensor:
            return torch.tensor(np.asarray(values), dtype=torch.float32, device=device)

        truth = Cuboids(
            tensor(pixels[:, :2] / pixels[:, 2:]),
            tensor(centers[:, 2]),
            tensor([one["dimensions"] for one in kept]),
            tensor([one["R_cam"] for one in kept]),
        )
        classes = torch.tensor([self.classes[one["category_name"]] for one in kept], device=device)
        return Regions(tensor(boxes), classes, intrinsics, truth, list(kept))
