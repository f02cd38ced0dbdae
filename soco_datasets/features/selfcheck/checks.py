"""The single checks of `selfcheck.py`: each takes a `Subject` and gives a `Check`.

Nothing about a model's insides is used: images go in, maps come out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ...errors import BackboneError, SocoError
from ..extractor import DenseFeatureExtractor, l2_normalize
from ..families.base import Backbone
from ..model_list import BackboneSpec
from ..preprocess import NAMED_STATISTICS, Statistics
from ..recipes import AUGUST, PAPER, UNKNOWN
from .locality import (
    NEAR_SHARE,
    Locality,
    base_image,
    measure,
)

if TYPE_CHECKING:
    import torch

CheckStatus: TypeAlias = Literal["pass", "fail", "skipped", "info"]
Reload: TypeAlias = Callable[..., Backbone]  # the same model with other options of `load_backbone`
Size: TypeAlias = tuple[int, int]  # rows, columns of pixels

# Differences that rounding explains, as a fraction of the features' standard deviation.
_ROUNDING = {"float32": 1e-3, "bfloat16": 0.3, "float16": 0.05}


# Cells asked for on a side; enough that models with windows of 8 cells have more than one.
_SQUARES = (6, 11)
_OBLONG = (7, 12)


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: what was checked.
        status: "pass", "fail", "skipped" (it means nothing for this model, or cannot be done) or "info".
        detail: what was found, in words.
        numbers: what was measured, JSON values.
    """

    name: str
    status: CheckStatus
    detail: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """What is checked, and what is known about it.

    Attributes:
        backbone: the loaded model.
        sizes: (rows, columns) of pixels to check at, the smallest first.
        reload: gives the same model with other options, None where that cannot be done.
        own: the statistics its checkpoint asks for, None where unknown.
        entry: what the list says about it, None where it is not listed.
    """

    backbone: Backbone
    sizes: tuple[Size, ...]
    reload: Reload | None = None
    own: Statistics | None = None
    entry: BackboneSpec | None = None

    @property
    def rounding(self) -> float:
        """What may differ, as a fraction of the features' spread."""
        return _ROUNDING[self.backbone.dtype]

    def pixels(self, seed: int, size: Size | None = None) -> torch.Tensor:
        """(1, 3, H, W) normalized pixels of a made-up image, at the smallest size by default."""
        return self.prepared(base_image(size or self.sizes[0], seed))

    def prepared(self, images: torch.Tensor, statistics: Statistics | None = None) -> torch.Tensor:
        """Images in 0..1 as `forward` takes them."""
        used = statistics or self.backbone.statistics
        mean, std = (images.new_tensor(values).view(1, 3, 1, 1) for values in (used.mean, used.std))
        return ((images - mean) / std).to(self.backbone.device)


def default_sizes(backbone: Backbone) -> tuple[Size, ...]:
    """Two squares and an oblong of some cells a side, as far as the model takes them, in (rows, columns) of pixels.

    A model that refuses the smallest (Swin, below its window) is asked for twice the size.
    """
    import torch

    if backbone.fixed_size is not None:
        return ((backbone.fixed_size, backbone.fixed_size),)
    sizes = _sizes(backbone, 1)
    try:
        with torch.inference_mode():
            backbone.forward(torch.zeros(1, 3, *sizes[0], device=backbone.device))
    except BackboneError:
        return _sizes(backbone, 2)
    except Exception:  # not a refusal: the checks will say what it is
        return sizes
    return sizes


def _sizes(backbone: Backbone, factor: int) -> tuple[Size, ...]:
    cell = resolution(backbone)
    step = math.lcm(backbone.size_multiple, cell)

    def side(cells: int) -> int:
        return math.ceil(factor * cells * cell / step) * step

    squares = [(side(cells), side(cells)) for cells in _SQUARES]
    oblong = [] if backbone.square_only else [(side(_OBLONG[0]), side(_OBLONG[1]))]
    return tuple(dict.fromkeys([*squares, *oblong]))


def resolution(backbone: Backbone) -> int:
    """Pixels on a side of the finest thing a map can show: a cell, or several where the model doubles its map."""
    return max(backbone.patch_size, int(getattr(backbone, "resolution", 0)))


def agrees_with_list(subject: Subject) -> Check:
    """Cell size and size rule are those of the list."""
    entry, backbone = subject.entry, subject.backbone
    if entry is None:
        return Check("list", "skipped", "not a listed model")
    if backbone.norm != (entry.paper_norm or "none"):
        return Check("list", "skipped", f"the list is about norm {entry.paper_norm or 'none'!r}")
    found = {"patch": backbone.patch_size, "size_multiple": backbone.size_multiple}
    wanted = {"patch": entry.patch, "size_multiple": entry.size_multiple}
    numbers = {"found": found, "listed": wanted}
    if found != wanted:
        return Check("list", "fail", f"the model has {found}, the list says {wanted}", numbers)
    return Check("list", "pass", f"cells of {entry.patch} px, sides multiples of {entry.size_multiple}", numbers)


def map_shape(subject: Subject) -> Check:
    """Prefix + h * w tokens (adapters raise otherwise), the promised channels, cells and dtype, finite values."""
    backbone, grids = subject.backbone, []
    for size in subject.sizes:
        pixels = subject.pixels(0, size)
        rows, columns = backbone.check_pixels(pixels)
        maps = backbone.forward(pixels)
        wanted, given = (1, backbone.channels, rows, columns), f"{size[0]}x{size[1]} px"
        if tuple(maps.shape) != wanted:
            return Check("map shape", "fail", f"{given} gave {tuple(maps.shape)}, expected {wanted} (B, C, h, w)")
        if str(maps.dtype) != f"torch.{backbone.dtype}":
            return Check("map shape", "fail", f"the map is {maps.dtype}, expected {backbone.dtype}")
        if not bool(maps.isfinite().all()):
            return Check("map shape", "fail", f"{given} gave NaN or infinite features")
        grids.append(f"{given} -> {rows}x{columns}")
    return Check("map shape", "pass", f"{backbone.channels} channels; {', '.join(grids)}", {"maps": grids})


def locality(subject: Subject) -> Check:
    """Every changed input cell moves its own cell of the map, at every size.

    A trained model may mix cells so much at the layer asked for that the changed cell moves no more than others. Its
    cells lie the same at every layer, so that the first one decides then; but a map in which other cells clearly lead
    is wrong, whatever the first layer does.
    """
    backbone = subject.backbone
    found = [_measure(subject, backbone, size) for size in subject.sizes]
    numbers: dict[str, Any] = {"layer": backbone.layer, "sizes": [one.to_dict() for one in found]}
    problem = next((one.problem for one in found if one.problem), "")
    if not problem:
        exact, probes = sum(one.exact for one in found), sum(one.probes for one in found)
        near = "" if exact == probes else f"; around the other {probes - exact} a neighbor led, without a shift"
        return Check("locality", "pass", f"{exact} of {probes} changed cells moved most themselves{near}", numbers)
    first = _first_layer(subject) if min(one.lead for one in found) >= NEAR_SHARE else None
    if first is None:
        return Check("locality", "fail", problem, numbers)
    again = [_measure(subject, first, size) for size in subject.sizes]
    numbers["layer_0"] = [one.to_dict() for one in again]
    worse = next((one.problem for one in again if one.problem), "")
    if worse:
        return Check("locality", "fail", f"{problem}. At layer 0: {worse}", numbers)
    return Check("locality", "pass", f"shown at layer 0; the layer asked for mixes the cells: {problem}", numbers)


def _measure(subject: Subject, backbone: Backbone, size: Size) -> Locality:
    rows, columns = backbone.check_pixels(subject.pixels(0, size))
    step = resolution(backbone) // backbone.patch_size  # cells that show one thing together
    if rows % step or columns % step:
        raise BackboneError(f"{size[0]}x{size[1]} px give {rows}x{columns} cells, which do not divide by {step}.")

    def features(images: torch.Tensor) -> torch.Tensor:
        maps = backbone.forward(subject.prepared(images)).float().cpu()
        blocks = maps.unflatten(3, (columns // step, step)).unflatten(2, (rows // step, step))
        return blocks.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)  # the cells of a block as channels of one

    return measure(features, size, (rows // step, columns // step))


def _first_layer(subject: Subject) -> Backbone | None:
    """The same model at its first block, where the cells are the same as at the layer asked for; None elsewhere."""
    backbone = subject.backbone
    if subject.reload is None or not backbone.num_layers or (backbone.layer or 0) % backbone.num_layers == 0:
        return None
    try:
        first = subject.reload(layer=0, norm="none")
    except SocoError:
        return None
    same = (first.patch_size, first.channels) == (backbone.patch_size, backbone.channels)
    return first if same else None


def determinism(subject: Subject) -> Check:
    """The same image twice gives the same bits on the CPU, and nearly the same elsewhere."""
    import torch

    pixels = subject.pixels(1)
    first, second = subject.backbone.forward(pixels), subject.backbone.forward(pixels)
    difference = _relative(first, second)
    equal = torch.equal(first, second)
    numbers = {"bit_equal": equal, "difference": difference}
    if equal:
        return Check("determinism", "pass", "two runs are bit-equal", numbers)
    on_cpu = torch.device(subject.backbone.device).type == "cpu"
    status: CheckStatus = "fail" if on_cpu or difference > subject.rounding else "pass"
    return Check("determinism", status, f"two runs differ by {difference:.2g} of the features' spread", numbers)


def batches(subject: Subject) -> Check:
    """Two images together give what each gives alone, in their order; and two images give two maps."""
    import torch

    forward, (one, two) = subject.backbone.forward, (subject.pixels(1), subject.pixels(2))
    alone, together = torch.cat([forward(one), forward(two)]), forward(torch.cat([one, two]))
    if together.shape != alone.shape:
        return Check("batches", "fail", f"a batch of two gave {tuple(together.shape)}, expected {tuple(alone.shape)}")
    difference, images_differ = _relative(alone, together), _relative(alone[:1], alone[1:])
    numbers = {"difference": difference, "limit": subject.rounding, "images_differ": images_differ}
    if images_differ == 0:
        return Check("batches", "fail", "two different images give the same features", numbers)
    status: CheckStatus = "fail" if difference > subject.rounding else "pass"
    return Check("batches", status, f"two at once differ from one by one by {difference:.1e} of the spread", numbers)


def statistics(subject: Subject) -> Check:
    """The statistics are the checkpoint's, and an image that goes through the extractor is given with them."""
    used, own = subject.backbone.statistics, subject.own
    by_recipe = subject.backbone.recipe in (PAPER, AUGUST, UNKNOWN) and used.source in NAMED_STATISTICS
    if by_recipe:  # not the checkpoint's, on purpose: the check "recipe" compares them with the list
        own = used
    if own is None:
        return Check("statistics", "skipped", f"used: {_words(used)}; no file says what they should be")
    numbers: dict[str, Any] = {"used": asdict(used), "own": asdict(own)}
    if (used.mean, used.std) != (own.mean, own.std):
        return Check("statistics", "fail", f"used: {_words(used)}; the checkpoint's own: {_words(own)}", numbers)
    extractor = DenseFeatureExtractor(subject.backbone, subject.sizes[0][0])
    if not extractor.parts:
        extracted, by_hand = _extracted_and_by_hand(subject, extractor, own)
        numbers["difference"] = difference = _relative(by_hand, extracted)
        if difference > subject.rounding:
            detail = f"features of an image differ by {difference:.2g} of the spread from those with its own statistics"
            return Check("statistics", "fail", detail, numbers)
    whose = "the recipe's" if by_recipe else "the checkpoint's own"
    return Check("statistics", "pass", f"{whose}: {_words(own)}", numbers)


def _extracted_and_by_hand(
    subject: Subject, extractor: DenseFeatureExtractor, own: Statistics
) -> tuple[torch.Tensor, torch.Tensor]:
    import numpy as np
    from PIL import Image

    image = (base_image((extractor.size, extractor.size), 3) * 255).round()
    picture = Image.fromarray(image[0].permute(1, 2, 0).numpy().astype(np.uint8))
    return extractor.extract([picture]), subject.backbone.forward(subject.prepared(image / 255, own))


def layers(subject: Subject) -> Check:
    """Layer -1 is the last one, and not the first."""
    import torch

    count, reload = subject.backbone.num_layers, subject.reload
    if not count:
        return Check("layers", "skipped", "the model has no layers to choose from")
    if reload is None:
        return Check("layers", "skipped", "the model cannot be loaded again with another layer")
    last = reload(layer=-1, norm="none")
    pixels = Subject(last, default_sizes(last)).pixels(1)  # layers may differ in what sizes they take
    features = last.forward(pixels)
    if not torch.equal(features, reload(layer=count - 1, norm="none").forward(pixels)):
        return Check("layers", "fail", f"layer -1 and layer {count - 1} of {count} give different features")
    if count == 1:
        return Check("layers", "pass", "layer -1 is layer 0 of 1")
    first = reload(layer=0, norm="none")
    alike = (first.patch_size, first.size_multiple) == (last.patch_size, last.size_multiple)
    if alike and _agree(features, first.forward(pixels), subject.rounding):
        return Check("layers", "fail", f"layer 0 and layer {count - 1} give the same features")
    return Check("layers", "pass", f"layer -1 is layer {count - 1} of {count}, and differs from layer 0")


def norm(subject: Subject) -> Check:
    """Norms "none" and "final" differ, and the second is the model's final norm of the first."""
    if subject.reload is None:
        return Check("norm", "skipped", "the model cannot be loaded again with another norm")
    try:
        final = subject.reload(norm="final")
    except SocoError as error:
        return Check("norm", "skipped", str(error).removesuffix(": leave it out."))
    raw = subject.reload(norm="none")
    if (raw.patch_size, raw.size_multiple) != (final.patch_size, final.size_multiple):
        return Check("norm", "pass", f"none has cells of {raw.patch_size} px, final of {final.patch_size} px")
    pixels = subject.pixels(1)
    before, after = raw.forward(pixels), final.forward(pixels)
    if _agree(before, after, subject.rounding):
        return Check("norm", "fail", "norm 'final' changes nothing")
    numbers: dict[str, Any] = {}
    module = getattr(final, "final_norm", None)
    if module is None:
        return Check("norm", "pass", "none and final differ", numbers)
    by_hand = module(before.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    numbers["by_hand"] = _relative(by_hand, after)
    if numbers["by_hand"] > subject.rounding:
        return Check("norm", "fail", "norm 'final' is not the model's final norm of norm 'none'", numbers)
    return Check("norm", "pass", f"final is {type(module).__name__} of none, and differs from it", numbers)


def drift(subject: Subject, dtype: str) -> Check:
    """How far another precision moves features, and how many nearest neighbors between two images it changes."""
    name = f"drift {dtype}"
    if subject.reload is None:
        return Check(name, "skipped", "the model cannot be loaded again with another dtype")
    pixels = [subject.pixels(seed, max(subject.sizes)) for seed in (1, 2)]
    try:
        other = subject.reload(dtype=dtype)
        moved = [l2_normalize(other.forward(one)).flatten(2)[0] for one in pixels]
    except (SocoError, RuntimeError) as error:  # RuntimeError: an operation that the device has not in this precision
        return Check(name, "skipped", str(error).strip().splitlines()[0].removesuffix(": leave it out."))
    usual = [l2_normalize(subject.backbone.forward(one)).flatten(2)[0] for one in pixels]
    cosine = (usual[0] * moved[0]).sum(dim=0)
    nearest = [(source.T @ target).argmax(dim=1) for source, target in (usual, moved)]
    changed = float((nearest[0] != nearest[1]).float().mean())
    numbers = {"cosine_mean": float(cosine.mean()), "cosine_min": float(cosine.min()), "matches_changed": changed}
    detail = (
        f"cosine to {subject.backbone.dtype} {numbers['cosine_mean']:.5f} (least {numbers['cosine_min']:.4f}); "
        f"{100 * changed:.1f} % of {cosine.numel()} nearest neighbors change"
    )
    return Check(name, "info", detail, numbers)


def guarded(name: str, check: Callable[[], Check]) -> Check:
    """The check; a failed one when the model itself raises."""
    try:
        return check()
    except BackboneError as error:
        return Check(name, "fail", str(error))
    except Exception as error:  # a model may raise anything, and that is the finding
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
        return Check(name, "fail", f"{type(error).__name__}: {reason}")


def _agree(one: torch.Tensor, other: torch.Tensor, limit: float) -> bool:
    return one.shape == other.shape and _relative(one, other) <= limit


def _relative(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference, as a fraction of the first one's standard deviation."""
    spread = float(one.float().std()) or 1.0
    return float((one.float() - other.float()).abs().max()) / spread


def _words(used: Statistics) -> str:
    mean, std = ("/".join(f"{value:.3g}" for value in values) for values in (used.mean, used.std))
    return f"{used.source}, mean {mean}, std {std}"
