"""How what is said about images and volumes is said about movies: planes are frames, and objects cells or tracks."""

from __future__ import annotations

import re
from collections.abc import Collection

#: Of a movie; in this order, as what stands for several words comes before the words.
_PHRASES = (
    ("Segment the object through", "Follow the cell through"),
    ("Segment object", "Follow"),
    ("Find all objects of the image", "Find all cells of this frame"),
    ("neighbouring planes", "neighbouring frames, and trails"),
    ("Save the labels as TIFF", "Save the tracks"),
)
#: Not within paths and names of files.
_WORDS = tuple(
    (re.compile(rf"(?<![/\\\w-]){old}(?![/\\\w-]|\.\w)"), new)
    for old, new in (
        # What has a number is a track; else what is seen in a frame is meant.
        (r"Object(s?)(?= \d)", r"Track\1"),
        (r"object(s?)(?= \d)", r"track\1"),
        (r"An object", "A cell"),
        (r"an object", "a cell"),
        (r"Object(s?)", r"Cell\1"),
        (r"object(s?)", r"cell\1"),
        (r"Plane(s?)", r"Frame\1"),
        (r"plane(s?)", r"frame\1"),
    )
)


def worded(text: str, *, movie: bool) -> str:
    """Return a sentence, a text of a button or of the help as it reads in a movie, where that is asked for."""
    if movie:
        for old, new in _PHRASES:
            text = text.replace(old, new)
        for pattern, word in _WORDS:
            text = pattern.sub(word, text)
    return text


def noun(*, movie: bool) -> str:
    """Return what a committed object is called."""
    return worded("Object 1", movie=movie).split()[0]


def word(*, movie: bool) -> str:
    """Return what a plane is called."""
    return worded("plane", movie=movie)


def counted(count: int, thing: str) -> str:
    """Return how many of a thing there are: "1 object", "2 objects"."""
    return f"{count} {thing if count == 1 else plural(thing)}"


def plural(thing: str) -> str:
    """Return the name of several of a thing: "objects", "classes", "boxes"."""
    return f"{thing}es" if thing.endswith(("s", "x", "ch")) else f"{thing}s"


def be(count: int) -> str:
    """Return what so many things do: "is" or "are"."""
    return "is" if count == 1 else "are"


def listed(numbers: Collection[int], thing: str, most: int = 6) -> str:
    """Return things by their numbers, only the first ones of many: "object 3", "objects 3, 4 and 7 more"."""
    names, more = ", ".join(str(one) for one in tuple(numbers)[:most]), len(numbers) - most
    return f"{thing if len(numbers) == 1 else plural(thing)} {names}{f' and {more} more' if more > 0 else ''}"
