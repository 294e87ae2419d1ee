"""Model names and checkpoint files to models."""

from __future__ import annotations

import difflib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
import xxhash
from safetensors.torch import load_file
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam
from torch import Tensor, nn

from ..core import ModelError
from .backbones.nano import NanoDistances, build_nano
from .backbones.sam import fast_encoder
from .models import Model, ModelSpec
from .precision import dtype_of, find_device

EMBEDDED = Path(__file__).parent / "weights" / "nano.safetensors"
_WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
_NAMES = ("nano", *_WIDTHS.values())


def load_model(name_or_path: str | os.PathLike[str] = "nano", device: str = "auto", precision: str = "auto") -> Model:
    """Load the embedded model "nano", or a checkpoint file of segment-anything's vit_b, vit_l or vit_h, or of nano.

    The architecture is recognised from the weights. Files are .safetensors, or PyTorch files that hold nothing
    but tensors: code in a pickle is never run. ``device`` is "auto", "cpu", "cuda" or "mps";
    ``precision`` "auto" (what the device computes fastest), "fp32", "bf16" or "fp16". Below fp32 the image encoder of
    segment-anything keeps its weights in that format: load with "fp32" to train or to write weights.
    Raises ModelError for an unknown name, a missing or unreadable file, or other weights.
    """
    path, name = find_weights(name_or_path)
    weights = _read(path)
    architecture = _architecture(weights, path)
    place = _device(device)
    dtype = dtype_of(precision, place)
    with torch.device("meta"):
        sam, distances = _build(architecture)
    _fill(sam, {k.removeprefix("sam."): v for k, v in weights.items() if not k.startswith("distances.")}, path)
    own = {k.removeprefix("distances."): v for k, v in weights.items() if k.startswith("distances.")}
    if distances is not None:
        _fill(distances, own, path)
    sam.eval().requires_grad_(False).to(place)
    if distances is not None:
        distances.eval().requires_grad_(False).to(place)
    if architecture == "nano":
        sam.image_encoder.fold()
    sam.image_encoder = fast_encoder(sam.image_encoder, dtype)
    sam.image_encoder.to(memory_format=torch.channels_last)
    return Model(ModelSpec(name, architecture, _hash(path)), sam, distances, place, precision)


def find_weights(name_or_path: str | os.PathLike[str]) -> tuple[Path, str]:
    """Return the file of a model and its name, without reading it. Raises ModelError."""
    text = os.fspath(name_or_path)
    if text == "nano":
        return EMBEDDED, text
    path = Path(text)
    if path.is_file():
        return path, path.stem
    if text in _NAMES:
        raise ModelError(
            f"The weights of {text} are not part of the package.",
            "Give the path of a checkpoint file, for example load_model('sam_vit_b_01ec64.pth').",
        )
    if path.suffix or path.name != text:
        raise ModelError(
            f"There is no checkpoint file {text}.", f"Check the name and the folder; paths start at {Path.cwd()}."
        )
    near = difflib.get_close_matches(text, _NAMES, 1, 0.4)
    hint = f"Did you mean {near[0]!r}? Otherwise give" if near else "Give"
    raise ModelError(f"There is no model or file named {text!r}.", f"{hint} 'nano' or the path of a checkpoint file.")


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            # Files from before PyTorch 1.6 are no zip archives and cannot be mapped into memory.
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # pickle's and zip's errors have no common base
        raise ModelError(
            f"{path.name} cannot be read as a checkpoint ({error.__class__.__name__}).",
            "Download it again, or give a .safetensors or .pth file that holds only weights.",
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    ):
        raise ModelError(
            f"{path.name} holds no plain dictionary of weights.",
            "Export the model's state_dict() and load that file.",
        )
    # Half precision saves room in the file; the network computes from float32.
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def _architecture(weights: Mapping[str, Tensor], path: Path) -> str:
    plain = {k.removeprefix("sam."): v for k, v in weights.items()}
    if "image_encoder.stem.conv.weight" in plain:
        return "nano"
    patch = plain.get("image_encoder.patch_embed.proj.weight")
    if patch is not None and patch.shape[0] in _WIDTHS:
        return _WIDTHS[patch.shape[0]]
    raise ModelError(
        f"{path.name} does not hold the weights of a known model.",
        "Use a checkpoint of segment-anything's vit_b, vit_l or vit_h, or of nano.",
    )


def _build(architecture: str) -> tuple[Sam, nn.Module | None]:
    if architecture == "nano":
        return build_nano(), NanoDistances()
    return sam_model_registry[architecture](), None


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
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"The device {name!r} cannot be used here.", "Choose 'auto' or 'cpu'.") from error
    return device


def _hash(path: Path) -> str:
    digest = xxhash.xxh128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return f"xxh128:{digest.hexdigest()}"
