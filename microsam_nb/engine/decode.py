"""Prompts and embeddings to mask logits, for many prompts of one or of several images in one call.

Answers come in two steps, ``decode_prompts`` with the predicted IoU and ``draw`` with the masks, so that whoever
has many prompts need not draw all of them; ``decode`` is both.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from segment_anything.modeling import PromptEncoder, Sam
from torch import Tensor

from .backbones.nano import NanoPrompts
from .backbones.two_way import Hidden, decode_hidden, draw
from .precision import working_dtype

_positions: WeakKeyDictionary[PromptEncoder, tuple[Tensor, Tensor]] = WeakKeyDictionary()


def together(device: torch.device) -> int:
    """Return how many prompts to decode at once: what fits a processor's cache, and more on a GPU."""
    return 4 if device.type == "cpu" else 64


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

    def __getitem__(self, rows: slice) -> SparsePrompts:
        """Return the chosen prompts."""
        parts = (self.points, self.labels, self.boxes, self.logits)
        return SparsePrompts(*(None if part is None else part[rows] for part in parts))


def decode(
    sam: Sam, features: Tensor, position: Tensor, prompts: SparsePrompts, *, several: bool | None = None
) -> tuple[Tensor, Tensor]:
    """Return mask logits (n, m, 4h, 4w) and predicted IoU (n, m).

    ``several`` True gives the three masks of an ambiguous prompt, False the single answer, None all four
    with the single one first. features (n or 1, c, h, w); position (1, c, h, w), the embedding's dense
    position encoding.
    """
    wanted = range(4) if several is None else range(1, 4) if several else range(1)
    count, masks, scores = prompts.count, [], []
    if not count:
        height, width = features.shape[-2:]
        return features.new_zeros(0, len(wanted), 4 * height, 4 * width), features.new_zeros(0, len(wanted))
    step = together(features.device)
    for start in range(0, count, step):
        some = slice(start, start + step)
        own = features[some] if len(features) > 1 else features
        hidden = decode_prompts(sam, own, position, prompts[some])
        masks.append(draw(sam.mask_decoder, hidden, wanted))
        scores.append(hidden.scores[:, wanted.start : wanted.stop])
    return torch.cat(masks), torch.cat(scores)


def decode_prompts(sam: Sam, features: Tensor, position: Tensor, prompts: SparsePrompts) -> Hidden:
    """Decode prompts up to their predicted IoU; ``draw`` makes masks of all or of some of them.

    Holds 4 MiB (2 MiB in half precision) per prompt of a vit_b: pass as many as ``together`` says at a time.
    """
    sparse, dense = encode_prompts(sam.prompt_encoder, prompts, features.shape[-2:])
    dtype = working_dtype(features.device)
    # Only products with the image gain from half precision; casting the weights for a few tokens costs more.
    with torch.autocast(features.device.type, enabled=False):
        return decode_hidden(sam.mask_decoder, features, position, sparse, dense, dtype)


def dense_position(encoder: PromptEncoder) -> Tensor:
    """Return the position encoding (1, c, h, w) of an embedding of the whole frame; do not write to it.

    It is made once per model: that costs as much as a tenth of a click.
    """
    frequencies = encoder.pe_layer.positional_encoding_gaussian_matrix
    kept = _positions.get(encoder)
    # Loading other weights writes into the same tensor.
    if kept is None or kept[0].device != frequencies.device or not torch.equal(kept[0], frequencies):
        with torch.no_grad():
            kept = frequencies.detach().clone(), encoder.get_dense_pe()
        _positions[encoder] = kept
    return kept[1]


def encode_prompts(encoder: PromptEncoder, prompts: SparsePrompts, size: torch.Size) -> tuple[Tensor, Tensor]:
    """Return sparse tokens (n, t, c) and the dense part (n or 1, c, h, w) of the prompts."""
    parts = []
    device = encoder.no_mask_embed.weight.device
    # Half precision would round coordinates to whole pixels and more.
    with torch.autocast(device.type, enabled=False):
        if prompts.points is not None and prompts.labels is not None:
            parts.append(encoder._embed_points(prompts.points, prompts.labels, pad=prompts.boxes is None))
        if prompts.boxes is not None:
            parts.append(encoder._embed_boxes(prompts.boxes))
    sparse = torch.cat(parts, dim=1) if parts else torch.empty(prompts.count, 0, encoder.embed_dim, device=device)
    if prompts.logits is None:
        dense = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(1, -1, *size)
    else:
        dense = encoder.mask_downscaling(prompts.logits)
    if isinstance(encoder, NanoPrompts):
        dense = dense + encoder.draw(prompts.points, prompts.labels, prompts.boxes, size)
    return sparse, dense
