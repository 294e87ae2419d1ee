"""Checkpoint files to plain weights, whatever form they have; nothing in a file is ever run.

PyTorch reads them with ``weights_only=True``. Objects of other classes beside the weights are read as ``Inert`` ones.

Forms: a state dict of segment-anything, MobileSAM or nano; micro-sam's exports and training checkpoints with
``model_state`` and perhaps ``decoder_state``; names with or without ``sam.``; adapters, which are merged; packages of
BioImage.IO with such weights, and perhaps a decoder attached.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from threading import Lock

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..core import ModelError
from .backbones.adapters import Weights, merge_adapters

_NANO_DECODER = "distances."
#: What may be read is a setting of the whole process.
_exchanged = Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """float32 weights of a ``Sam`` under segment-anything's names, and of the instance decoder, if any."""

    sam: Weights
    decoder: Weights


def read_checkpoint(path: Path) -> Checkpoint:
    """Read the weights of a model. Raises ModelError for anything else."""
    state = _load(path)
    sam, decoder = state.get("model_state", state), state.get("decoder_state", {})
    weights = {key.removeprefix("sam."): value for key, value in _tensors(sam, path).items()}
    own = {key: weights.pop(key) for key in list(weights) if key.startswith(_NANO_DECODER)}
    own = {key.removeprefix(_NANO_DECODER): value for key, value in own.items()}
    if any(key.startswith("encoder.") for key in weights) and "out_conv.weight" in weights:
        raise ModelError(
            f"{path.name} was trained for instances only: it holds nothing that answers prompts.",
            "Train with prompts and instances, and use that checkpoint.",
        )
    return Checkpoint(merge_adapters(weights, path.name), own | _tensors(decoder, path))


def read_decoder(path: Path) -> Weights:
    """Read the weights of an instance decoder from a file of its own, or from a checkpoint that has one."""
    state = _load(path)
    weights = _tensors(state.get("decoder_state", state), path)
    nano = {key.removeprefix(_NANO_DECODER): value for key, value in weights.items() if key.startswith(_NANO_DECODER)}
    weights = nano or weights
    if "out_conv.weight" not in weights and "head.weight" not in weights:
        raise ModelError(
            f"{path.name} does not hold an instance decoder.",
            "Give a file that was saved as a decoder, such as vit_b_lm_decoder.",
        )
    return weights


class Inert:
    """Stands for an object of a class that is not read: takes whatever the file says about it, and does nothing."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


def _load(path: Path) -> Mapping[str, object]:
    try:
        if path.suffix == ".zip":
            state: object = _load_package(path)
        else:
            state = load_file(path) if path.suffix == ".safetensors" else _load_torch(path)
    except ModelError:
        raise
    except Exception as error:  # pickle's and zip's errors have no common base
        if isinstance(error, UnpicklingError) and "GLOBAL" in str(error):
            raise _objects(path) from error
        raise ModelError(
            f"{path.name} cannot be read as a checkpoint ({error.__class__.__name__}).",
            "Download it again, or give a .safetensors or .pth file that holds only weights.",
        ) from error
    if not isinstance(state, Mapping):
        raise _no_weights(path)
    return state


def _load_package(path: Path) -> object:
    """Read the weights of a BioImage.IO package, and the decoder that may be attached to it."""
    with zipfile.ZipFile(path) as package:
        files = [name for name in package.namelist() if name.endswith((".pt", ".pth"))]
        decoders = [name for name in files if Path(name).stem.endswith("_decoder")]
        weights = [name for name in files if name not in decoders]
        if len(weights) != 1:
            raise ModelError(
                f"{path.name} holds {len(weights) or 'no'} files of PyTorch weights.",
                "Give a BioImage.IO package of a model like segment-anything, or the file of weights itself.",
            )
        read = [
            torch.load(BytesIO(package.read(name)), map_location="cpu", weights_only=True)
            for name in (*weights, *decoders[:1])
        ]
    if len(read) == 1:
        return read[0]
    return {"model_state": read[0], "decoder_state": read[1]}


def _load_torch(path: Path) -> object:
    # Files from before PyTorch 1.6 are no zip archives and cannot be mapped into memory.
    mapped = zipfile.is_zipfile(path)
    read = partial(torch.load, path, map_location="cpu", weights_only=True, mmap=mapped)
    try:
        return read()
    except UnpicklingError:
        # Training checkpoints hold data loaders and the like beside the weights. Not in every version of torch.
        find = getattr(torch.serialization, "get_unsafe_globals_in_checkpoint", None)
        if find is None or not mapped:
            raise
        with _exchanged:
            # Within the lock: names that another thread has just allowed would be missing.
            names = find(path)
            if not names:
                raise
            with torch.serialization.safe_globals([(Inert, name) for name in names]):
                return read()


def _tensors(state: object, path: Path) -> Weights:
    """Check that ``state`` maps names to tensors, and return it in single precision."""
    if isinstance(state, Inert):
        raise _objects(path)
    if not isinstance(state, Mapping):
        raise _no_weights(path)
    weights: Weights = {}
    for key, value in state.items():
        if isinstance(value, Inert):
            raise _objects(path)
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise _no_weights(path)
        # Half precision saves room in the file; the network computes from float32.
        weights[key] = value.float() if value.is_floating_point() else value
    return weights


def _objects(path: Path) -> ModelError:
    return ModelError(
        f"{path.name} holds objects in the place of weights, which are not read: they could run code.",
        "Export it with micro_sam.util.export_custom_sam_model and give that file, or any that holds only weights.",
    )


def _no_weights(path: Path) -> ModelError:
    return ModelError(
        f"{path.name} holds no plain dictionary of weights.", "Export the model's state_dict() and load that file."
    )
