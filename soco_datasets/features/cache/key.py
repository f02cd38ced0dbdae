"""What the maps of a shared store depend on: the key of the store, and the digest of each image within it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import UsageError, worded
from ...utils.progress import progress

if TYPE_CHECKING:
    from ...data.images import ImageStore
    from ..extractor import DenseFeatureExtractor
    from ..requests import ForwardPlan

_FORMAT = 3
_LIBRARIES = ("soco_datasets", "kornia", "numpy", "pillow", "torch", "transformers")


def feature_key(
    extractor: DenseFeatureExtractor, versions: Mapping[str, str], plan: ForwardPlan | None = None
) -> dict[str, Any]:
    """Everything but the image that decides its map, as JSON values: model, weights, layer, norm, size, dtype ...

    Args:
        extractor: makes the maps.
        versions: of the toolkit and the libraries; those that numbers depend on go in.
        plan: what is kept of each forward; None = the map of the extractor's own layer under its own transform.

    Raises:
        UsageError: a model whose weights have no hash, so that a change of it would not be seen.
    """
    model = extractor.describe()
    for part in _leaves(model):
        undeclared = "plugin" in part and part["weights_hash"] == part["config_hash"]
        if undeclared or (part["weights_hash"] is None and part["revision"] is None):
            raise UsageError(
                f"The features of {part['name']} cannot be kept between runs: nothing says which weights it has. "
                "A plug-in declares them with @plugin(weights=FILE). Or take "
                f"{worded('--store', 'the CachePolicy')} auto, memory or none."
            )
    if plan is None:
        kept: dict[str, Any] = {"transform": extractor.transform.describe()}
        model = _without(model, ("requested_size",))
    else:
        kept = {"transform": plan.transform.describe(), "maps": plan.maps, "vectors": plan.vectors}
        model = _without(model, ("requested_size", "effective_size", "grid"))
    return {
        "format": _FORMAT,
        "model": model,
        **kept,
        "versions": {name: versions[name] for name in _LIBRARIES if name in versions},
    }


def image_digests(images: ImageStore, names: Iterable[str]) -> list[bytes]:
    """The sha256 (32 bytes) of each named image's file, from the bytes as they are now.

    Read afresh each time, about a second for 4,000 photographs: a map can then never be that of another image, even
    where a folder was changed behind its manifest.

    Raises:
        UsageError: an unknown name.
        DatasetFolderError: an image has no bytes.
    """
    return [
        hashlib.sha256(images.jpeg_bytes(name)).digest()
        for name in progress(list(names), "Hashing images", unit="image")
    ]


def _leaves(model: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if not model.get("parts"):
        yield model
    for part in model.get("parts", []):
        yield from _leaves(part)


def _without(model: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """A description without what does not matter: the size asked for, since the size used does."""
    kept = {name: value for name, value in model.items() if name not in names}
    if "parts" in kept:
        kept["parts"] = [_without(part, names) for part in kept["parts"]]
    return kept
