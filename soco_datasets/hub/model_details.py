"""What is known of a model on the leaderboard: from the list of backbones, else from its page on the Hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..features.model_list import BACKBONES, listed
from ..utils.hub_errors import repo_url
from ..utils.text import clean

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

UNKNOWN = "-"


@dataclass(frozen=True)
class ModelDetails:
    """Facts of a model; "" or None where nothing is known.

    Attributes:
        family: of the list of backbones.
        parameters: of the image encoder, or of the whole checkpoint where only the Hub states them; millions.
        patch: pixels between neighboring cells.
        license: of the weights.
        hub_id: "ORG/NAME".
        url: of the weights.
        notes: what a user should know.
    """

    family: str = ""
    parameters: int | None = None
    patch: int | None = None
    license: str = ""
    hub_id: str = ""
    url: str = ""
    notes: str = ""


def listed_details(model: str) -> ModelDetails:
    """The facts of a listed model, by its name, its Hub id or a name of the paper; empty for any other."""
    spec = listed(model) or next((spec for spec in BACKBONES if model in spec.paper_names), None)
    if spec is None:
        return ModelDetails()
    url = repo_url(spec.hub_id, "model") if spec.hub_id else spec.source
    return ModelDetails(
        spec.model_type or "plug-in", spec.parameters, spec.patch, spec.license, spec.hub_id or "", url, spec.notes
    )


def hub_details(info: ModelInfo) -> ModelDetails:
    """The facts of a model on the Hub: the list's where it is listed, else what its card and its weights state."""
    known = listed_details(info.id)
    if known.hub_id:
        return known
    total = getattr(getattr(info, "safetensors", None), "total", None)
    card: Any = getattr(info, "card_data", None)
    license = card.get("license") if card is not None else None
    return ModelDetails(
        parameters=round(total / 1e6) if isinstance(total, int) and total > 0 else None,
        license=clean(license)[:40] if isinstance(license, str) else "",
        hub_id=info.id,
        url=repo_url(info.id, "model"),
    )
