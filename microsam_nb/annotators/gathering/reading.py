"""All images with their objects read, one after the other; what cannot be read is told and left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ...core import ImageError, MicrosamError
from ...engine.training.crops import SMALLEST
from ...session.wording import counted
from .notes import listing
from .planes import Example, make_example
from .source import Source, Sources


def read_examples(
    sources: Sources, planes: int, told: Callable[[str], object] = lambda _: None
) -> tuple[list[Example], list[str]]:
    """Return what was found as planes, at most ``planes`` of a volume, and what is to be said of it.

    ``told`` hears the name of each image before it is read. Raises MicrosamError where no object is left.
    """
    examples, notes = list(sources.ready), list(sources.notes)
    failed: list[MicrosamError] = []
    for source in _named(sources.found, {one.name for one in examples}):
        told(source.name)
        try:
            image, labels, said = source.read()
            own = image if image.name == source.name else replace(image, name=source.name)
            made, more = make_example(own, labels, source.group, complete=source.complete, most=planes)
        except MicrosamError as error:
            if not source.lenient:
                raise
            failed.append(error)
            notes.append(f"{source.name} is left out: {error}")
            continue
        examples.append(made)
        notes += said + more
    kept = [one for one in examples if one.planes]
    if failed and not kept:
        raise failed[0]
    if not any(one.usable for one in kept):
        raise ImageError(
            f"There is no labelled object of {SMALLEST} pixels or more in {counted(len(examples), 'image')}.",
            "Label a few objects in two images at least; labels are above 0 where there is an object.",
        )
    bare = [one.name for one in examples if not one.planes]
    if bare:
        notes.append(f"Left out, as no object in them is labelled: {listing(bare)}.")
    distinct = list({one.content: one for one in reversed(kept)}.values())[::-1]
    same = [one.name for one in kept if one not in distinct]
    if same:
        notes.append(f"Left out, as others have the same pixels: {listing(same)}.")
    return distinct, notes


def _named(sources: Sequence[Source], taken: set[str]) -> Iterator[Source]:
    """Yield the sources, numbered where another one has the name already."""
    for one in sources:
        name, number = one.name, 1
        while name in taken:
            number += 1
            name = f"{one.name} ({number})"
        taken.add(name)
        yield one if name == one.name else replace(one, name=name)
