"""Where a model runs: a torch device that is really there."""

from __future__ import annotations

from ..errors import UsageError


def usable_device(device: str) -> str:
    """The torch device of that name, "auto" resolved; raises `UsageError` for one that is not here."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        parsed = torch.device(device)
        torch.empty(0, device=parsed)
    except Exception as error:  # torch raises RuntimeError, AssertionError or NotImplementedError, by device
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(f"Device {device!r} cannot be used here: {reason} Use 'cpu'.") from error
    return device
