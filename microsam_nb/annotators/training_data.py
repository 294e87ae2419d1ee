"""What a training learns from, of whatever holds images with objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import LabelledImage, SettingsError
from ..core.tracks import areas
from ..engine.training.data import TrainingData
from .gathering.notes import cautions
from .gathering.planes import image_name
from .gathering.reading import read_examples
from .gathering.sources import find_sources
from .gathering.split import split, without


def collect(
    images: Any,
    labels: Any = None,
    *,
    validation: Any = None,
    validation_labels: Any = None,
    share: float = 0.2,
    complete: bool | None = None,
    axes: str = "",
    planes: int = 16,
    seed: int = 0,
    told: Callable[[str], object] = lambda _: None,
) -> TrainingData:
    """Return the images to learn from and those to measure with, checked.

    ``images`` with ``labels``: arrays, lists of arrays, or a folder, a pattern or a list of files whose names belong
    together. Without ``labels``: pairs (image, labels), the folder of a project, of several, or of a series, a pattern
    of those, open annotators, ``LabelledImage``, and lists of all of these. Volumes and movies are taken as at most
    ``planes`` planes each.

    ``complete`` says whether all objects are labelled. By default they are in label files and arrays and in images of a
    series that are marked done; of projects and of images that are begun only the objects and a rim around each are
    known, and what is not known is not learned from.

    ``validation``: what to measure with; by default about ``share`` of the images, chosen by name and ``seed``.
    ``told`` hears the name of each image before it is read. Raises MicrosamError with the remedy.
    """
    if not 0 < share < 1:
        raise SettingsError(f"A share of {share} of the images cannot be measured with.", "Choose one such as 0.2.")
    if planes < 1:
        raise SettingsError(f"{planes} planes of a volume cannot be learned from.", "Choose planes=1 or more.")
    if validation is None and validation_labels is not None:
        raise SettingsError("There are validation labels without images.", "Give validation= as well.")
    examples, notes = read_examples(find_sources(images, labels, axes=axes, complete=complete), planes, told)
    if validation is None:
        training, measured, more = split(examples, share, seed)
    else:
        found = find_sources(validation, validation_labels, axes=axes, complete=complete)
        others, said = read_examples(found, planes, told)
        left, more = without(examples, others)
        notes += said
        training, measured = ([plane for one in some for plane in one.planes] for some in (left, others))
    notes += more + cautions(training, measured)
    return TrainingData(tuple(training), tuple(measured), tuple(dict.fromkeys(notes)))


@dataclass(frozen=True, slots=True)
class PartSummary:
    """One part of the data; ``diameter`` in pixels of the circle as large as the middle object, NaN without objects.

    ``planes`` counts images, planes of volumes and pieces of large images; ``groups``: where they come from.
    """

    images: int
    planes: int
    objects: int
    diameter: float
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DataSummary:
    """What a training learns from and is measured with, in numbers; its text is a table."""

    training: PartSummary
    validation: PartSummary
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{'':<12}{'images':>8}{'planes':>8}{'objects':>9}{'diameter':>10}  from"]
        for name, part in (("training", self.training), ("validation", self.validation)):
            numbers = f"{part.images:>8}{part.planes:>8}{part.objects:>9}{part.diameter:>7.0f} px"
            lines.append(f"{name:<12}{numbers}  {', '.join(part.groups)}".rstrip())
        return "\n".join([*lines, *self.notes])


def summary(data: TrainingData) -> DataSummary:
    """Return data in numbers."""
    return DataSummary(_counted(data.training), _counted(data.validation), data.notes)


def _counted(part: Sequence[LabelledImage]) -> PartSummary:
    sizes = np.concatenate([np.zeros(0, np.int64), *(areas(one.labels.astype(np.uint32))[1] for one in part)])
    diameter = float(np.sqrt(4 / np.pi * np.median(sizes))) if len(sizes) else float("nan")
    groups = tuple(dict.fromkeys(one.group for one in part if one.group))
    return PartSummary(len({image_name(one.name) for one in part}), len(part), len(sizes), diameter, groups)
