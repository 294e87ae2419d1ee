"""What is said of many images at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...core import LabelledImage
from ...core.tracks import areas
from ...engine.training.crops import SMALLEST
from ...session.wording import be, counted

#: So many objects, to learn from or to measure with, are few.
_FEW = 10


def listing(names: Sequence[str], most: int = 5) -> str:
    """Return names in a row, only the first ones of many: "a, b and 7 more"."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def cautions(training: Sequence[LabelledImage], validation: Sequence[LabelledImage]) -> list[str]:
    """Return what somebody should know who trains with these images."""
    out = []
    for part, use in ((training, "learn from"), (validation, "measure with")):
        count = sum(len(_areas(one)) for one in part)
        if count < _FEW:
            out.append(f"There {be(count)} only {counted(count, 'object')} to {use}; more of them help.")
    every = [*training, *validation]
    tiny = sum(int((_areas(one) < SMALLEST).sum()) for one in every)
    if tiny:
        out.append(f"{counted(tiny, 'object')} of less than {SMALLEST} pixels {be(tiny)} not prompted.")
    partly = sum(one.known is not None for one in every)
    if partly:
        out.append(
            f"{partly} of {len(every)} images or planes {be(partly)} taken as labelled in part: only objects "
            "and what is close to them count. Say complete=True where all objects are labelled."
        )
    bare = sum(one.known is None and not one.labels.any() for one in every)
    if bare:
        out.append(f"{counted(bare, 'image')} {be(bare)} taken to hold no object at all.")
    return out


def _areas(one: LabelledImage) -> NDArray[np.int64]:
    return areas(one.labels.astype(np.uint32))[1]
