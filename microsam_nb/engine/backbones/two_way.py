"""segment-anything's mask decoder for inference, with little memory traffic.

Its transformer lets a few tokens (the prompts) and thousands of image positions attend to each other. Projecting
every position to queries, keys and values for every prompt moves far more memory than the few tokens need. Since
scores are products, projections of the image can be multiplied into the tokens instead, which leaves one product
with the image for the scores and one for the result: the same numbers, up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from segment_anything.modeling import MaskDecoder
from segment_anything.modeling.transformer import Attention
from torch import Tensor
from torch.nn import functional as F

#: Image positions upscaled at once; more do not fit the processor's cache.
_POSITIONS = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Hidden:
    """Decoded prompts before their masks are drawn.

    ``scores`` float32 (n, 4), predicted IoU of the single answer and of the three; ``tokens`` float32 (n, t, c);
    ``image`` (n, h * w, c), what the prompts made of the embedding of ``size`` (h, w).
    """

    scores: Tensor
    tokens: Tensor
    image: Tensor
    size: tuple[int, int]

    def __getitem__(self, rows: slice | Tensor) -> Hidden:
        """Return the chosen prompts."""
        return Hidden(self.scores[rows], self.tokens[rows], self.image[rows], self.size)


def decode_hidden(
    decoder: MaskDecoder, features: Tensor, position: Tensor, sparse: Tensor, dense: Tensor, dtype: torch.dtype
) -> Hidden:
    """Let n prompts and the image attend to each other; positions of the image are computed in ``dtype``.

    features (n or 1, c, h, w); position (1, c, h, w); sparse (n, t, c); dense (n or 1, c, h, w).
    """
    fixed = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    asked = torch.cat([fixed.expand(len(sparse), -1, -1), sparse.to(fixed.dtype)], dim=1)
    where = _rows(position, dtype)
    # A part that is the same everywhere, as without an earlier mask, is cheaper to add in rows.
    flat = dense.stride()[-2:] == (0, 0)
    image = _rows(features, dtype) + (_rows(dense[..., :1, :1], dtype) if flat else _rows(dense, dtype))
    tokens, place = asked, image + where
    for layer in decoder.transformer.layers:
        if layer.skip_first_layer_pe:
            tokens = layer.self_attn(tokens, tokens, tokens)
        else:
            own = tokens + asked
            tokens = tokens + layer.self_attn(own, own, tokens)
        tokens = layer.norm1(tokens)
        tokens = layer.norm2(tokens + _read(layer.cross_attn_token_to_image, tokens + asked, place, image))
        tokens = layer.norm3(tokens + layer.mlp(tokens))
        image = _write(layer.cross_attn_image_to_token, tokens + asked, tokens, place, image)
        norm = layer.norm4
        image = F.layer_norm(image, norm.normalized_shape, norm.weight.to(dtype), norm.bias.to(dtype), norm.eps)
        place = image + where
    final = decoder.transformer.final_attn_token_to_image
    tokens = decoder.transformer.norm_final_attn(tokens + _read(final, tokens + asked, place, image))
    height, width = features.shape[-2:]
    return Hidden(decoder.iou_prediction_head(tokens[:, 0]), tokens, image, (height, width))


def draw(decoder: MaskDecoder, hidden: Hidden, wanted: Sequence[int] | Tensor) -> Tensor:
    """Return logits (n, m, 4h, 4w) of the ``wanted`` masks: 0 is the single answer, 1 to 3 are the three.

    ``wanted`` is the same m masks for all prompts, or a tensor (n, m) of each prompt's own.
    """
    heads = decoder.output_hypernetworks_mlps
    if isinstance(wanted, Tensor):
        every = torch.stack([head(hidden.tokens[:, 1 + i]) for i, head in enumerate(heads)], dim=1)
        kernels = every.gather(1, wanted[..., None].expand(-1, -1, every.shape[2]))
    else:
        kernels = torch.stack([heads[i](hidden.tokens[:, 1 + i]) for i in wanted], dim=1)
    kernels = kernels.to(hidden.image.dtype)
    height, width = hidden.size
    if not len(kernels):
        return kernels.new_zeros(0, kernels.shape[1], 4 * height, 4 * width)
    masks = torch.stack([_upscale(decoder, *one) for one in zip(kernels, hidden.image, strict=True)])
    # Their last axis is positions in the order (y, x, dy, dx, ey, ex) of twice doubling.
    masks = masks.view(*kernels.shape[:2], height, width, 2, 2, 2, 2)
    return masks.permute(0, 1, 2, 4, 6, 3, 5, 7).reshape(*kernels.shape[:2], 4 * height, 4 * width)


def _rows(x: Tensor, dtype: torch.dtype) -> Tensor:
    """(n, c, h, w) to contiguous (n, h * w, c)."""
    return x.to(dtype).flatten(2).transpose(1, 2).contiguous()


def _heads(x: Tensor, attn: Attention) -> Tensor:
    """(n, t, c) to (n, heads, t, d)."""
    return x.unflatten(2, (attn.num_heads, -1)).transpose(1, 2)


def _split(weight: Tensor, attn: Attention) -> Tensor:
    """The weight (heads * d, c) of a projection, one (d, c) per head."""
    return weight.unflatten(0, (attn.num_heads, -1))


def _scores(folded: Tensor, place: Tensor) -> Tensor:
    """Products of tokens (n, heads, t, c) with positions (n or 1, p, c): (n, heads, t, p)."""
    rows = folded.to(place.dtype).reshape(len(place), -1, folded.shape[-1])
    return _product(rows, place.transpose(1, 2)).view(*folded.shape[:3], place.shape[1])


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Batched product. Of a single pair the batched kernel makes copies that the plain one does not."""
    return a @ b if len(a) > 1 else (a[0] @ b[0])[None]


def _read(attn: Attention, tokens: Tensor, place: Tensor, image: Tensor) -> Tensor:
    """Attention of tokens (n, t, c) to the image (n or 1, p, c), which has its position added in ``place``."""
    queries = _heads(attn.q_proj(tokens), attn)
    # The keys' bias adds the same to all scores of a token: the softmax does not see it.
    folded = queries @ _split(attn.k_proj.weight, attn) * queries.shape[-1] ** -0.5
    share = _scores(folded, place).softmax(-1)
    found = _product(share.reshape(len(image), -1, image.shape[1]), image)
    found = found.view(*folded.shape).to(tokens.dtype) @ _split(attn.v_proj.weight, attn).transpose(1, 2)
    # Shares sum to one, so the values' bias is added once.
    return attn.out_proj(found.transpose(1, 2).flatten(2) + attn.v_proj.bias)


def _write(attn: Attention, tokens: Tensor, values: Tensor, place: Tensor, image: Tensor) -> Tensor:
    """Attention of the image's positions (n or 1, p, c) to tokens (n, t, c), added to the image."""
    keys = _heads(attn.k_proj(tokens), attn)
    folded = keys @ _split(attn.q_proj.weight, attn) * keys.shape[-1] ** -0.5
    offset = keys @ _split(attn.q_proj.bias, attn)[..., None] * keys.shape[-1] ** -0.5
    share = (_scores(folded, place) + offset.to(place.dtype)).softmax(2)
    drawn = _heads(attn.v_proj(values), attn) @ attn.out_proj.weight.T.unflatten(0, (attn.num_heads, -1))
    drawn = drawn + attn.out_proj.bias / attn.num_heads
    share = share.flatten(1, 2).transpose(1, 2)
    drawn = drawn.to(image.dtype).flatten(1, 2)
    # Faster than baddbmm, which begins with a copy of the image.
    return (share @ drawn).add_(image)


def _upscale(decoder: MaskDecoder, kernels: Tensor, image: Tensor) -> Tensor:
    """Upscale one image (p, c) twice and multiply with kernels (m, c / 8): (m, 16p).

    Transposed convolutions whose stride is their size are plain products, one position becoming 2 x 2.
    """
    first, norm, act, second, last = decoder.output_upscaling
    dtype = image.dtype
    parts = []
    weights = [conv.weight.permute(2, 3, 1, 0).flatten(0, 2).to(dtype) for conv in (first, second)]
    biases = [conv.bias.repeat(4).to(dtype) for conv in (first, second)]
    scale, shift = norm.weight.to(dtype), norm.bias.to(dtype)
    for part in image.split(_POSITIONS):
        x = F.linear(part, weights[0], biases[0]).view(-1, len(scale))
        x = act(F.layer_norm(x, scale.shape, scale, shift, norm.eps))
        x = last(F.linear(x, weights[1], biases[1]))
        parts.append(kernels @ x.view(-1, kernels.shape[1]).T)
    return torch.cat(parts, 1)
