"""Which parts of a model learn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ...core import ModelError, SettingsError
from ..backbones.decoder import UnetrDistances
from ..backbones.nano import NanoDistances
from ..backbones.sam import FastEncoder
from ..models import Model
from .lora import add_lora
from .settings import TrainingSettings


def with_decoder(model: Model, seed: int = 0) -> Model:
    """Return a model with an untrained instance decoder; one that has a decoder comes back as it is."""
    if model.distances is not None:
        return model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder: nn.Module = NanoDistances() if model.is_nano else UnetrDistances()
    return replace(model, distances=decoder.to(model.device))


def choose_parts(model: Model, settings: TrainingSettings) -> None:
    """Let learn what the settings say, and nothing else; add low-rank weights where they say so.

    Raises ModelError for a model that was loaded for inference only, SettingsError where nothing is left to learn.
    """
    s, sam = settings, model.sam
    check_trainable(model)
    net = network(model)
    net.requires_grad_(True)
    if s.last_blocks:
        _keep_last(sam.image_encoder, s.last_blocks)
    frozen = {
        "image_encoder": s.freeze_image_encoder or (s.lora_rank and not model.is_nano),
        "prompt_encoder": s.freeze_prompt_encoder or not s.prompts,
        "mask_decoder": s.freeze_mask_decoder or not s.prompts,
    }
    for name, still in frozen.items():
        if still:
            getattr(sam, name).requires_grad_(False)
    if model.distances is not None and (s.freeze_decoder or not s.distances):
        model.distances.requires_grad_(False)
    if s.lora_rank:
        add_lora(model, s)
    if s.recompute:
        recompute_blocks(sam.image_encoder)
    if not any(p.requires_grad for p in net.parameters()):
        raise SettingsError("Every part of the model is frozen.", "Leave one of its parts free to learn.")


def network(model: Model) -> nn.ModuleDict:
    """Return all weights of a model as one module."""
    net = nn.ModuleDict({"sam": model.sam})
    if model.distances is not None:
        net["distances"] = model.distances
    return net


def learn_mode(model: Model, settings: TrainingSettings) -> None:
    """Switch to training, except what is frozen: the running statistics of its normalisations stay, too."""
    net = network(model)
    net.train()
    for name, module in net.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            still = not any(p.requires_grad for p in module.parameters())
            if still or (settings.freeze_norms and name.startswith("sam.image_encoder")):
                module.eval()
        elif _folds(module) and (settings.freeze_norms or not any(p.requires_grad for p in module.parameters())):
            module.training = False


def moving(net: nn.Module) -> set[str]:
    """Return the names in ``net``'s state of all that a training may change."""
    names = {name for name, p in net.named_parameters() if p.requires_grad}
    for name, module in net.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
            names |= {f"{name}.{buffer}" for buffer, _ in module.named_buffers()}
    return names


def encoder_blocks(encoder: nn.Module) -> list[nn.Module]:
    """Return what an image encoder computes one after another, first to last."""
    some: Any = encoder
    if hasattr(some, "blocks"):
        return list(some.blocks)
    if hasattr(some, "layers"):
        return [block for stage in some.layers for block in stage.blocks]
    return [some.stem, some.stage4, some.stage8, some.stage16, some.stage32]


def recompute_blocks(encoder: nn.Module) -> None:
    """Let the blocks of an encoder forget what they computed, and compute it again for the gradient."""
    if isinstance(encoder, FastEncoder):
        encoder.recompute = True
        return
    for block in encoder_blocks(encoder):
        block.forward = _Recomputed(block.forward)


def forget_recomputing(encoder: nn.Module) -> None:
    """Take back ``recompute_blocks``."""
    if isinstance(encoder, FastEncoder):
        encoder.recompute = False
        return
    for block in encoder_blocks(encoder):
        block.__dict__.pop("forward", None)


class _Recomputed:
    """A block's ``forward`` that keeps its input only."""

    def __init__(self, forward: Any) -> None:
        self.forward = forward

    def __call__(self, x: torch.Tensor) -> Any:
        if not torch.is_grad_enabled():
            return self.forward(x)
        return checkpoint(self.forward, x, use_reentrant=False)


def _keep_last(encoder: nn.Module, count: int) -> None:
    """Freeze all blocks of an encoder but the last ``count``, and what comes before them; what follows learns."""
    blocks = encoder_blocks(encoder)
    for block in blocks[: max(0, len(blocks) - count)]:
        block.requires_grad_(False)
    if count < len(blocks):
        for name in ("patch_embed", "pos_embed"):
            first = getattr(encoder, name, None)
            if first is not None:
                first.requires_grad_(False)


def check_trainable(model: Model) -> None:
    """Raise ModelError for a model whose weights were rounded or merged for inference."""
    encoder = model.sam.image_encoder
    half = isinstance(encoder, FastEncoder) and encoder.dtype is not torch.float32
    merged = model.is_nano and any(name.endswith("norm") for name in _identities(encoder))
    if half or merged:
        raise ModelError(
            f"{model.spec.name} was loaded to be used, not to be trained: its weights are rounded or merged.",
            "Load it with load_model(..., trainable=True).",
        )


def _identities(module: nn.Module) -> Iterator[str]:
    return (name for name, one in module.named_modules() if isinstance(one, nn.Identity))


def _folds(module: nn.Module) -> bool:
    """Whether a module merges its normalisation into its convolution outside training."""
    return isinstance(getattr(module, "bn", None), nn.BatchNorm2d)
