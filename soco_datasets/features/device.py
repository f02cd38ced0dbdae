"""Where a model runs: a torch device that is really there."""

from __future__ import annotations

import difflib

from ..errors import UsageError, worded

_KINDS = ("auto", "cpu", "cuda", "mps", "xpu")
_OTHER_NAMES = {"gpu": "cuda", "nvidia": "cuda", "rocm": "cuda", "amd": "cuda", "metal": "mps", "apple": "mps"}


def usable_device(device: str) -> str:
    """The torch device of that name, "auto" resolved; raises `UsageError` for one that is not here."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        parsed = torch.device(device)
    except RuntimeError:
        raise _unknown_device(device) from None
    if parsed.type == "cuda" and torch.version.cuda is None and torch.version.hip is None:
        cpu = worded("--device cpu", 'device="cpu"')
        raise UsageError(f"This PyTorch has no CUDA support. Use {cpu} or install a CUDA build.")
    try:
        torch.empty(0, device=parsed)
    except Exception as error:  # torch raises RuntimeError, AssertionError or NotImplementedError, by device
        said = str(error).strip().splitlines() or [type(error).__name__]
        missing = isinstance(error, NotImplementedError)  # its text is a list of all that torch knows
        reason = "this PyTorch is not built for it" if missing else said[0].rstrip(".")
        raise UsageError(f"Device {device!r} cannot be used here: {reason}. Use 'cpu'.") from error
    return device


def bf16_support(device: str) -> str | None:
    """What a device multiplies bf16 with: "AMX" (matrix units), "AVX512-BF16" (vectors), "GPU"; None = nothing."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return "GPU" if torch.cuda.is_bf16_supported(including_emulation=False) else None
    tests = {"AMX": "_is_amx_tile_supported", "AVX512-BF16": "_is_avx512_bf16_supported"}  # some builds have neither
    found = (name for name, test in tests.items() if kind == "cpu" and getattr(torch.cpu, test, bool)())
    return next(found, None)


def fastest_dtype(device: str) -> str:
    """The fastest dtype of `families.base.DTYPES` whose effect docs/concepts/performance.md states, on this device.

    "bfloat16" where the device multiplies it (`bf16_support`): NVIDIA GPUs from Ampere on, x86 processors with AMX or
    AVX512-BF16. Else "float32". "float16" is never chosen: some models overflow in it, many processors emulate it.
    """
    return "float32" if bf16_support(device) is None else "bfloat16"


def _unknown_device(device: str) -> UsageError:
    kind, colon, number = device.lower().partition(":")
    near = [_OTHER_NAMES[kind]] if kind in _OTHER_NAMES else difflib.get_close_matches(kind, _KINDS, n=1, cutoff=0.7)
    index = colon + number if number.isdecimal() and near in (["cuda"], ["xpu"]) else ""
    hint = f"Did you mean {near[0] + index!r}?" if near else f"Known: {', '.join(_KINDS)}, and cuda:1 for the second."
    return UsageError(f"Unknown device {device!r}. {hint}")
