"""segment-anything's image encoder (vit_b, vit_l, vit_h), computed faster from the same weights.

The encoder adds a bias to every attention score: the product of the query with one learned vector per row
distance and one per column distance. As a table that is 800 MiB per block at 1024 px. Here queries carry
their products with all rows and all columns as extra channels, and keys carry ones at their own row and column, so
that the plain inner product already contains the bias and a fused kernel needs no table.
"""

from __future__ import annotations

import math

import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention, Block
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ..stepwise import Steps, finish

#: Kernels read channels in groups of so many.
_GROUP = 32
#: From this many tokens on, a bias of one head at a time beats extra channels in float32 on a CPU.
_MANY_TOKENS = 1024
#: Tokens that pass through the hidden layer together.
_ROWS = 2048


def fast_encoder(encoder: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Return a fast form of segment-anything's encoder with its weights stored in ``dtype``; others as they are."""
    if not isinstance(encoder, ImageEncoderViT):
        return encoder
    fast = FastEncoder(encoder)
    fast.store(dtype)
    return fast


class FastEncoder(ImageEncoderViT):
    """An ``ImageEncoderViT`` around the modules of another one; both share weights and names of weights.

    Convolutions and linear layers may be stored in half precision (``store``): the sums between blocks and all
    normalisations stay in float32. Gradients flow.
    """

    def __init__(self, encoder: ImageEncoderViT) -> None:
        nn.Module.__init__(self)
        #: Whether gradients compute every block anew instead of from what it kept.
        self.recompute = False
        self.img_size = encoder.img_size
        self.patch_embed = encoder.patch_embed
        self.pos_embed = encoder.pos_embed
        self.blocks = encoder.blocks
        self.neck = encoder.neck

    def store(self, dtype: torch.dtype) -> None:
        """Keep the weights of convolutions and linear layers in ``dtype``; what is rounded off is gone."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.to(dtype)

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the stored weights."""
        return self.patch_embed.proj.weight.dtype

    def forward(self, x: Tensor) -> Tensor:
        """Encode normalised images (n, 3, side, side) to float32 (n, c, side / 16, side / 16)."""
        return finish(self.steps(x))

    def steps(self, x: Tensor) -> Steps[Tensor]:
        """Do what ``forward`` does, and yield after every block."""
        x = self.patch_embed(x.to(self.dtype)).float().contiguous()
        if self.pos_embed is not None:
            x = x + self.pos_embed
        again = self.recompute and torch.is_grad_enabled()
        for block in self.blocks:
            x = checkpoint(_block, block, x, self.dtype, use_reentrant=False) if again else _block(block, x, self.dtype)
            yield
        return self._shrink(x)

    def _shrink(self, x: Tensor) -> Tensor:
        """Run the neck with channels last, where its normalisation is one fused kernel."""
        narrow, norm, smooth, last = self.neck
        x = F.linear(x.to(self.dtype), narrow.weight.flatten(1)).float()
        x = F.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, norm.eps)
        x = smooth(x.to(self.dtype).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).float()
        x = F.layer_norm(x, last.weight.shape, last.weight, last.bias, last.eps)
        return x.permute(0, 3, 1, 2)


def _block(block: Block, x: Tensor, dtype: torch.dtype) -> Tensor:
    x = x + _attend(block.attn, block.norm1(x).to(dtype), block.window_size)
    rows = block.norm2(x).to(dtype).flatten(0, 2)
    # The hidden layer is four times as wide; in parts it stays in memory that is warm.
    hidden = torch.cat([block.mlp(part) for part in rows.split(_ROWS)])
    return x + hidden.view(x.shape)


def _attend(attn: Attention, x: Tensor, window: int) -> Tensor:
    """Self-attention of tokens (n, h, w, c), in windows if ``window`` > 0."""
    n, height, width, c = x.shape
    qkv = attn.qkv(x)
    if window:
        # A padding token is zero before the projection; what the projection makes of zero is computed once.
        qkv = _to_windows(qkv, attn.qkv(x.new_zeros(1, c)), window)
    out = _scores_and_sum(attn, qkv)
    if window:
        down, across = -(-height // window), -(-width // window)
        out = out.view(n, down, across, window, window, c).transpose(2, 3)
        out = out.reshape(n, down * window, across * window, c)[:, :height, :width].contiguous()
    return attn.proj(out)


def _to_windows(x: Tensor, padding: Tensor, window: int) -> Tensor:
    """Cut (n, h, w, c) into (n * windows, window, window, c); ``padding`` fills up the last row and column."""
    n, height, width, c = x.shape
    down, across = -(-height // window), -(-width // window)
    if (height, width) != (down * window, across * window):
        full = padding.expand(n, down * window, across * window, c).clone()
        full[:, :height, :width] = x
        x = full
    x = x.view(n, down, window, across, window, c).transpose(2, 3)
    return x.reshape(n * down * across, window, window, c)


def _scores_and_sum(attn: Attention, qkv: Tensor) -> Tensor:
    """Attention with relative positions from projections (n, h, w, 3c) to (n, h, w, c)."""
    n, height, width, c = qkv.shape
    parts = qkv.view(n, height * width, 3, attn.num_heads, c // (3 * attn.num_heads))
    q, k, v = parts.permute(2, 0, 3, 1, 4)
    if not attn.use_rel_pos:
        out = F.scaled_dot_product_attention(q, k, v)
    else:
        q = q.contiguous()
        rows, columns = _relative(attn, q, height, width)
        if q.device.type == "cpu" and q.dtype is torch.float32 and height * width >= _MANY_TOKENS:
            out = _by_head(q, k, v, rows, columns)
        else:
            out = _appended(q, k, v, rows, columns)
    return out.transpose(1, 2).reshape(n, height, width, -1)


def _relative(attn: Attention, q: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the bias of queries (n, heads, h * w, d) towards every row (..., h) and column (..., w).

    Computed for all distances at once; each query then reads its own stretch of them, shifted by its place. Divided
    by the scale that the attention applies to its scores.
    """
    n, heads, _, d = q.shape
    tables = [_table(attn.rel_pos_h, height), _table(attn.rel_pos_w, width)]
    table = torch.cat(tables) * math.sqrt(d)
    found = F.linear(q, table.to(q.dtype)).contiguous()
    length, start = len(table), found.storage_offset()
    outer = (heads * height * width * length, height * width * length)
    down, across = width * length, length
    rows = found.as_strided((n, heads, height, width, height), (*outer, down - 1, across, 1), start + height - 1)
    columns = found.as_strided(
        (n, heads, height, width, width), (*outer, down, across - 1, 1), start + len(tables[0]) + width - 1
    )
    return rows.reshape(n, heads, height * width, height), columns.reshape(n, heads, height * width, width)


def _table(learned: Tensor, size: int) -> Tensor:
    """Return the vectors of distances size - 1 down to 1 - size, stretched if learned for another size."""
    count = 2 * size - 1
    if len(learned) != count:
        learned = F.interpolate(learned.float().T[None], size=count, mode="linear")[0].T
    return learned.flip(0)


def _appended(q: Tensor, k: Tensor, v: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Attention with the bias in extra channels of queries and keys."""
    n, heads, tokens, d = q.shape
    height, width = rows.shape[-1], columns.shape[-1]
    place = torch.arange(tokens, device=q.device)
    spare = -(d + height + width) % _GROUP
    own = torch.zeros(tokens, height + width + spare, device=q.device, dtype=q.dtype)
    own[place, place // width] = 1
    own[place, height + place % width] = 1
    nothing = q.new_zeros(1).expand(n, heads, tokens, spare)
    queries = torch.cat([q, rows, columns, nothing], -1)
    keys = torch.cat([k, own.expand(n, heads, -1, -1)], -1)
    values = F.pad(v, (0, queries.shape[-1] - d))
    return F.scaled_dot_product_attention(queries, keys, values, scale=d**-0.5)[..., :d]


def _by_head(q: Tensor, k: Tensor, v: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Attention one head at a time, with the bias of that head as a table."""
    n, heads, tokens, d = q.shape
    rows, columns = rows[..., None] * d**-0.5, columns[..., None, :] * d**-0.5
    # Fresh memory costs more than the sum itself, so that one table serves all heads; gradients need each.
    table = None if torch.is_grad_enabled() else q.new_empty(n, tokens, rows.shape[-2], columns.shape[-1])
    out = []
    for i in range(heads):
        bias = torch.add(rows[:, i], columns[:, i], out=table).view(n, 1, tokens, tokens)
        out.append(F.scaled_dot_product_attention(q[:, i : i + 1], k[:, i : i + 1], v[:, i : i + 1], bias))
    return torch.cat(out, 1)
