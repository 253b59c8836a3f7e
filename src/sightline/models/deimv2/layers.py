"""Small building blocks shared by the encoders and the decoder."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm and, unless told otherwise, SiLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(outputs)
        self.act = nn.SiLU() if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.norm(self.conv(x)))
        return out


class MLP(nn.Module):
    """Linear layers with SiLU between them."""

    def __init__(self, inputs: int, hidden: int, outputs: int, layers: int) -> None:
        super().__init__()
        widths = [inputs, *[hidden] * (layers - 1), outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = nn.functional.silu(layer(x))
        out: Tensor = self.layers[-1](x)
        return out


class RMSNorm(nn.Module):
    """x / rms(x) · scale over the last dimension, computed in float32 (arXiv 1910.07467)."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return wide.to(x.dtype) * self.scale


class SelfAttention(nn.Module):
    """Multi-head self-attention; queries and keys see `position`, values do not."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, position: Tensor, blocked: Tensor | None = None) -> Tensor:
        """x, position: (B, N, C). blocked: (N, N) bool, True where attention is forbidden."""
        batch, count, width = x.shape
        weight, bias = self.in_proj_weight, self.in_proj_bias
        queries_keys = nn.functional.linear(x + position, weight[: 2 * width], bias[: 2 * width])
        values = nn.functional.linear(x, weight[2 * width :], bias[2 * width :])
        q, k = queries_keys.split(width, dim=-1)
        split = (batch, count, self.heads, width // self.heads)
        mixed = nn.functional.scaled_dot_product_attention(
            q.view(split).transpose(1, 2),
            k.view(split).transpose(1, 2),
            values.view(split).transpose(1, 2),
            attn_mask=None if blocked is None else ~blocked,
        )
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(batch, count, width))
        return out


def inverse_sigmoid(x: Tensor, eps: float = 1e-5) -> Tensor:
    """ln(x / (1 - x)) with both parts kept at least `eps`."""
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=eps) / (1 - x).clamp(min=eps))


def take_rows(x: Tensor, index: Tensor) -> Tensor:
    """(B, Q, C) rows `index` (B, Q) of x (B, N, C), as one plain gather."""
    batch, count, width = x.shape
    flat = index
    if batch > 1:
        flat = index + torch.arange(batch, device=x.device)[:, None] * count
    return x.reshape(batch * count, width).index_select(0, flat.flatten()).view(batch, -1, width)
