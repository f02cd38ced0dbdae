"""Where the cells of a map lie in the image, found from outside: change one input cell, see which cell moves.

For a right model the cell moves that was changed. A map that forgot a register is shifted, one in window order is
shuffled, one that mixed up rows and columns is transposed: in all of them another cell moves.

Two measures are taken, since no single one serves all models: the movement itself, and the movement over how much that
cell moves for changes anywhere (trained transformers have tokens that follow the whole image). A cell that leads in
either is "exact". Convolutions without a residual path spread a change evenly over the cells around it, so that chance
decides which leads. Such a probe is "near": the leader is at most one cell away and the changed cell moved at least
half as much, both counted above what the rest of the map moves; near probes are allowed only while the center of
movement shows no shift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_PATTERNS = 2  # images, each with its own changes
_MAX_SHIFT = 0.5  # cells, mean over the inner probes of the center of movement
NEAR_SHARE = 0.5  # of the leader's movement
_STILL = 1e-6  # movement below this fraction of the features' size is none


@dataclass(frozen=True)
class Locality:
    """What was found at one size.

    Attributes:
        size: rows, columns of pixels.
        cells: rows, columns of the map.
        probes: how many cells were changed, one at a time.
        exact: probes whose own cell moved most.
        near: probes led by a neighbour, the own cell moving at least half as much.
        lead: own movement over the largest other one, by the better measure, of the worst probe.
        shift: (rows, columns) mean displacement of the movement's center over the inner probes, in cells.
        problem: what is wrong, "" for nothing.
    """

    size: tuple[int, int]
    cells: tuple[int, int]
    probes: int
    exact: int
    near: int
    lead: float
    shift: tuple[float, float]
    problem: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def measure(
    features: Callable[[torch.Tensor], torch.Tensor], size: tuple[int, int], cells: tuple[int, int]
) -> Locality:
    """Change some cells, corners included, and judge which cells of the map moved.

    Args:
        features: (1, 3, H, W) images in 0..1 -> (1, C, h, w) maps, on the CPU.
        size: H, W.
        cells: h, w.
    """
    probes = probe_cells(cells)
    movement = _movement(features, size, cells, probes)
    return _judge(movement, size, cells, probes)


def probe_cells(cells: tuple[int, int]) -> list[tuple[int, int]]:
    """Corners, the middle and some cells between, as (row, column); fewer on a small map."""
    rows, columns = cells
    corners = [(0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1)]
    inner = [(rows // 2, columns // 2), (1, columns // 3), (rows // 3, 1), (2 * rows // 3, 2 * columns // 3)]
    inner += [(rows - 2, columns // 2), (rows // 2, columns - 2)]
    inside = ((min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)) for row, column in corners + inner)
    return list(dict.fromkeys(inside))


def base_image(size: tuple[int, int], seed: int) -> torch.Tensor:
    """A (1, 3, H, W) image in 0..1 with smooth areas, edges and some noise, always the same for a seed."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 5, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic", align_corners=False)
    blocks = torch.rand(1, 3, 9, 9, generator=generator)
    edges = torch.nn.functional.interpolate(blocks, size=size, mode="nearest")
    noise = torch.rand(1, 3, *size, generator=generator)
    return (0.5 * smooth + 0.25 * edges + 0.25 * noise).clamp(0, 1)


def _movement(
    features: Callable[[torch.Tensor], torch.Tensor],
    size: tuple[int, int],
    cells: tuple[int, int],
    probes: list[tuple[int, int]],
) -> torch.Tensor:
    """(probes, h, w) movement of each cell for each probe: root of the sum of squares over channels and patterns."""
    import torch

    height, width = size[0] // cells[0], size[1] // cells[1]
    total = torch.zeros(len(probes), *cells)
    scale = 0.0
    for pattern in range(_PATTERNS):
        image = base_image(size, 100 + pattern)
        generator = torch.Generator().manual_seed(200 + pattern)
        before = features(image)
        scale += float(before.square().sum(dim=1).mean())
        for index, (row, column) in enumerate(probes):
            changed = image.clone()
            where = (slice(row * height, (row + 1) * height), slice(column * width, (column + 1) * width))
            texture = torch.rand(1, 3, height, width, generator=generator)
            color = (torch.rand(1, 3, 1, 1, generator=generator) > 0.5).float()  # far from the old one
            changed[:, :, where[0], where[1]] = 0.5 * texture + 0.5 * color
            total[index] += (features(changed) - before).square().sum(dim=1)[0]
    total[total < _STILL**2 * scale] = 0
    return total.sqrt()


def _judge(
    movement: torch.Tensor, size: tuple[int, int], cells: tuple[int, int], probes: list[tuple[int, int]]
) -> Locality:
    above, against_habit = _above_background(movement), _against_habit(movement)
    exact, near, leads, lost = 0, 0, [], ""
    for index, cell in enumerate(probes):
        ratio, distance = _place(above[index], cell)
        leads.append(max(ratio, _place(against_habit[index], cell)[0]))
        if leads[-1] > 1:
            exact += 1
        elif ratio >= NEAR_SHARE and distance <= 1:
            near += 1
        elif not lost:
            lost = _words(movement[index], cell)
    shift = _shift(above, cells, probes)
    problem = lost
    if not problem and near and max(abs(one) for one in shift) >= _MAX_SHIFT:
        problem = f"movement is {shift[0]:+.1f} rows and {shift[1]:+.1f} columns away from the changed cells"
    if problem:
        problem = f"{size[0]}x{size[1]} px: {problem}; {exact} of {len(probes)} changed cells moved most themselves"
    return Locality(size, cells, len(probes), exact, near, min(leads), shift, problem)


def _above_background(movement: torch.Tensor) -> torch.Tensor:
    """Movement without what mixing over the whole map adds everywhere: the median cell's."""
    squared = movement.square()
    background = squared.flatten(1).median(dim=1).values
    return (squared - background.view(-1, 1, 1)).clamp_min(0).sqrt()


def _against_habit(movement: torch.Tensor) -> torch.Tensor:
    """Each cell's movement over its median over the probes, which its own probe hardly changes."""
    median = movement.median(dim=0).values
    return movement / (median + 1e-6 * movement.max().clamp_min(1e-30))


def _place(movement: torch.Tensor, cell: tuple[int, int]) -> tuple[float, int]:
    """(movement of `cell` over the largest other one, cells between `cell` and that one)."""
    others = movement.clone()
    others[cell] = -1
    row, column = divmod(int(others.argmax()), movement.shape[1])
    own, other = float(movement[cell]), float(others[row, column])
    ratio = own / other if other > 0 else (float("inf") if own > 0 else 0.0)
    return min(ratio, 1e6), max(abs(row - cell[0]), abs(column - cell[1]))


def _shift(movement: torch.Tensor, cells: tuple[int, int], probes: list[tuple[int, int]]) -> tuple[float, float]:
    """Mean over the probes off the border: center of squared movement in the 3 x 3 cells around, from the middle."""
    import torch

    offsets = []
    steps = torch.tensor([-1.0, 0.0, 1.0])
    for index, (row, column) in enumerate(probes):
        if 0 < row < cells[0] - 1 and 0 < column < cells[1] - 1:
            weights = movement[index, row - 1 : row + 2, column - 1 : column + 2].square()
            if float(weights.sum()) > 0:
                weights = weights / weights.sum()
                offsets.append((float(weights.sum(dim=1) @ steps), float(weights.sum(dim=0) @ steps)))
    if not offsets:
        return (0.0, 0.0)
    return (sum(one for one, _ in offsets) / len(offsets), sum(one for _, one in offsets) / len(offsets))


def _words(movement: torch.Tensor, cell: tuple[int, int]) -> str:
    if float(movement.max()) == 0:
        return f"nothing moved when cell {cell} was changed"
    row, column = divmod(int(movement.argmax()), movement.shape[1])
    share = float(movement[cell] / movement.max())
    return f"changing cell {cell} (row, column) moved cell {(row, column)} most, itself {share:.2f} times as much"
