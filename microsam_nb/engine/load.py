"""Model names and checkpoint files to models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam
from torch import Tensor, nn

from ..core import ModelError
from .backbones.decoder import UnetrDistances, is_transposed
from .backbones.nano import NanoDistances, build_nano
from .backbones.sam import fast_encoder
from .backbones.tiny_vit import build_tiny_vit
from .checkpoint import read_checkpoint, read_decoder
from .download import fetch, file_hash
from .finding import find_weights, is_name
from .models import Model, ModelSpec
from .precision import dtype_of, find_device
from .registry import registered

_WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}


def load_model(
    name_or_path: str | os.PathLike[str] = "nano",
    device: str = "auto",
    decoder: str | os.PathLike[str] | None = None,
    precision: str = "auto",
    *,
    trainable: bool = False,
) -> Model:
    """Load a model by name, such as "nano" or "vit_b_lm", or from a checkpoint file.

    Names are those that ``microsam-nb info`` lists; weights that are not there are downloaded into the folder that
    is shared with micro-sam. Files are .safetensors, or PyTorch files of segment-anything or micro-sam, finetuned
    ones and such with LoRA included; code in them is never run. The architecture is recognised from the weights.
    ``device`` is "auto", "cpu", "cuda" or "mps". ``decoder``: the file of an instance decoder; by default the one in
    the checkpoint, or beside it (NAME_decoder).
    ``precision`` is "auto" (what the device computes fastest), "fp32", "bf16" or "fp16". Below fp32 the image encoder
    of segment-anything keeps its weights in that format. ``trainable`` keeps all weights as they are in the file, for
    ``finetune`` and ``export``; such a model answers alike, a little slower.
    Raises ModelError for an unknown name, a missing or unreadable file, or other weights.
    """
    path, name = find_weights(name_or_path)
    place = _device(device)
    dtype = dtype_of(precision, place)
    known = registered(name) if is_name(name_or_path) else None
    if known is not None and known.weights is not None:
        path = fetch(known)[0]
    checkpoint = read_checkpoint(path)
    architecture = _architecture(checkpoint.sam, path)
    with torch.device("meta"):
        sam = _build(architecture)
    _fill(sam, checkpoint.sam, path)
    sam.eval().requires_grad_(False).to(place)
    if architecture == "nano" and not trainable:
        sam.image_encoder.fold()
    sam.image_encoder = fast_encoder(sam.image_encoder, torch.float32 if trainable else dtype)
    sam.image_encoder.to(memory_format=torch.channels_last)
    distances = _distances(architecture, *_decoder(checkpoint.decoder, path, decoder))
    if distances is not None:
        distances.eval().requires_grad_(False).to(place).to(memory_format=torch.channels_last)
    identity = known.weights.identity if known and known.weights else file_hash(path)
    spec = ModelSpec(name, architecture, identity, known.version if known else "")
    return Model(spec, sam, distances, place, precision)


def architecture_of(name_or_path: str | os.PathLike[str]) -> str:
    """Return the architecture of a model, such as "nano" or "vit_b", without loading it.

    Raises ModelError as ``load_model`` does.
    """
    path, _ = find_weights(name_or_path)
    known = registered(os.fspath(name_or_path)) if is_name(name_or_path) else None
    return known.architecture if known is not None else _architecture(read_checkpoint(path).sam, path)


def _architecture(weights: Mapping[str, Tensor], path: Path) -> str:
    if "image_encoder.stem.conv.weight" in weights:
        return "nano"
    if "image_encoder.patch_embed.seq.0.c.weight" in weights:
        return "vit_t"
    patch = weights.get("image_encoder.patch_embed.proj.weight")
    if patch is not None and patch.shape[0] in _WIDTHS:
        return _WIDTHS[patch.shape[0]]
    raise ModelError(
        f"{path.name} does not hold the weights of a known model.",
        "Use a checkpoint of segment-anything's vit_b, vit_l or vit_h, of MobileSAM (vit_t), or of nano.",
    )


def _build(architecture: str) -> Sam:
    if architecture == "nano":
        return build_nano()
    if architecture == "vit_t":
        return build_tiny_vit()
    return sam_model_registry[architecture]()


def _decoder(
    inside: Mapping[str, Tensor], path: Path, given: str | os.PathLike[str] | None
) -> tuple[Mapping[str, Tensor], Path]:
    """Return the decoder's weights, and the file they are from: the given one, the checkpoint, or its neighbour."""
    if given is not None:
        own = Path(os.path.expanduser(given))
        if not own.is_file():
            raise ModelError(
                f"There is no decoder file {own}.", f"Check the name and the folder; paths start at {Path.cwd()}."
            )
        return read_decoder(own), own
    beside = path.with_name(f"{path.stem}_decoder{path.suffix}")
    if not inside and beside.is_file():
        return read_decoder(beside), beside
    return inside, path


def _distances(architecture: str, weights: Mapping[str, Tensor], path: Path) -> nn.Module | None:
    """Make the instance decoder; nano always has one."""
    if not weights and architecture != "nano":
        return None
    with torch.device("meta"):
        module = NanoDistances() if architecture == "nano" else UnetrDistances(is_transposed(weights))
    _fill(module, weights, path)
    return module


def _fill(module: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    try:
        missing, surplus = module.load_state_dict(dict(weights), strict=False, assign=True)
    except RuntimeError as error:
        raise ModelError(
            f"The weights in {path.name} have other shapes than the model.", "Use an unchanged checkpoint."
        ) from error
    if missing or surplus:
        wrong = f"lacks {missing[0]}" if missing else f"has an unknown entry {surplus[0]}"
        raise ModelError(f"{path.name} {wrong}.", "The file is incomplete or changed; download it again.")
    for name, buffer in module.named_buffers():
        if buffer.is_meta:
            raise ModelError(f"{path.name} lacks {name}.", "The file is incomplete; download it again.")


def _device(name: str) -> torch.device:
    try:
        device = find_device(name)
        if device.type not in ("cpu", "cuda", "mps"):
            raise RuntimeError(f"{device.type} does not compute masks")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"The device {name!r} cannot be used here.", "Choose 'auto' or 'cpu'.") from error
    return device
