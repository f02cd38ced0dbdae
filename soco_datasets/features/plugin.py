"""Any model as a backbone: the user's own callable `images -> (B, C, h, w)`, see docs/howto/plugins.md.

A plug-in is a function, an object with `__call__`, a `torch.nn.Module`, or a class of such (made without arguments),
that says about itself, as attributes or through the decorator `plugin`:

    stride          pixels between neighboring cells of its map (`patch_size` is taken too); found by one probe image
                    where nothing is said
    statistics      "imagenet", "clip", "half", (mean, std), or "none" (the default): images in 0..1 as they are
    size_multiple   image sides must be multiples of this; `stride` by default
    image_size      the only image side it can take, if there is only one
    square_only     True where it takes square images only
    name, revision  what the result calls it
    weights         file (or files) whose sha256 goes into the result; beside the plug-in's file if not absolute
    to(device)      called once, if there is one

Loading one imports it, and so runs the user's own code. That happens only for a name or object that the user gave on
the command line or to a function here; nothing read from a data set, a model folder or the Hub ever names a plug-in.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import (
    BackboneError,
    UsageError,
    missing_extra,
    unknown_name,
)
from ..geometry import effective_size
from ..utils.paths import local_path
from .device import usable_device
from .families.base import DTYPES, Backbone
from .live_module import ModuleFeatures, is_live_module, state_hash
from .plugin_source import (
    find_plugin,
    hash_files,
    own_name,
    reason_of,
)
from .preprocess import NAMED_STATISTICS, NO_STATISTICS, Statistics

if TYPE_CHECKING:
    import torch

F = TypeVar("F", bound=Callable[..., Any])

_TRIAL_SIZE = 224
_SAY_STRIDE = (
    "A plug-in gives maps (B, C, h, w) and may say how many pixels lie between neighboring cells: "
    "`function.stride = 16`, or @plugin(stride=16)."
)
_USUAL = {"layer": -1, "norm": "none", "dtype": "float32", "revision": None}
_DECLARED = (
    *("stride", "patch_size", "statistics", "size_multiple", "image_size", "square_only"),
    *("name", "revision", "weights"),
)


def plugin(**declared: Any) -> Callable[[F], F]:
    """Decorator that writes what a plug-in says about itself on a function or class: `@plugin(stride=16)`."""
    for key in declared:
        if key not in _DECLARED:
            raise unknown_name("plug-in attribute", key, _DECLARED)

    def declare(function: F) -> F:
        for key, value in declared.items():
            setattr(function, key, value)
        return function

    return declare


@dataclass(kw_only=True, eq=False)
class PluginBackbone(Backbone):
    """The user's callable behind the checks that its promises need.

    Attributes:
        function: (B, 3, H, W) float32 images on `device` -> (B, C, H / patch_size, W / patch_size), floating point.
        source: where it came from, as the user gave it.
        module: the module that `function` calls, where weights in memory are all there is: their hash is then taken
            anew whenever the model is described, since they may be trained meanwhile.
    """

    function: Callable[[torch.Tensor], torch.Tensor]
    source: str
    module: torch.nn.Module | None = None

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See `Backbone.forward`.

        Raises:
            BackboneError: the plug-in raises, or gives another type, shape, dtype or device than it should, or NaN.
        """
        import torch

        cells = self.check_pixels(pixels)
        try:
            with torch.inference_mode():
                maps = self.function(pixels.clone())  # its own copy: it may work in place
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            raise BackboneError(f"{self.name} failed on pixels {tuple(pixels.shape)}: {reason_of(error)}") from error
        _check_maps(maps, pixels, cells, self)
        if maps.shape[1] != self.channels or _dtype_name(maps) != self.dtype:
            raise BackboneError(
                f"{self.name} gave {maps.shape[1]} channels of {_dtype_name(maps)}, but {self.channels} of "
                f"{self.dtype} before. A plug-in must always give the same."
            )
        result: torch.Tensor = maps
        return result

    def details(self) -> dict[str, Any]:
        """See `Backbone.details`."""
        found: dict[str, Any] = {"plugin": self.source}
        return found if self.module is None else {**found, "in_memory": True, "weights_hash": state_hash(self.module)}


def is_plugin(model: object) -> bool:
    """Whether this names a plug-in ("module:function", "file.py:function") or is one.

    >>> is_plugin("my_models.dune:features"), is_plugin("./dune.py:features"), is_plugin("facebook/dinov2-base")
    (True, True, False)
    """
    if not isinstance(model, str):
        return callable(model)
    place, _, attribute = model.rpartition(":")
    if model.endswith(".py"):
        return True  # `load_plugin` says what is missing
    named = all(part.isidentifier() for part in attribute.split("."))
    return named and (place.endswith(".py") or all(part.isidentifier() for part in place.split(".")))


def load_plugin(
    plugin: str | Callable[..., Any], *, statistics: str = "auto", device: str = "cpu", **others: Any
) -> PluginBackbone:
    """Make a plug-in a backbone. Runs the user's code: its import, and one small trial image.

    Args:
        plugin: "module:function", "path/to/file.py:function", or the callable itself.
        statistics: "auto" = as the plug-in says, or a name of `NAMED_STATISTICS` instead.
        device: a torch device, or "auto".
        others: the further options of `load_backbone`, which are the plug-in's own affair: anything but the default is
            refused.

    Raises:
        BackboneError: it cannot be imported, lacks an attribute, or does not give what it says.
        UsageError: an option that means nothing for a plug-in.
        MissingExtraError: torch is not installed.
    """
    for option, value in others.items():
        if option not in _USUAL:
            raise unknown_name("option", option, ("statistics", "device", *_USUAL))
        if value != _USUAL[option]:
            raise UsageError(f"{plugin} is a plug-in, which decides about `{option}` itself: leave it out.")
    if importlib.util.find_spec("torch") is None:
        raise missing_extra("A plug-in", "models", "torch")
    source, found, files = find_plugin(plugin.module if isinstance(plugin, ModuleFeatures) else plugin)
    found = plugin if isinstance(plugin, ModuleFeatures) else found
    function = _instance(found, source)
    device = usable_device(device)
    _to_device(function, device, source)
    stride = _stride(function, source, device)
    source_hash = hash_files(files)
    declared_hash = _weights_hash(function, files, source)
    module = function.module if isinstance(function, ModuleFeatures) and declared_hash is None else None
    backbone = PluginBackbone(
        name=str(getattr(function, "name", None) or own_name(found)),
        family="plugin",
        revision=_optional_text(function, "revision"),
        weights_hash=declared_hash or (source_hash if module is None else state_hash(module)),
        config_hash=source_hash,
        statistics=_statistics(function, statistics, source),
        layer=None,
        num_layers=None,
        norm="none",
        patch_size=stride,
        size_multiple=_whole(function, "size_multiple", source, default=stride),
        fixed_size=_whole(function, "image_size", source, default=0) or None,
        num_prefix_tokens=0,
        channels=0,
        device=device,
        dtype=DTYPES[0],
        square_only=_flag(function, "square_only", source),
        function=function,
        source=source,
        module=module,
    )
    _check_sizes(backbone)
    _try(backbone)
    return backbone


def _instance(found: Any, source: str) -> Callable[..., Any]:
    if inspect.isclass(found):
        try:
            found = found()
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            raise BackboneError(f"Making {source} failed: {reason_of(error)}") from error
    if not callable(found):
        raise BackboneError(
            f"{source} is {type(found).__name__}, which cannot be called; a plug-in is a function of images "
            "(B, 3, H, W) that gives features (B, C, h, w), or a class of such."
        )
    function: Any = found
    return ModuleFeatures(function) if is_live_module(function) else function


def _to_device(function: Any, device: str, source: str) -> None:
    if isinstance(function, ModuleFeatures):
        function.module.requires_grad_(False).eval()
    if callable(getattr(function, "to", None)):
        try:
            function.to(device)
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            raise BackboneError(f"Moving {source} to {device} failed: {reason_of(error)}") from error


def _statistics(function: Any, wanted: str, source: str) -> Statistics:
    if wanted not in ("auto", *NAMED_STATISTICS):
        raise unknown_name("statistics", wanted, ("auto", *NAMED_STATISTICS))
    declared = getattr(function, "statistics", None) if wanted == "auto" else wanted
    if isinstance(declared, Statistics):
        return declared
    if declared is None or isinstance(declared, str):
        named = {**NAMED_STATISTICS, "none": NO_STATISTICS}
        if (declared or "none") not in named:
            raise BackboneError(f"{source}: {unknown_name('statistics', declared, named)} Or give (mean, std).")
        return named[declared or "none"]
    try:
        mean, std = (tuple(float(value) for value in values) for values in declared)
    except (TypeError, ValueError):
        mean, std = (), ()
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise BackboneError(
            f"{source} has the statistics {declared!r}; give a name ({', '.join(NAMED_STATISTICS)}, none) or "
            "(mean, std) of three numbers each, std above 0, for images in 0..1."
        )
    return Statistics((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]), "plugin")


def _stride(function: Any, source: str, device: str) -> int:
    """The declared stride, or how many pixels of a probe image one cell of its map stands for."""
    import torch

    declared = [getattr(function, name, None) for name in ("stride", "patch_size")]
    if any(value is not None for value in declared):
        return _whole(function, "stride", source, "patch_size")
    side = _whole(function, "image_size", source, default=0) or _whole(
        function, "size_multiple", source, default=_TRIAL_SIZE
    )
    side = side if side >= _TRIAL_SIZE // 2 else effective_size(_TRIAL_SIZE, side)
    try:
        with torch.inference_mode():
            maps = function(torch.zeros(1, 3, side, side, device=device))
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise BackboneError(
            f"{source} failed on a probe image of {side} x {side} pixels, by which its stride would be found "
            f"({reason_of(error)}). {_SAY_STRIDE}"
        ) from error
    shape = tuple(maps.shape) if isinstance(maps, torch.Tensor) else ()
    if len(shape) != 4 or shape[2] != shape[3] or not shape[2] or side % shape[2]:
        given = f"a tensor of the shape {shape}" if shape else f"a {type(maps).__name__}"
        raise BackboneError(
            f"{source} gave {given} for a probe image (1, 3, {side}, {side}), by which its stride would be found; "
            f"expected a map (1, C, h, h). {_SAY_STRIDE}"
        )
    return side // int(shape[2])


def _whole(function: Any, name: str, source: str, other: str = "", default: int = 0) -> int:
    """A declared positive whole number, or the default where nothing is declared."""
    value = getattr(function, name, None)
    if value is None and other:
        value = getattr(function, other, None)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BackboneError(f"{source} has {name} {value!r}; it must be a positive whole number of pixels.")
    return value


def _flag(function: Any, name: str, source: str) -> bool:
    value = getattr(function, name, False)
    if not isinstance(value, bool):
        raise BackboneError(f"{source} has {name} {value!r}; it must be True or False.")
    return value


def _check_sizes(backbone: PluginBackbone) -> None:
    stride, multiple, only = backbone.patch_size, backbone.size_multiple, backbone.fixed_size
    for name, value in (("size_multiple", multiple), ("image_size", only)):
        if value is not None and value % stride:
            raise BackboneError(
                f"{backbone.source} has {name} {value}, which is not a multiple of its stride {stride}."
            )
    if only is not None and only % multiple:
        raise BackboneError(f"{backbone.source} has image_size {only}, no multiple of its size_multiple {multiple}.")


def _try(backbone: PluginBackbone) -> None:
    """One small image of noise through the plug-in: finds its channels and dtype, and its mistakes, before any work."""
    import torch

    side = backbone.fixed_size or effective_size(_TRIAL_SIZE, backbone.size_multiple)
    pixels = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(backbone.device)
    try:
        with torch.inference_mode():
            maps = backbone.function(pixels.clone())
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise BackboneError(
            f"{backbone.name} failed on a trial image, pixels {tuple(pixels.shape)}: {reason_of(error)}"
        ) from error
    _check_maps(maps, pixels, backbone.check_pixels(pixels), backbone)
    backbone.channels = int(maps.shape[1])
    backbone.dtype = _dtype_name(maps)


def _check_maps(maps: Any, pixels: torch.Tensor, cells: tuple[int, int], backbone: PluginBackbone) -> None:
    import torch

    name, given = backbone.name, f"for pixels {tuple(pixels.shape)}"
    rows, columns = cells
    if not isinstance(maps, torch.Tensor):
        raise BackboneError(f"{name} gave {type(maps).__name__} {given}; expected a tensor (B, C, h, w).")
    shape = tuple(maps.shape)
    if maps.ndim != 4 or shape[0] != pixels.shape[0] or shape[1] < 1:
        hint = ""
        if maps.ndim == 3:
            hint = f" Tokens (B, h * w, C) become a map with `.transpose(1, 2).reshape(B, C, {rows}, {columns})`."
        raise BackboneError(f"{name} gave {shape} {given}; expected ({pixels.shape[0]}, C, {rows}, {columns}).{hint}")
    if shape[2:] != cells:
        raise BackboneError(
            f"{name} says stride {backbone.patch_size}, so {given} its map should have {rows}x{columns} cells, but it "
            f"has {shape[2]}x{shape[3]}. Fix its stride, its size_multiple or its map."
        )
    if _dtype_name(maps) not in DTYPES:
        raise BackboneError(f"{name} gave {_dtype_name(maps)} {given}; expected {', '.join(DTYPES)}.")
    if maps.device != pixels.device:
        raise BackboneError(
            f"{name} gave its map on {maps.device} for pixels on {pixels.device}. Give the plug-in a method "
            "`to(device)` that moves its model, or move its result."
        )
    if not bool(maps.isfinite().all()):
        raise BackboneError(f"{name} gave NaN or infinite features {given}.")


def _dtype_name(maps: torch.Tensor) -> str:
    return str(maps.dtype).removeprefix("torch.")


def _weights_hash(function: Any, files: tuple[Path, ...], source: str) -> str | None:
    declared = getattr(function, "weights", None)
    if declared is None:
        return None
    listed = [declared] if isinstance(declared, str | Path) else list(declared)
    paths = [local_path(item) for item in listed]
    if files:
        paths = [files[0].parent / path for path in paths]
    absent = [str(path) for path in paths if not path.is_file()]
    if absent:
        raise BackboneError(f"{source} names weights that are not there: {', '.join(absent)}.")
    return hash_files(tuple(paths))


def _optional_text(function: Any, name: str) -> str | None:
    value = getattr(function, name, None)
    return None if value is None else str(value)


__all__ = ["PluginBackbone", "is_plugin", "load_plugin", "plugin"]
