"""The tensors of a checkpoint file, without running anything that is in it."""

from __future__ import annotations

import argparse
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BackboneError
from ..utils.compressed import UnpackedSizeError, check_zip
from ..utils.tensor_files import check_tensors

if TYPE_CHECKING:
    import torch

_WRAPPERS = ("state_dict", "teacher", "model", "student")  # where the weights are, best first


def read_weights(path: Path, key: str | None = None) -> tuple[dict[str, torch.Tensor], str | None]:
    """The tensors of a checkpoint file by name, and the entry they were found under (None = the file itself).

    Raises:
        BackboneError: no file, no checkpoint, one that would run code, or no such entry.
    """
    import torch

    if not path.is_file():
        raise BackboneError(f"There is no checkpoint file {path}.")
    content = _load_safetensors(path) if path.suffix == ".safetensors" else _load_pickle(path)
    if not isinstance(content, Mapping):
        raise BackboneError(f"{path} holds {type(content).__name__}, no weights by name. Save the model's state_dict.")
    found: str | None = None
    if key is not None:
        if not isinstance(content.get(key), Mapping):
            entries = [str(name) for name, value in content.items() if isinstance(value, Mapping)]
            raise BackboneError(f"{path} has no weights under {key!r}; it has {', '.join(entries) or 'none'}.")
        found = key
    elif not any(isinstance(value, torch.Tensor) for value in content.values()):
        found = next((name for name in _WRAPPERS if isinstance(content.get(name), Mapping)), None)
    entry: Mapping[Any, Any] = content if found is None else content[found]
    weights = {str(name): value for name, value in entry.items() if isinstance(value, torch.Tensor)}
    if not weights:
        listed = ", ".join(sorted(map(str, content))[:8])
        raise BackboneError(f"{path} holds no tensors where weights are expected; its entries: {listed or 'none'}.")
    for name, value in weights.items():
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise BackboneError(f"{path}: the tensor {name!r} repeats what it stores. Save it after .contiguous().")
    return weights, found


def _load_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        check_tensors(path)
        return load_file(path)
    except (SafetensorError, OSError, UnpackedSizeError) as error:
        raise BackboneError(f"{path} is not a safetensors file, or a damaged one: {error}.") from error


def _load_pickle(path: Path) -> Any:
    import torch

    try:
        # Training checkpoints of DINO and iBOT keep their arguments; a Namespace only holds values, it runs nothing.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about protocols of pickles that are then refused
            if zipfile.is_zipfile(path):
                check_zip(path)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"(?:GLOBAL|global) `?([\w.]+)`?", str(error))
        if refused:
            raise BackboneError(
                f"{path} is a pickle that would run code when read (it calls {refused[1]}), so it is not opened. Get "
                "the plain weights: where you trust the file, torch.load it yourself and save only its state_dict."
            ) from error
        raise BackboneError(
            f"{path} is not a checkpoint of torch, or a damaged one, or one that cannot be read without running code. "
            "Get the file again, as a plain state_dict."
        ) from error
    except Exception as error:  # damaged archives raise almost anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BackboneError(
            f"{path} is not a checkpoint of torch, or a damaged one ({reason}). Get it again."
        ) from error
