"""A vision transformer as the code of DINO and iBOT computes it, in plain torch: the other side of the converter."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import nn
from torch.nn import functional


class Attention(nn.Module):
    def __init__(self, channels: int, heads: int, qkv_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        self.proj = nn.Linear(channels, channels)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        batch, count, channels = tokens.shape
        width = channels // self.heads
        queries, keys, values = self.qkv(tokens).reshape(batch, count, 3, self.heads, width).permute(2, 0, 3, 1, 4)
        attention = (queries @ keys.transpose(-2, -1) * width**-0.5).softmax(dim=-1)
        mixed: torch.Tensor = self.proj((attention @ values).transpose(1, 2).reshape(batch, count, channels))
        return mixed


class Mlp(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return result


class Block(nn.Module):
    def __init__(self, channels: int, heads: int, qkv_bias: bool) -> None:
        super().__init__()
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.norm1, self.norm2 = norm(channels), norm(channels)
        self.attn = Attention(channels, heads, qkv_bias)
        self.mlp = Mlp(channels, 2 * channels)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        result: torch.Tensor = tokens + self.mlp(self.norm2(tokens))
        return result


class PatchEmbed(nn.Module):
    def __init__(self, channels: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, patch, stride=patch)


class OriginalViT(nn.Module):
    """Random weights, with biases and norms away from their neutral values."""

    def __init__(
        self, channels: int = 128, depth: int = 3, heads: int = 2, patch: int = 8, table: int = 6, qkv_bias: bool = True
    ) -> None:
        super().__init__()
        self.patch, self.table = patch, table
        self.patch_embed = PatchEmbed(channels, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + table * table, channels))
        self.blocks = nn.ModuleList(Block(channels, heads, qkv_bias) for _ in range(depth))
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)

    def positions(self, rows: int) -> torch.Tensor:
        if rows == self.table:
            return self.pos_embed
        grid = self.pos_embed[:, 1:].reshape(1, self.table, self.table, -1).permute(0, 3, 1, 2)
        factor = (rows + 0.1) / math.sqrt(self.table * self.table)
        scaled = functional.interpolate(grid, scale_factor=(factor, factor), mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], scaled.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)

    def block_outputs(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """The tokens after every block, then after the final norm."""
        patches = self.patch_embed.proj(pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(pixels), -1, -1), patches], dim=1)
        tokens = tokens + self.positions(pixels.shape[-1] // self.patch)
        outputs = []
        for block in self.blocks:
            tokens = block(tokens)
            outputs.append(tokens)
        return [*outputs, self.norm(tokens)]
