"""Trained models as packages of the BioImage.IO model zoo."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from ...core import Image, LabelledImage, MicrosamError, ModelError
from ...core.replacing import replaced_whole
from ..models import Model
from ..prompting import SURE
from . import packaged
from .lora import merged
from .parts import check_trainable

#: What a model of segment-anything's kind is to be cited with: text and DOI.
CITED = (
    ("Kirillov et al. Segment Anything", "10.1109/ICCV51070.2023.00371"),
    ("Archit et al. Segment Anything for Microscopy", "10.1038/s41592-024-02580-4"),
)
#: Objects that the package is tested with.
_TESTED = 2


def export_bioimageio(
    model: Model,
    path: Path,
    *,
    image: NDArray[np.generic],
    labels: NDArray[np.integer[Any]],
    name: str,
    description: str,
    authors: Sequence[str],
    licence: str = "CC-BY-4.0",
    cite: Sequence[tuple[str, str]] = CITED,
    documentation: str = "",
    tags: Sequence[str] = ("segment-anything", "instance-segmentation", "microscopy"),
) -> Path:
    """Write a trained model as a BioImage.IO package (.zip), and return its path.

    ``image`` (y, x) or (y, x, 3) and ``labels`` (y, x), 0 = background, are what the package is tested and shown
    with. It takes images and, each optional, boxes, points with labels, masks and embeddings, and gives masks, scores
    and embeddings; see ``packaged.PromptedSegmentation``. An instance decoder is attached. Low-rank additions are
    merged. ``load_model`` reads the file; micro-sam reads the weights in it, but nano's. ``authors`` are names,
    ``cite`` texts with their DOI. Needs the extra ``bioimageio``.

    Raises MicrosamError where that is not installed, where no object is labelled, or where BioImage.IO refuses what
    is said of the model; ModelError for a model that was loaded for inference only or a path that ends otherwise; and
    OSError as it comes.
    """
    try:
        from bioimageio.spec import save_bioimageio_package
    except ImportError as error:
        raise MicrosamError(
            "BioImage.IO packages need bioimageio.core, which is not installed.",
            "Install it with: pip install 'microsam-nb[bioimageio]'.",
        ) from error
    from pydantic import ValidationError

    from .description import described

    check_trainable(model)
    path = Path(path)
    if path.suffix not in ("", ".zip"):
        raise ModelError(f"A BioImage.IO package is no {path.suffix} file.", "Choose a name that ends in .zip.")
    shown = LabelledImage(image, np.asarray(labels, np.int32))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        weights = {k: v.detach().cpu().contiguous() for k, v in merged(model).items()}
        _write_weights(model, weights, folder)
        _write_examples(model, weights, shown, folder)
        (folder / "documentation.md").write_text(documentation or f"# {name}\n\n{description}\n", encoding="utf-8")
        try:
            package = described(
                model,
                folder,
                name=name,
                description=description,
                authors=authors,
                licence=licence,
                cite=cite,
                tags=tags,
            )
        except ValidationError as error:
            wrong = error.errors()[0]
            raise MicrosamError(
                f"BioImage.IO does not take {wrong['input']!r}: {shorten(wrong['msg'], 120, placeholder=' ...')}.",
                "Change it and export again; licences go by their SPDX names, such as MIT or CC-BY-4.0.",
            ) from error
        with replaced_whole(path.with_suffix(".zip")) as part:
            save_bioimageio_package(package, output_path=part)
    return path.with_suffix(".zip")


def _write_weights(model: Model, weights: dict[str, Tensor], folder: Path) -> None:
    torch.save(weights, folder / f"{model.spec.architecture}.pt")
    if model.distances is not None:
        decoder = {k: v.detach().cpu().contiguous() for k, v in model.distances.state_dict().items()}
        torch.save(decoder, folder / f"{model.spec.architecture}_decoder.pt")


def _write_examples(model: Model, weights: dict[str, Tensor], one: LabelledImage, folder: Path) -> None:
    """Write what the package is tested with, what comes out, and a picture of it."""
    pixels = Image(one.pixels).shown()
    pixels = np.repeat(pixels[..., None], 3, 2) if pixels.ndim == 2 else pixels
    network = packaged.PromptedSegmentation(model.spec.architecture, _enlargement(model)).eval()
    network.load_state_dict(weights)
    given = {"image": np.ascontiguousarray(pixels.transpose(2, 0, 1))[None], **_prompts(model, one.labels)}
    # Tested as tools run it, from numbers of the types that are in the package.
    masks, scores, embeddings = network(*(torch.from_numpy(v) for v in given.values()))
    made = {"masks": masks, "scores": scores, "embeddings": embeddings}
    for key, value in (given | {k: v.numpy() for k, v in made.items()}).items():
        np.save(folder / f"{key}.npy", value)
    found = masks[0, :, 0].numpy().any(0)
    edge = found ^ ndimage.binary_erosion(found, iterations=2)
    outlined = np.where(edge[..., None], np.array([255, 190, 0], np.uint8), pixels)
    Picture.fromarray(np.concatenate([pixels, outlined], 1)).resize((1000, 500)).save(folder / "cover.png")


def _prompts(model: Model, labels: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
    """Return prompts of every kind for the largest objects, as ``PromptedSegmentation`` takes them."""
    ids, sizes = np.unique(labels[labels > 0], return_counts=True)
    if not len(ids):
        raise MicrosamError("There is no labelled object to test the package with.", "Give labels above 0.")
    masks = [labels == label for label in ids[np.argsort(-sizes, kind="stable")][:_TESTED]]
    boxes, points = [], []
    for mask in masks:
        rows, columns = (slice_ for slice_ in ndimage.find_objects(mask.astype(np.uint8))[0])
        boxes.append([columns.start, rows.start, columns.stop, rows.stop])
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        beside = np.unravel_index(int(ndimage.distance_transform_edt(labels == 0).argmax()), labels.shape)
        points.append([[x, y], [beside[1], beside[0]]])
    return {
        "box_prompts": np.array([boxes], np.int64),
        "point_prompts": np.array([points], np.int64),
        "point_labels": np.array([[[1, 0]] * len(points)], np.int64),
        "mask_prompts": np.stack([_logits(model, mask) for mask in masks])[None, :, None],
    }


def _logits(model: Model, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return a mask (y, x) as logits in the frame at a quarter of its side, unsure of nothing."""
    side = int(model.sam.prompt_encoder.mask_input_size[0])
    scale = min(model.frame / max(mask.shape), model.enlargement) * side / model.frame
    size = tuple(max(1, round(edge * scale)) for edge in mask.shape)
    small = F.interpolate(torch.from_numpy(mask)[None, None].float(), size, mode="area")[0, 0] >= 0.5
    whole = np.full((side, side), -SURE, np.float32)
    whole[: size[0], : size[1]][small.numpy()] = SURE
    return whole


def _enlargement(model: Model) -> float | None:
    return model.enlargement if model.is_nano else None
