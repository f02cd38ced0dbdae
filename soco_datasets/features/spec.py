"""How an extractor is loaded, as plain values: what goes to another process, which then loads the model itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .transforms import Anchor

if TYPE_CHECKING:
    from .extractor import DenseFeatureExtractor


@dataclass(frozen=True)
class ExtractorSpec:
    """A model and how it is used.

    Attributes:
        model: name, Hub id, folder, plug-in or expression, see `expression.load_model_expression`.
        image_size, batch_size, tf32, compiled: of the `DenseFeatureExtractor`.
        anchor: where images lie in their padded square: "corner" or "center"; None = as the
            benchmark's own protocol has it, which needs the model in this process.
        options: further arguments of `load_model_expression`, such as `layer`, `device` and `dtype`.
    """

    model: str | Path | Callable[..., Any]
    image_size: int = 800
    batch_size: int | None = 8
    tf32: bool = False
    compiled: bool = False
    anchor: Anchor | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> DenseFeatureExtractor:
        """Load the model. Raises as `load_model_expression` and `DenseFeatureExtractor` do."""
        from .expression import load_model_expression
        from .extractor import DenseFeatureExtractor

        backbone = load_model_expression(self.model, **self.options)
        extractor = DenseFeatureExtractor(
            backbone, self.image_size, self.batch_size, tf32=self.tf32, compiled=self.compiled
        )
        return extractor if self.anchor is None else extractor.anchored(self.anchor)
