"""Which prompts belong to one object."""

from __future__ import annotations

import math

from ..core import BoxPrompt, Ellipse, MaskPrompt, Point, Polygon, Prompt, Scribble

Group = tuple[Prompt, ...]


def group(prompts: tuple[Prompt, ...], *, batched: bool) -> tuple[Group, ...]:
    """Return the prompts of each object.

    Several boxes, or several masks, are several objects; every other prompt belongs to the nearest of them. Else all
    prompts mean one object. ``batched``: each positive point and scribble, box and region is an object of its own,
    and negative prompts belong to all; without a positive one they are one object.
    """
    if not prompts:
        return ()
    if batched:
        negative = tuple(p for p in prompts if not _positive(p))
        return tuple((one, *negative) for one in prompts if _positive(one)) or (prompts,)
    if max(sum(isinstance(p, kind) for p in prompts) for kind in (BoxPrompt, MaskPrompt)) < 2:
        return (prompts,)
    leaders = [p for p in prompts if isinstance(p, BoxPrompt | MaskPrompt)]
    places = [_around(p) for p in leaders]
    owners: dict[int, list[Prompt]] = {i: [one] for i, one in enumerate(leaders)}
    for one in prompts:
        if not isinstance(one, BoxPrompt | MaskPrompt):
            owners[_nearest(one, places)].append(one)
    return tuple(tuple(members) for members in owners.values())


def _around(prompt: BoxPrompt | MaskPrompt) -> BoxPrompt:
    if isinstance(prompt, BoxPrompt):
        return prompt
    (plane, y0, x0), (_, y1, x1) = prompt.mask.box.start, prompt.mask.box.stop
    return BoxPrompt(plane, y0, x0, y1, x1)


def place_of(prompt: Prompt) -> tuple[float, float]:
    """Return where a prompt lies (y, x): its first position, or its middle. NaN for one without a place."""
    if isinstance(prompt, Point):
        return prompt.y, prompt.x
    if isinstance(prompt, BoxPrompt | Ellipse):
        return prompt.middle
    if isinstance(prompt, Polygon | Scribble):
        return prompt.points[0]
    if isinstance(prompt, MaskPrompt):
        (_, y0, x0), (_, y1, x1) = prompt.mask.box.start, prompt.mask.box.stop
        return (y0 + y1) / 2, (x0 + x1) / 2
    return math.nan, math.nan


def _positive(prompt: Prompt) -> bool:
    return prompt.positive if isinstance(prompt, Point | Scribble) else True


def _nearest(prompt: Prompt, boxes: list[BoxPrompt]) -> int:
    """Return the number of the box that holds the prompt, the smallest of several, else the nearest one."""
    y, x = place_of(prompt)

    def rank(box: BoxPrompt) -> tuple[float, float]:
        outside = math.hypot(max(box.y0 - y, 0, y - box.y1), max(box.x0 - x, 0, x - box.x1))
        return outside, (box.y1 - box.y0) * (box.x1 - box.x0)

    return min(range(len(boxes)), key=lambda i: rank(boxes[i]))
