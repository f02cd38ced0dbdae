"""Positions fitted to a grid by other rules than the class's own; see `recipes.py` for which model takes which.

    antialiased   a learned table resized with an antialiased bicubic filter (open_clip, timm)
    offset        a learned table scaled by (cells + 0.1) / table (DINO, iBOT, DINOv2 without registers)
    sincos        sine and cosine positions computed for the grid, 0 .. cells - 1 (MAE)
    rotary_fixed  rotary coordinates of whole cells whatever the grid, absolute table resized bilinearly (PE)

Each returns the table unchanged where it fits the grid already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

OFFSET = 0.1  # of the reference code of DINO: keeps a rounding of the scale from losing a cell
_BASE = 10000.0  # the longest wavelength of the sine positions, in units of 2 pi cells


def antialiased_table(table: torch.Tensor, prefix: int, rows: int, columns: int) -> torch.Tensor:
    """A position table (1, prefix + n * n, C) for rows x columns cells, resized with an antialiased bicubic filter."""
    import torch

    grid = _grid(table, prefix)
    resized = torch.nn.functional.interpolate(grid, size=(rows, columns), mode="bicubic", antialias=True)
    return _table(table, prefix, resized)


def offset_table(table: torch.Tensor, prefix: int, rows: int, columns: int) -> torch.Tensor:
    """As `antialiased_table`, bicubic without antialiasing, scaled by (cells + 0.1) / n instead of cells / n."""
    import torch

    grid = _grid(table, prefix)
    scales = ((rows + OFFSET) / grid.shape[2], (columns + OFFSET) / grid.shape[3])
    return _table(table, prefix, torch.nn.functional.interpolate(grid, scale_factor=scales, mode="bicubic"))


def bilinear_table(table: torch.Tensor, prefix: int, rows: int, columns: int) -> torch.Tensor:
    """As `antialiased_table`, bilinear without antialiasing."""
    import torch

    resized = torch.nn.functional.interpolate(_grid(table.float(), prefix), size=(rows, columns), mode="bilinear")
    return _table(table.float(), prefix, resized).to(table.dtype)


def sincos_table(channels: int, prefix: int, rows: int, columns: int) -> torch.Tensor:
    """(1, prefix + rows * columns, channels) positions of MAE: zeros for the prefix, then x and y in halves.

    The first half of the channels holds sines and cosines of the column, the second those of the row, at channels / 4
    frequencies from 1 down to 1 / 10000.
    """
    import torch

    quarter = channels // 4
    frequencies = _BASE ** -(torch.arange(quarter, dtype=torch.float64) / quarter)
    x, y = (torch.arange(count, dtype=torch.float64).outer(frequencies) for count in (columns, rows))
    along_x = torch.cat([x.sin(), x.cos()], dim=1)[None].expand(rows, -1, -1)
    along_y = torch.cat([y.sin(), y.cos()], dim=1)[:, None].expand(-1, columns, -1)
    cells = torch.cat([along_x, along_y], dim=2).reshape(rows * columns, channels)
    return torch.cat([torch.zeros(prefix, channels, dtype=torch.float64), cells])[None].float()


def fit_positions(embeddings: Any, rule: str, prefix: int, patch: int) -> None:
    """Let an embedding module of `transformers` fit its positions by a rule from here on.

    Args:
        embeddings: has `position_embeddings` (1, n, C) or `position_embedding.weight` (n, C), and
            `interpolate_pos_encoding(tokens, height, width)`, which is replaced.
        rule: "antialiased", "offset" or "sincos".
        prefix: entries of the table before the first patch.
        patch: pixels on a side of a patch.
    """
    resize: dict[str, Callable[..., torch.Tensor]] = {"antialiased": antialiased_table, "offset": offset_table}

    def interpolate(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
        rows, columns = height // patch, width // patch
        table = _table_of(embeddings)
        if rule == "sincos":
            return sincos_table(table.shape[2], prefix, rows, columns).to(table)
        side = round((table.shape[1] - prefix) ** 0.5)
        if (rows, columns) == (side, side):
            return table
        return resize[rule](table.float(), prefix, rows, columns).to(table.dtype)

    embeddings.interpolate_pos_encoding = interpolate


def _table_of(embeddings: Any) -> torch.Tensor:
    table: torch.Tensor | None = getattr(embeddings, "position_embeddings", None)
    if table is None:
        table = embeddings.position_embedding.weight
        assert table is not None
        return table[None]
    return table


def _grid(table: torch.Tensor, prefix: int) -> torch.Tensor:
    """(1, C, n, n) of the patches' part of a table."""
    side = round((table.shape[1] - prefix) ** 0.5)
    return table[:, prefix:].reshape(1, side, side, -1).permute(0, 3, 1, 2)


def _table(table: torch.Tensor, prefix: int, grid: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.cat([table[:, :prefix], grid.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)
