"""One image with its objects, yet to be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ...core import Image, LabelledImage
from .planes import Example, content_of, image_name

#: The image and its labels, uint32 (planes, y, x), and what is to be said of them.
Read = tuple[Image, NDArray[np.uint32], list[str]]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """``complete``: all objects are labelled; ``lenient``: where it cannot be read the others are taken without it."""

    name: str
    group: str
    read: Callable[[], Read]
    complete: bool
    lenient: bool = True


@dataclass(slots=True)
class Sources:
    """What is to be read, what is there already, and what is to be said of what was found."""

    found: list[Source] = field(default_factory=list)
    ready: list[Example] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Sources) -> None:
        self.found += other.found
        self.ready += other.ready
        self.notes += other.notes


def ready_made(images: list[LabelledImage]) -> Sources:
    """Return labelled images as they are; planes with the name of one image belong together."""
    together: dict[str, list[LabelledImage]] = {}
    for number, given in enumerate(images, start=1):
        one = given if given.name else replace(given, name=f"image {number}")
        together.setdefault(image_name(one.name), []).append(one)
    return Sources(ready=[Example(name, content_of(some), tuple(some)) for name, some in together.items()])
