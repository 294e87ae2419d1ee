"""How a series looks: small pictures, letters and times."""

from __future__ import annotations

import io
from collections.abc import Iterable

from PIL import Image as Picture

from ..core import Image
from ..session.records import Status

#: Width and height of a small picture, in pixels.
SIZE = (144, 108)

_LETTERS = {
    Status.UNTOUCHED: "u", Status.STARTED: "b", Status.DONE: "d", Status.SKIPPED: "s", Status.LOCKED: "l",
    Status.MISSING: "m", Status.UNREADABLE: "x",
}  # fmt: skip


def letters(statuses: Iterable[Status]) -> str:
    """Return one letter per status."""
    return "".join(_LETTERS[one] for one in statuses)


def clock(seconds: float) -> str:
    """Return a time such as 1:04 or 2:10:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def small_picture(image: Image) -> bytes:
    """Return the middle plane of an image as a small JPEG, with the contrast of the screen. Raises ImageError."""
    planes, height, width = image.shape
    step = max(1, min(height // SIZE[1], width // SIZE[0]))
    picture = Picture.fromarray(image.overview(planes // 2, step)).convert("RGB")
    picture.thumbnail(SIZE)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return file.getvalue()
