"""The network of a BioImage.IO package: prompts to masks.

A copy of this file lies in every package. For segment-anything's encoders it needs segment-anything alone, so that
packages run where microsam_nb is not installed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Architectures that come from microsam_nb.
OURS = ("nano", "vit_t")


class PromptedSegmentation(nn.Module):
    """One mask per object from boxes, points and masks.

    ``architecture`` is vit_b, vit_l or vit_h; or vit_t or nano, which need microsam_nb. Images are scaled to fill the
    network's frame, ``enlargement`` times at most.
    """

    def __init__(self, architecture: str, enlargement: float | None = None) -> None:
        super().__init__()
        self.sam = _network(architecture)
        self.enlargement = enlargement

    def load_state_dict(self, state_dict: Any, *args: Any, **more: Any) -> Any:
        """Take the plain weights of segment-anything, as the package holds them."""
        return self.sam.load_state_dict(state_dict, *args, **more)

    @torch.no_grad()
    def forward(
        self,
        image: Tensor,
        box_prompts: Tensor | None = None,
        point_prompts: Tensor | None = None,
        point_labels: Tensor | None = None,
        mask_prompts: Tensor | None = None,
        embeddings: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return masks uint8 (1, n, 1, y, x), predicted IoU (1, n, 1) and the embedding (1, c, h, w).

        image: 0 to 255 (1, 3, y, x). Boxes (1, n, 4) as x0, y0, x1, y1 and points (1, n, k, 2) as x, y are in pixels
        of the image; their labels (1, n, k) are 1 on the object, 0 beside it, -1 for none. mask_prompts: logits
        (1, n, 1, h, w) of the frame at a quarter of its side. ``embeddings`` of the same image save its encoding.
        """
        shape = (int(image.shape[-2]), int(image.shape[-1]))
        size = self._scaled(shape)
        if embeddings is None:
            scaled = F.interpolate(image.float(), size, mode="bilinear", antialias=True, align_corners=False)
            embeddings = self.sam.image_encoder(self.sam.preprocess(scaled.round().clamp(0, 255)))
        factor = torch.tensor([size[1] / shape[1], size[0] / shape[0]], device=image.device)
        encoder = self.sam.prompt_encoder
        sparse, dense = encoder(
            points=None if point_prompts is None else _points(point_prompts, point_labels, factor),
            boxes=None if box_prompts is None else box_prompts[0].float() * factor.repeat(2),
            masks=None if mask_prompts is None else mask_prompts[0].float(),
        )
        logits, scores = self.sam.mask_decoder(
            image_embeddings=embeddings,
            image_pe=encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        masks = self.sam.postprocess_masks(logits, size, shape) > 0
        return masks[None].to(torch.uint8), scores[None], embeddings

    def _scaled(self, shape: tuple[int, int]) -> tuple[int, int]:
        scale = self.sam.image_encoder.img_size / max(shape)
        if self.enlargement is not None:
            scale = min(scale, self.enlargement)
        return max(1, int(shape[0] * scale + 0.5)), max(1, int(shape[1] * scale + 0.5))


def _points(points: Tensor, labels: Tensor | None, factor: Tensor) -> tuple[Tensor, Tensor]:
    if labels is None:
        raise ValueError("There are point_prompts without point_labels. Give 1 for points on the object, 0 beside it.")
    return points[0].float() * factor, labels[0]


def _network(architecture: str) -> Any:
    if architecture == "nano":
        from microsam_nb.engine.backbones.nano import build_nano

        return build_nano()
    if architecture == "vit_t":
        from microsam_nb.engine.backbones.tiny_vit import build_tiny_vit

        return build_tiny_vit()
    from segment_anything import sam_model_registry

    return sam_model_registry[architecture]()
