"""What a BioImage.IO package says of a model: its inputs, outputs, weights and who made it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bioimageio.spec.model.v0_5 as spec
import torch

from ..models import Model
from . import packaged

#: Prompts and objects: as many as one likes.
_ANY = spec.ParameterizedSize(min=1, step=1)


def described(
    model: Model,
    folder: Path,
    *,
    name: str,
    description: str,
    authors: Sequence[str],
    licence: str,
    cite: Sequence[tuple[str, str]],
    tags: Sequence[str],
) -> Any:
    """Return the description of a package whose files lie in ``folder``. Raises pydantic's ValidationError."""
    decoder = folder / f"{model.spec.architecture}_decoder.pt"
    attached = [spec.FileDescr(source=decoder)] if decoder.exists() else []
    close = spec.ReproducibilityTolerance(
        # Networks that are computed by other processors differ in the last digits.
        relative_tolerance=1e-3,
        absolute_tolerance=1e-3,
        mismatched_elements_per_million=1000,
    )
    return spec.ModelDescr(
        name=name,
        description=description,
        authors=[spec.Author(name=one) for one in authors],
        cite=[spec.CiteEntry(text=text, doi=spec.Doi(doi)) for text, doi in cite],
        license=spec.LicenseId(licence),
        documentation=spec.FileDescr(source=folder / "documentation.md"),
        covers=[spec.FileDescr(source=folder / "cover.png")],
        tags=list(tags),
        inputs=_inputs(model, folder),
        outputs=_outputs(model, folder),
        weights=_weights(model, folder),
        attachments=attached,
        config=spec.Config(bioimageio=spec.BioimageioConfig(reproducibility_tolerance=[close])),
    )


def _weights(model: Model, folder: Path) -> Any:
    needs = "microsam-nb" if model.spec.architecture in packaged.OURS else "segment-anything"
    environment = folder / "environment.yaml"
    environment.write_text(
        "name: microsam\nchannels:\n  - conda-forge\ndependencies:\n  - python>=3.11\n  - pytorch\n  - torchvision\n"
        f"  - pip\n  - pip:\n      - {needs}\n"
    )
    architecture = spec.ArchitectureFromFileDescr(
        source=Path(packaged.__file__),
        callable=spec.Identifier(packaged.PromptedSegmentation.__name__),
        kwargs={"architecture": model.spec.architecture, "enlargement": model.enlargement if model.is_nano else None},
    )
    return spec.WeightsDescr(
        pytorch_state_dict=spec.PytorchStateDictWeightsDescr(
            source=folder / f"{model.spec.architecture}.pt",
            architecture=architecture,
            pytorch_version=spec.Version(torch.__version__.partition("+")[0]),
            dependencies=spec.FileDescr(source=environment),
        )
    )


def _inputs(model: Model, folder: Path) -> list[Any]:
    side = int(model.sam.prompt_encoder.mask_input_size[0])
    objects = spec.IndexInputAxis(id=spec.AxisId("object"), size=_ANY)
    points = spec.IndexInputAxis(id=spec.AxisId("point"), size=_ANY)
    image = [_channels("red", "green", "blue"), _space("y", _ANY), _space("x", _ANY)]
    prompts = {
        "box_prompts": ("int64", [objects, _channels("x0", "y0", "x1", "y1")]),
        "point_prompts": ("int64", [objects, points, _channels("x", "y")]),
        "point_labels": ("int64", [objects, points]),
        "mask_prompts": ("float32", [objects, _channels("logit"), _space("y", side), _space("x", side)]),
        "embeddings": ("float32", _embedding_axes(model, spec.SpaceInputAxis)),
    }
    first = _tensor(spec.InputTensorDescr, folder, "image", "uint8", image)
    return [first] + [
        _tensor(spec.InputTensorDescr, folder, key, dtype, axes, optional=True)
        for key, (dtype, axes) in prompts.items()
    ]


def _outputs(model: Model, folder: Path) -> list[Any]:
    # As many objects as there are prompts, of whichever kind.
    objects = spec.IndexOutputAxis(id=spec.AxisId("object"), size=spec.DataDependentSize())
    image = spec.TensorId("image")
    plane = [
        spec.SpaceOutputAxis(id=spec.AxisId(axis), size=spec.SizeReference(tensor_id=image, axis_id=spec.AxisId(axis)))
        for axis in "yx"
    ]
    made = {
        "masks": ("uint8", [objects, _channels("mask"), *plane]),
        "scores": ("float32", [objects, _channels("mask")]),
        "embeddings": ("float32", _embedding_axes(model, spec.SpaceOutputAxis)),
    }
    return [_tensor(spec.OutputTensorDescr, folder, key, dtype, axes) for key, (dtype, axes) in made.items()]


def _tensor(kind: Any, folder: Path, name: str, dtype: str, axes: list[Any], **more: Any) -> Any:
    return kind(
        id=spec.TensorId(name),
        axes=[spec.BatchAxis(size=1), *axes],
        data=spec.IntervalOrRatioDataDescr(type=dtype),
        test_tensor=spec.FileDescr(source=folder / f"{name}.npy"),
        **more,
    )


def _embedding_axes(model: Model, kind: Any) -> list[Any]:
    _, channels, height, width = model.features_shape
    names = [f"c{number}" for number in range(channels)]
    return [_channels(*names), *(kind(id=spec.AxisId(a), size=n) for a, n in (("y", height), ("x", width)))]


def _channels(*names: str) -> Any:
    return spec.ChannelAxis(channel_names=[spec.Identifier(name) for name in names])


def _space(name: str, size: Any) -> Any:
    return spec.SpaceInputAxis(id=spec.AxisId(name), size=size)
