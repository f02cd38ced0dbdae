"""Images to features: transform, normalize, forward in batches."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from PIL import Image

from ..config import CENTERED_PADDING
from ..errors import BackboneError, UsageError, unknown_name, worded
from ..geometry import ImageSize, effective_size
from .backbones import Backbone
from .batch_size import MOST, BatchChooser, CudaMemory, is_out_of_memory
from .derived import DerivedBackbone, finest
from .network_input import compiled_forward, network_input, tf32_products
from .requests import ForwardPlan, PlannedFeatures
from .transforms import ANCHORS, Anchor, InputTransform, PadSquare, PadToMultiple, PixelArray, soco_transform

if TYPE_CHECKING:
    import torch

_UNMEASURED_BATCH = 32  # of `auto` where there is no peak of memory to go by
_log = logging.getLogger(__name__)

T = TypeVar("T")
Pixels: TypeAlias = Any  # what `prepare` gives: (size, size, 3) uint8, or a dict of such for a derived backbone


class DenseFeatureExtractor:
    """A backbone at one image size.

    Attributes:
        backbone: the model.
        requested_size: the image size asked for.
        size: the network size used: the backbone's fixed size if it has one, else the nearest multiple it takes, ties
            down; with a recipe that pads with zeros, the size asked for.
        transform: from an image to network pixels; of a derived backbone that of its finest part.
        grid: cells on a side of the map.
        batch_size: images in one forward, as asked for; where that is chosen, the most there may be.
        forward_size: images in the next forward: 1 on a CPU, halved each time a GPU's memory does not suffice.
        is_overlapping: whether a batch is to be begun before the one ahead of it is waited for: where batches share a
            forward, so on every GPU.
        anchor: where images lie in their padded square, see `anchored`.
        anchor_is_fixed: whether it was chosen, so that an evaluation does not follow the benchmark's own protocol.
        parts: one extractor a part of a derived backbone (a composition, a head ...), none for any other.
    """

    def __init__(
        self,
        backbone: Backbone,
        image_size: int = 800,
        batch_size: int | BatchChooser | None = 8,
        *,
        together: bool | None = None,
        tf32: bool = False,
        compiled: bool = False,
    ) -> None:
        """Choose the size; nothing is computed.

        Args:
            backbone: the model.
            image_size: the image size asked for, pixels.
            batch_size: images in one forward, or what chooses their number. None = chosen by the memory of an NVIDIA
                GPU; 32 on any other device, less where its memory does not suffice.
            together: whether the images of a batch share a forward. None = on everything but a CPU: there one image
                fills the cores, and alone its features do not depend on its neighbors, to the last bit.
            tf32: let float32 products of a GPU take its 19-bit TF32 format. Recorded as the dtype "tf32".
            compiled: run the model through `torch.compile`.

        Raises:
            UsageError: a batch size below 1, or `tf32` with another dtype or device than float32 on a GPU.
        """
        if not isinstance(backbone, Backbone):
            raise UsageError(
                f"A DenseFeatureExtractor takes a backbone, got {backbone!r}: call load_backbone(...) first."
            )
        if tf32 and (backbone.dtype != "float32" or not backbone.device.startswith("cuda")):
            raise UsageError(f"tf32 is float32 on an NVIDIA GPU, not {backbone.dtype} on {backbone.device}.")
        if isinstance(batch_size, int) and batch_size < 1:
            raise UsageError(f"The batch size must be positive, got {batch_size}.")
        self.backbone = backbone
        self.requested_size = image_size
        if backbone.fixed_size is None and image_size < backbone.size_multiple:
            raise UsageError(
                f"The image size {image_size} is less than one cell of {backbone.size_multiple} px. Give a larger one."
            )
        nearest = effective_size(image_size, backbone.size_multiple)
        self.size = nearest if backbone.fixed_size is None else backbone.fixed_size
        self.transform = soco_transform(self.size)
        if backbone.zero_padded:  # the map is read as if it covered the image without its zeros, as the reference does
            self.size = image_size
            self.transform = soco_transform(image_size).then(PadToMultiple(backbone.size_multiple))
        self.grid = self.transform.size((1, 1))[0] // backbone.patch_size
        shared = backbone.device != "cpu" if together is None else together
        self.is_overlapping = shared
        if batch_size is None:
            on_nvidia = backbone.device.startswith("cuda")
            batch_size = BatchChooser(CudaMemory(backbone.device)) if on_nvidia else _UNMEASURED_BATCH
        self._chooser = batch_size if isinstance(batch_size, BatchChooser) and shared else None
        self.batch_size = batch_size if isinstance(batch_size, int) else MOST
        self.forward_size = self._chooser.size if self._chooser else self.batch_size if shared else 1
        self.anchor: Anchor = "corner"
        self.anchor_is_fixed = False
        self._options: dict[str, Any] = {"together": together, "tf32": tf32, "compiled": compiled}
        self._tf32, self._compiled = tf32, compiled
        self._run = compiled_forward(backbone) if compiled else None
        self.parts: tuple[DenseFeatureExtractor, ...] = ()
        if isinstance(backbone, DerivedBackbone):
            self._derive(backbone)

    def _derive(self, backbone: DerivedBackbone) -> None:
        """Each part at its own size; the network frame is that of the finest map. Parts choose no batch size."""
        self.parts = tuple(
            DenseFeatureExtractor(part, self.requested_size, self.batch_size, **self._options)
            for part in backbone.parts
        )
        grids = [(part.grid, part.grid) for part in self.parts]
        frame = self.parts[finest(grids)]
        self.size, self.transform = frame.size, frame.transform
        self.grid = backbone.grid_size(grids)[0]

    def anchored(self, anchor: Anchor) -> DenseFeatureExtractor:
        """The same extractor with images at the "corner" (top left) or the "center" of their padded square."""
        if anchor not in ANCHORS:
            raise unknown_name("anchor", anchor, ANCHORS)
        changed = copy.copy(self)
        changed.anchor, changed.anchor_is_fixed = anchor, True
        steps = (replace(step, anchor=anchor) if isinstance(step, PadSquare) else step for step in self.transform.steps)
        changed.transform = InputTransform(tuple(steps))
        changed.parts = tuple(part.anchored(anchor) for part in self.parts)
        return changed

    def at_size(self, image_size: int) -> DenseFeatureExtractor:
        """The same model and options at another image size, pixels. Raises `UsageError` as the class does."""
        changed = DenseFeatureExtractor(self.backbone, image_size, self.batch_size, **self._options)
        return changed.anchored(self.anchor) if self.anchor_is_fixed else changed

    def __repr__(self) -> str:
        return f"DenseFeatureExtractor({self.backbone!r}, {self.size} px, grid {self.grid} x {self.grid})"

    @property
    def channels(self) -> int:
        """C of the maps."""
        return self.backbone.channels

    def prepare(self, image: Image.Image) -> Pixels:
        """One RGB image to its (size, size, 3) uint8 pixels; no torch, so it can run in worker processes.

        A derived backbone's parts may want several sizes: then size -> such pixels, each made from the image itself.
        """
        if not self.parts:
            return soco_transform(self.size, self.anchor).apply(image)
        return {size: soco_transform(size, self.anchor).apply(image) for size in sorted(self._network_sizes())}

    def _network_sizes(self) -> set[int]:
        return set().union(*(part._network_sizes() for part in self.parts)) if self.parts else {self.size}

    def extract(self, images: Sequence[Image.Image], names: Sequence[str] | None = None) -> torch.Tensor:
        """Raw features of RGB images.

        Args:
            images: PIL images in mode RGB, of any size.
            names: what to call them in errors; their position by default.

        Returns:
            (B, C, grid, grid) in the backbone's dtype, on its device.

        Raises:
            BackboneError: NaN or infinite features, naming the images; or a map of another shape than promised.
        """
        return self.extract_pixels([self.prepare(image) for image in images], names)

    def extract_pixels(
        self, pixels: Sequence[Pixels], names: Sequence[str] | None = None, *, checked: bool = True
    ) -> torch.Tensor:
        """As `extract`, for what `prepare` gave.

        With `checked` false a GPU may still be at work on the maps when they are returned, and `check_finite` is the
        caller's to call: it waits for them.
        """
        import torch

        names = _names(pixels, names)
        with torch.inference_mode():
            maps = self._batched(pixels, names, self._forward)
            if not maps:
                dtype = getattr(torch, self.backbone.dtype)
                shape = (0, self.channels, self.grid, self.grid)
                return torch.empty(shape, dtype=dtype, device=self.backbone.device)
            together = torch.cat(maps)
        if checked:
            self.check_finite(together, names)
        return together

    def extract_plan(
        self, pixels: Sequence[PixelArray], plan: ForwardPlan, names: Sequence[str] | None = None
    ) -> list[PlannedFeatures]:
        """Several layers and global vectors of images from one forward each, as a plan of merged requests wants them.

        Args:
            pixels: what `plan.transform.apply` gave for each image; sizes may differ between images.
            plan: see `requests.merge_requests`.
            names: what to call the images in errors; their position by default.

        Returns:
            One for each image, without a batch axis; on the backbone's device, in its dtype. A GPU may still be at
            work on them: `check_finite` waits.

        Raises:
            BackboneError: sides that the model does not take, layers it does not have.
            UsageError: a compiled model, or zero padding for parts that normalize differently.
        """
        import torch

        if self._compiled:
            raise UsageError("A compiled model gives the map of its own layer only: leave `compiled` out.")

        def forward(batch: Sequence[PixelArray], names: Sequence[str]) -> list[PlannedFeatures]:
            features = plan.keep(self.backbone.layer_outputs(self._normalized(batch, plan.transform), plan.layers))
            return [features.image(index) for index in range(len(batch))]

        with torch.inference_mode(), tf32_products(self._tf32):
            found = self._batched(pixels, _names(pixels, names), forward)
        return [features for batch in found for features in batch]

    def map_shape(self, plan: ForwardPlan, source: ImageSize) -> tuple[int, int, int, int]:
        """(layers, C, rows, columns) of the maps that `extract_plan` gives for an image of `source` (width, height)."""
        import torch

        width, height = plan.transform.size(source)
        rows, columns = self.backbone.check_pixels(torch.empty(1, 3, height, width, device="meta"))
        return len(plan.maps), self.channels, rows, columns

    def _normalized(self, pixels: Sequence[PixelArray], transform: InputTransform) -> torch.Tensor:
        import torch

        batch = network_input(np.stack(pixels), self.backbone.statistics, self.backbone.device)
        left, top, right, bottom = transform.zero_padding((batch.shape[3], batch.shape[2]))
        if not any((left, top, right, bottom)):
            return batch
        if len({part.backbone.statistics for part in self.parts}) > 1:
            raise UsageError(
                f"The parts of {self.backbone.name} normalize pixels differently, so that zeros around the normalized "
                "image mean something else to each: take a transform without zero padding."
            )
        return torch.nn.functional.pad(batch, (left, right, top, bottom))

    def _batched(
        self, pixels: Sequence[Pixels], names: Sequence[str], forward: Callable[[Sequence[Pixels], Sequence[str]], T]
    ) -> list[T]:
        """The results of forwards of up to `forward_size` images of one shape each."""
        import torch

        found: list[T] = []
        start = 0
        while start < len(pixels):
            stop = _same_shape(pixels, start, start + self.forward_size)
            try:
                found.append(self._watched(pixels[start:stop], names[start:stop], forward))
            except (torch.OutOfMemoryError, BackboneError) as error:
                if not is_out_of_memory(error):
                    raise
                stop = start  # the block is left before anything is freed: the traceback holds the tensors
            if stop == start:
                self._halve(min(self.forward_size, len(pixels) - start))
            start = stop
        return found

    def _halve(self, images: int) -> None:
        """Smaller forwards from here on; raises `BackboneError` where a single image was too much."""
        if images <= 1:
            raise BackboneError(
                f"{self.backbone.name} at {self.size} px needs more memory than {self.backbone.device} has left, even "
                "for one image at a time. "
                + worded(
                    "Take a smaller --image-size, --dtype float16, or --store memory",
                    "Take a smaller image_size, dtype float16, or the CachePolicy memory",
                )
                + " to keep the feature maps off the device."
            )
        self._chooser = None  # what it measures would be beside the point now
        self.forward_size = max(1, images // 2)
        _log.warning("out of memory with %d images in one forward: going on with %d", images, self.forward_size)
        if self.backbone.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()

    def extract_normalized(self, images: Sequence[Image.Image], names: Sequence[str] | None = None) -> torch.Tensor:
        """(B, C, grid, grid) float32 features with unit length over the channels, see `l2_normalize`."""
        return l2_normalize(self.extract(images, names))

    def _watched(
        self, pixels: Sequence[Pixels], names: Sequence[str], forward: Callable[[Sequence[Pixels], Sequence[str]], T]
    ) -> T:
        """A forward that the next one's size may follow from."""
        if self._chooser is None:
            return forward(pixels, names)
        with self._chooser.watch(len(pixels)):
            found = forward(pixels, names)
        self.forward_size = self._chooser.size
        if self._chooser.is_settled:
            _log.info("%d images in one forward", self.forward_size)
            self._chooser = None
        return found

    def _forward(self, pixels: Sequence[Pixels], names: Sequence[str]) -> torch.Tensor:
        maps = self._maps(pixels, names)
        wanted = (len(pixels), self.channels, self.grid, self.grid)
        if tuple(maps.shape) != wanted:
            raise BackboneError(
                f"{self.backbone.name} gave features {tuple(maps.shape)}, expected {wanted} (B, C, h, w)."
            )
        return maps

    def check_finite(self, maps: torch.Tensor, names: Sequence[str]) -> None:
        """Raise `BackboneError`, naming the images, where features (B, ...) hold NaN or infinite values."""
        finite = maps.isfinite().flatten(1).all(dim=1)
        if not bool(finite.all()):
            bad = [name for name, good in zip(names, finite.tolist(), strict=True) if not good]
            advice = "Try dtype float32." if self.backbone.dtype != "float32" else "Are the weights damaged?"
            raise BackboneError(
                f"{self.backbone.name} gave NaN or infinite features ({self.backbone.dtype}) for image "
                f"{', '.join(bad)}. {advice}"
            )

    def _maps(self, pixels: Sequence[Pixels], names: Sequence[str]) -> torch.Tensor:
        if isinstance(self.backbone, DerivedBackbone):
            found = []
            for part in self.parts:
                own = pixels if part.parts else [sizes[part.size] for sizes in pixels]
                found.append(part.extract_pixels(own, names))
            return self.backbone.combine(found)
        batch = self._normalized(pixels, self.transform)
        with tf32_products(self._tf32):
            return self.backbone.forward(batch) if self._run is None else self._run(batch)

    def describe(self) -> dict[str, Any]:
        """Everything that decides the features, as JSON values, for the result record."""
        model = self.backbone
        described = {
            "name": model.name,
            "family": model.family,
            "revision": model.revision,
            "weights_hash": model.weights_hash,
            "config_hash": model.config_hash,
            "layer": model.layer,
            "num_layers": model.num_layers,
            "norm": model.norm,
            "recipe": model.recipe,
            "num_prefix_tokens": model.num_prefix_tokens,
            "patch_size": model.patch_size,
            "channels": model.channels,
            "statistics": {
                "mean": list(model.statistics.mean),
                "std": list(model.statistics.std),
                "source": model.statistics.source,
            },
            "requested_size": self.requested_size,
            "effective_size": self.size,
            "grid": self.grid,
            "dtype": "tf32" if self._tf32 else model.dtype,
            "device": model.device,
            **model.variant,
            **model.details(),
        }
        if model.zero_padded:
            described["zero_padding"] = f"{self.size} px to {self.grid} x {self.grid} cells"
        if self._compiled:
            described["compiled"] = True
        if self.anchor == "center":
            described["padding"] = CENTERED_PADDING
        if self.parts:
            described["parts"] = [part.describe() for part in self.parts]
        return described


def l2_normalize(maps: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) features to float32 with unit length over C, as the reference does (eps 1e-12; zeros stay zeros)."""
    import torch

    with torch.inference_mode():
        return torch.nn.functional.normalize(maps.float(), dim=1, eps=1e-12)


def _names(pixels: Sequence[Any], names: Sequence[str] | None) -> Sequence[str]:
    names = [f"number {index}" for index in range(len(pixels))] if names is None else names
    if len(names) != len(pixels):
        raise UsageError(f"{len(pixels)} images but {len(names)} names.")
    return names


def _same_shape(pixels: Sequence[Pixels], start: int, stop: int) -> int:
    """Where the run of images of one shape that begins at `start` ends, at most at `stop`."""
    shape = getattr(pixels[start], "shape", None)
    end = start + 1
    while end < min(stop, len(pixels)) and getattr(pixels[end], "shape", None) == shape:
        end += 1
    return end
