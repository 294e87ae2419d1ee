"""What a training learns from, and what it is measured with."""

from __future__ import annotations

from dataclasses import dataclass

from ...core import LabelledImage, MicrosamError


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Planes to learn from and others to measure with, both with objects; ``notes``: what the user should know of them.

    Raises MicrosamError where there is no object to learn from, or none to measure with.
    """

    training: tuple[LabelledImage, ...]
    validation: tuple[LabelledImage, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, part in (("training", self.training), ("validation", self.validation)):
            if not any(one.labels.any() for one in part):
                raise MicrosamError(
                    f"There is no labelled object among the {len(part)} images for {name}."
                    if len(part) != 1
                    else f"There is no labelled object in the one image for {name}.",
                    "Label a few objects in two images at least, or give labels above 0.",
                )
