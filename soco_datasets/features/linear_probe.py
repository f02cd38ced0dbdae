"""The linear probe (SOC linear): one linear layer on frozen features, trained so that a keypoint finds its own place.

The recipe is the reference's (GenIntel/OmniProbe, omniprobe/scripts/eval_correspondence_linear_probe_soco.py at
8fd8446): raw features of every cell go through the layer and are scaled to unit length; each query's score with every
cell of the target, over a temperature, is a classification whose right answer is the cell nearest to the target point.

Only cells that are needed are projected: all of the target, and of the source the four around each query. No image is
seen here: features come from a store that was filled once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import SocoError, UsageError, unknown_name
from ..geometry import Convention, unit_to_grid_sample
from ..utils.progress import progress

if TYPE_CHECKING:
    import torch

ProbeKind = Literal["linear"]
_LARGEST = 1e6  # beyond it float32 arithmetic overflows


@dataclass(frozen=True)
class ProbeRecipe:
    """How a probe is trained; the defaults are the reference's.

    Attributes:
        kind: "linear" = a weight (C, C) that starts as the identity and a bias that starts at zero.
        epochs: passes over the pairs.
        learning_rate: of Adam; it falls along a cosine, epoch by epoch, towards a hundredth of it.
        batch_size: pairs a step; fewer pairs than this make one batch of all.
        temperature: what scores are divided by in the loss.
        weight_decay: of Adam.
        seed: of the order of the pairs.
        alpha: PCK threshold whose SOC and CC score select the epoch.

    Raises:
        UsageError: an unknown kind, or a number out of its range.
    """

    kind: ProbeKind = "linear"
    epochs: int = 4
    learning_rate: float = 1e-3
    batch_size: int = 32
    temperature: float = 0.07
    weight_decay: float = 0.0
    seed: int = 8
    alpha: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in get_args(ProbeKind):
            raise unknown_name("kind of probe", self.kind, get_args(ProbeKind))
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**63:
                raise UsageError(f"{name} of a probe must be a whole number of {least} or more, got {value!r}.")
        for name in ("learning_rate", "temperature", "alpha"):
            value = getattr(self, name)
            if not 0 < value <= _LARGEST:
                raise UsageError(f"{name} of a probe must be above 0 and at most {_LARGEST:g}, got {value!r}.")
        if not 0 <= self.weight_decay <= _LARGEST:
            raise UsageError(
                f"weight_decay of a probe must be a finite number of 0 or more, got {self.weight_decay!r}."
            )

    @property
    def final_learning_rate(self) -> float:
        """Where the cosine would end, one epoch after the last."""
        return self.learning_rate * 0.01


@dataclass(frozen=True, eq=False)
class ProbePair:
    """A training pair as numbers: K queries that have a semantic match.

    Attributes:
        source, target: positions of the images in the store.
        cells: (K, 4) int64 raster cells of the source around each query.
        weights: (K, 4) float32 bilinear weights of these cells, 0 outside the map.
        labels: (K,) int64 raster cell of the target nearest to each target point.
    """

    source: int
    target: int
    cells: NDArray[np.int64]
    weights: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ProbeEpoch:
    """A layer after one epoch, and how it came there.

    Attributes:
        number: of the epoch, from 1.
        learning_rate: used in it.
        order: numbers of the pairs, in the order they were seen.
        batch_losses: loss of each step, before the step; batches without a query make none.
        weight: (C, C) float32, on the CPU.
        bias: (C,) float32.
    """

    number: int
    learning_rate: float
    order: tuple[int, ...]
    batch_losses: tuple[float, ...]
    weight: torch.Tensor
    bias: torch.Tensor

    @property
    def loss(self) -> float | None:
        """Mean over the steps, None without any."""
        return math.fsum(self.batch_losses) / len(self.batch_losses) if self.batch_losses else None


class Maps(Protocol):
    """Where training reads its features, such as a `MemoryFeatureCache`."""

    def get(self, index: int) -> torch.Tensor:
        """The raw (C, h, w) map of an image, on the CPU."""


def probe_pair(
    source: int,
    target: int,
    source_points: NDArray[np.float32],
    target_points: NDArray[np.float32],
    grid: int,
    convention: Convention,
) -> ProbePair:
    """A training pair from its points.

    Args:
        source, target: positions of the images in the store.
        source_points, target_points: (K, 2) float32 [x, y] in the unit frame, as `geometry.keypoints_to_unit` gives
            them; they may lie outside 0..1.
        grid: cells on a side of the maps.
        convention: the query and the label lie on its sampling grid: with "reference" the label of x is
            round(x * (grid - 1)), moved into the map.
    """
    spot = unit_to_grid_sample(source_points, grid, convention)
    corner = np.floor(spot)
    part = spot - corner
    columns = corner[:, :1].astype(np.int64) + np.array([0, 1, 0, 1])
    rows = corner[:, 1:].astype(np.int64) + np.array([0, 0, 1, 1])
    across = np.stack([1 - part[:, 0], part[:, 0]], axis=-1)[:, [0, 1, 0, 1]]
    down = np.stack([1 - part[:, 1], part[:, 1]], axis=-1)[:, [0, 0, 1, 1]]
    inside = (columns >= 0) & (columns < grid) & (rows >= 0) & (rows < grid)
    cells = np.where(inside, rows * grid + columns, 0)
    weights = np.where(inside, across * down, np.float32(0)).astype(np.float32)
    nearest = np.clip(np.rint(unit_to_grid_sample(target_points, grid, convention)), 0, grid - 1).astype(np.int64)
    return ProbePair(source, target, cells, weights, nearest[:, 1] * grid + nearest[:, 0])


def initial_layer(channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(weight (C, C), bias (C,)) float32 before training: features pass unchanged."""
    import torch

    return torch.eye(channels), torch.zeros(channels)


def steps_of(recipe: ProbeRecipe, pairs: int) -> tuple[int, bool]:
    """(pairs a step, whether the last, incomplete batch is dropped) for a number of pairs.

    As the reference does: a batch holds no more than all pairs, and the last one is dropped unless it is the only one.

    >>> steps_of(ProbeRecipe(), 100), steps_of(ProbeRecipe(), 20)
    ((32, True), (20, False))
    """
    size = min(recipe.batch_size, pairs)
    return size, pairs > size


def train_probe(
    maps: Maps, pairs: Sequence[ProbePair], channels: int, recipe: ProbeRecipe, *, device: str = "cpu", what: str = ""
) -> Iterator[ProbeEpoch]:
    """Train a probe, one epoch for each item asked for.

    The order of the pairs is that of a shuffling `DataLoader` whose generator is seeded with `recipe.seed`. The loss of
    a pair is the mean over its queries, that of a step the mean over the pairs of the batch that have a query.
    Gradients are added up pair by pair, so that memory holds one pair's maps whatever the batch. On a CPU the same
    input gives the same layers.

    Args:
        maps: raw features of the images.
        pairs: training pairs; those without a query count in a batch, but add nothing.
        channels: C of the maps.
        recipe: see `ProbeRecipe`.
        device: torch device to train on.
        what: name of the run for the progress bar and errors.

    Raises:
        UsageError: no pair has a query.
        SocoError: the loss is no finite number.
    """
    import torch

    if not any(len(pair.labels) for pair in pairs):
        raise UsageError(f"There is nothing to train the {what or 'linear'} probe on: no pair has a query.")
    weight, bias = (tensor.to(device).requires_grad_() for tensor in initial_layer(channels))
    optimizer = torch.optim.Adam((weight, bias), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, T_max=recipe.epochs, eta_min=recipe.final_learning_rate
    )
    loader = _shuffled(len(pairs), recipe)
    for number in range(1, recipe.epochs + 1):
        rate = float(optimizer.param_groups[0]["lr"])
        order: list[int] = []
        losses: list[float] = []
        for batch in progress(loader, " ".join(f"Training {what} probe, epoch {number}".split()), unit="step"):
            order += batch
            loss = _step(maps, [pairs[index] for index in batch], weight, bias, optimizer, recipe.temperature)
            if loss is not None and not math.isfinite(loss):
                raise SocoError(
                    f"The loss of the {what or 'linear'} probe became {loss} in epoch {number}, after {len(losses)} "
                    f"steps. Try a learning rate below {recipe.learning_rate:g}, or a higher temperature."
                )
            losses += [] if loss is None else [loss]
        schedule.step()
        kept = (weight.detach().cpu().clone(), bias.detach().cpu().clone())
        yield ProbeEpoch(number, rate, tuple(order), tuple(losses), *kept)


def _shuffled(pairs: int, recipe: ProbeRecipe) -> Any:
    """Batches of pair numbers, in a new order each time it is iterated."""
    import torch
    from torch.utils.data import DataLoader

    size, drop_last = steps_of(recipe, pairs)
    return DataLoader(
        range(pairs),  # type: ignore[arg-type]  # any sequence will do
        batch_size=size,
        shuffle=True,
        drop_last=drop_last,
        collate_fn=list,
        generator=torch.Generator().manual_seed(recipe.seed),
    )


def _step(
    maps: Maps,
    batch: Iterable[ProbePair],
    weight: torch.Tensor,
    bias: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    temperature: float,
) -> float | None:
    """One step of the optimizer; the loss before it, None (and no step) when the batch has no query."""
    asked = [pair for pair in batch if len(pair.labels)]
    if not asked:
        return None
    optimizer.zero_grad()
    total = 0.0
    for pair in asked:
        loss = pair_loss(maps.get(pair.source), maps.get(pair.target), pair, weight, bias, temperature) / len(asked)
        loss.backward()
        total += float(loss.detach())
    if math.isfinite(total):
        optimizer.step()
    return total


def pair_loss(
    source: torch.Tensor,
    target: torch.Tensor,
    pair: ProbePair,
    weight: torch.Tensor,
    bias: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """Mean cross-entropy of a pair's queries over all cells of the target, a scalar that knows its gradient.

    Args:
        source, target: raw (C, h, w) maps, in any float dtype and on any device; all arithmetic is float32.
        pair: the queries; at least one.
        weight, bias: (C', C) and (C',) float32, on the device to compute on.
        temperature: see `ProbeRecipe`.
    """
    import torch
    from torch.nn import functional

    device = weight.device
    around = source.flatten(1)[:, torch.from_numpy(pair.cells.ravel())].to(device, torch.float32)
    corners = functional.normalize(functional.linear(around.T, weight, bias), dim=-1, eps=1e-12)
    shares = torch.from_numpy(pair.weights).to(device)
    queries = (corners.view(*pair.cells.shape, -1) * shares[..., None]).sum(dim=1)
    everywhere = target.flatten(1).to(device, torch.float32)
    cells = functional.normalize(functional.linear(everywhere.T, weight, bias), dim=-1, eps=1e-12)
    return functional.cross_entropy(queries @ cells.T / temperature, torch.from_numpy(pair.labels).to(device))
