"""When a page shows all that the kernel has told it."""

from __future__ import annotations

from itertools import count
from typing import Any

#: A class of the outermost element says what the page has heard of.
MARK = """{name}.wait()
others = [one for one in {name}.widget._dom_classes if not one.startswith("seen-")]
{name}.widget._dom_classes = (*others, "{mark}")
True"""
_NUMBERS = count()


def until_told(book: Any, name: str, page: Any) -> None:
    """Wait until the kernel has nothing left to do for an annotator, and a page has what it was told.

    Messages come in their order: a page that has the mark has all that was sent before.
    """
    mark = f"seen-{next(_NUMBERS)}"
    book.kernel(MARK.format(name=name, mark=mark))
    page.locator(f".{mark}").first.wait_for(state="attached")
    page.evaluate("() => new Promise((f) => requestAnimationFrame(() => requestAnimationFrame(f)))")
    # Pictures are unpacked after they have arrived.
    page.wait_for_timeout(50)
