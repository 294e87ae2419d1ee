"""How what is said about volumes is said about movies."""

from __future__ import annotations

#: In this order; what stands for several words comes before the words.
_MOVIE = (
    ("Segment the object through", "Follow the object through"),
    ("Segment object", "Follow"),
    ("Find all objects of the image", "Find all objects of this frame"),
    ("neighbouring planes", "neighbouring frames, and trails"),
    ("Save the labels as TIFF", "Save the tracks"),
    ("plane", "frame"),
    ("Plane", "Frame"),
)


def worded(text: str, *, movie: bool) -> str:
    """Return a text of a button or of the help as it reads in a movie, where that is asked for."""
    if movie:
        for old, new in _MOVIE:
            text = text.replace(old, new)
    return text
