"""Prompts and embeddings to mask logits, for many prompts of one or of several images in one call.

segment-anything's ``MaskDecoder.predict_masks`` repeats a single image's embedding for every prompt; here
each prompt may come with the embedding of its own image, which training needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam
from torch import Tensor

from .backbones.nano import NanoPrompts


@dataclass(frozen=True, slots=True)
class SparsePrompts:
    """Prompts of n objects in frame coordinates.

    points float (n, p, 2) as (x, y); labels int (n, p): 1 positive, 0 negative, -1 padding;
    boxes float (n, 4) as (x0, y0, x1, y1); logits float (n, 1, h, w) of an earlier answer, h = 4 x embedding.
    """

    points: Tensor | None = None
    labels: Tensor | None = None
    boxes: Tensor | None = None
    logits: Tensor | None = None

    @property
    def count(self) -> int:
        for one in (self.points, self.boxes, self.logits):
            if one is not None:
                return int(one.shape[0])
        return 0


def decode(
    sam: Sam, features: Tensor, position: Tensor, prompts: SparsePrompts, *, several: bool | None = None
) -> tuple[Tensor, Tensor]:
    """Return mask logits (n, m, 4h, 4w) and predicted IoU (n, m).

    ``several`` True gives the three masks of an ambiguous prompt, False the single answer, None all four
    with the single one first. features (n or 1, c, h, w); position (1, c, h, w), the embedding's dense
    position encoding.
    """
    sparse, dense = encode_prompts(sam.prompt_encoder, prompts, features.shape[-2:])
    return decode_tokens(sam.mask_decoder, features, position, sparse, dense, several=several)


def encode_prompts(encoder: PromptEncoder, prompts: SparsePrompts, size: torch.Size) -> tuple[Tensor, Tensor]:
    """Return sparse tokens (n, t, c) and the dense part (n or 1, c, h, w) of the prompts."""
    parts = []
    if prompts.points is not None and prompts.labels is not None:
        parts.append(encoder._embed_points(prompts.points, prompts.labels, pad=prompts.boxes is None))
    if prompts.boxes is not None:
        parts.append(encoder._embed_boxes(prompts.boxes))
    device = encoder.no_mask_embed.weight.device
    sparse = torch.cat(parts, dim=1) if parts else torch.empty(prompts.count, 0, encoder.embed_dim, device=device)
    if prompts.logits is None:
        dense = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(1, -1, *size)
    else:
        dense = encoder.mask_downscaling(prompts.logits)
    if isinstance(encoder, NanoPrompts):
        dense = dense + encoder.draw(prompts.points, prompts.labels, prompts.boxes, size)
    return sparse, dense


def decode_tokens(
    decoder: MaskDecoder, features: Tensor, position: Tensor, sparse: Tensor, dense: Tensor, *, several: bool | None
) -> tuple[Tensor, Tensor]:
    """Run the mask decoder on encoded prompts; see ``decode``."""
    count = sparse.shape[0]
    fixed = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([fixed.expand(count, -1, -1), sparse.to(fixed.dtype)], dim=1)
    source = (features + dense).expand(count, -1, -1, -1)
    hidden, flat = decoder.transformer(source, position.expand(count, -1, -1, -1), tokens)
    upscaled = decoder.output_upscaling(flat.transpose(1, 2).reshape(source.shape))
    wanted = range(4) if several is None else range(1, 4) if several else range(1)
    heads = decoder.output_hypernetworks_mlps
    kernels = torch.stack([heads[i](hidden[:, 1 + i]) for i in wanted], dim=1)
    n, c, h, w = upscaled.shape
    masks = (kernels @ upscaled.reshape(n, c, h * w)).reshape(n, -1, h, w)
    return masks, decoder.iou_prediction_head(hidden[:, 0])[:, wanted.start : wanted.stop]
