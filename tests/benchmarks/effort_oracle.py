"""A simulated annotator that knows the truth; numpy and scipy only, so that both contestants can run it.

It clicks like a user. First at the deepest point of the object, in its largest plane. Then, as long as the object is
not good enough, in the plane where most pixels are wrong: at the deepest point of the largest region that is missing
(positive) or too much (negative). Where the object goes on beyond its end, it says stop. Every click and every stop
is a prompt; whoever is asked carries the object through the volume again after each.

A cell of a movie is clicked in its first frame. It is good enough when it is right in every frame: more than half of it
is found and IoU is above one half, and beyond its end there is nothing. As long as it is not, the first frame that is
wrong is corrected.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy import ndimage

#: An object is good enough from this IoU on; after ``MOST`` prompts nobody goes on.
ENOUGH, MOST = 0.8, 15


@dataclass
class Prompts:
    """What was said about one object: clicks (y, x, positive) by plane, and planes that it does not reach."""

    clicks: dict[int, list[tuple[float, float, bool]]] = field(default_factory=dict)
    stops: set[int] = field(default_factory=set)
    newest: int = -1

    @property
    def count(self) -> int:
        return sum(len(one) for one in self.clicks.values()) + len(self.stops)


class Tool(Protocol):
    def begin(self) -> None:
        """A new object."""

    def segment(self, prompts: Prompts) -> np.ndarray:
        """Return the object, bool (planes, h, w)."""


@dataclass
class Effort:
    """What one object took; ``busy``: processor seconds; ``planes`` of all answers together."""

    prompts: int
    iou: float
    seconds: float
    busy: float
    planes: int


def annotate(tool: Tool, truth: np.ndarray, *, movie: bool = False) -> Effort:
    """Prompt until the object (planes, h, w) is good enough, or ``MOST`` prompts are given."""
    prompts, seconds, busy, planes = Prompts(), 0.0, 0.0, 0
    first = int(truth.any((1, 2)).argmax() if movie else truth.sum((1, 2)).argmax())
    click(prompts, first, truth[first], positive=True)
    tool.begin()
    while True:
        start, spent = time.perf_counter(), time.process_time()
        found = tool.segment(prompts)
        seconds += time.perf_counter() - start
        busy += time.process_time() - spent
        planes += int(found.any((1, 2)).sum())
        iou = float((found & truth).sum() / (found | truth).sum())
        if movie:
            wrong = wrong_frames(found, truth)
            # The share of right frames, in the place of the IoU.
            iou = 1.0 - len(wrong) / int((found | truth).any((1, 2)).sum())
            if not wrong or prompts.count >= MOST:
                return Effort(prompts.count, iou, seconds, busy, planes)
            correct_at(wrong[0], prompts, found, truth)
            continue
        if iou >= ENOUGH or prompts.count >= MOST:
            return Effort(prompts.count, iou, seconds, busy, planes)
        correct(prompts, found, truth)


def correct(prompts: Prompts, found: np.ndarray, truth: np.ndarray) -> None:
    """Add the prompt that a user would give next."""
    there = np.flatnonzero(truth.any((1, 2)))
    wrong = (found ^ truth).sum((1, 2))
    # Beyond the ends nothing but a stop helps, and one stop takes all of it away.
    for end, outside in ((int(there[0]) - 1, slice(0, there[0])), (int(there[-1]) + 1, slice(there[-1] + 1, None))):
        beyond = int(wrong[outside].sum())
        if beyond > wrong[there].max() and end not in prompts.stops:
            prompts.stops.add(end)
            prompts.newest = end
            return
    correct_at(int(there[wrong[there].argmax()]), prompts, found, truth)


def wrong_frames(found: np.ndarray, truth: np.ndarray) -> list[int]:
    """Return the frames in which a cell is not what it should be."""
    both, either = (found & truth).sum((1, 2)), (found | truth).sum((1, 2))
    right = (2 * both > truth.sum((1, 2))) & (2 * both > either)
    return np.flatnonzero(~right & (either > 0)).tolist()


def correct_at(plane: int, prompts: Prompts, found: np.ndarray, truth: np.ndarray) -> None:
    """Click in a plane, or say that the object ends before it."""
    if not truth[plane].any():
        prompts.stops.add(plane)
        prompts.newest = plane
        return
    missing, extra = truth[plane] & ~found[plane], found[plane] & ~truth[plane]
    if plane not in prompts.clicks:
        # What is only taken away from is, to micro-sam, where an object stops.
        click(prompts, plane, truth[plane] if not missing.any() else missing, positive=True)
        return
    lack, surplus = largest(missing), largest(extra)
    positive = bool(lack.sum() >= surplus.sum())
    click(prompts, plane, lack if positive else surplus, positive=positive)


def click(prompts: Prompts, plane: int, region: np.ndarray, *, positive: bool) -> None:
    depth = ndimage.distance_transform_edt(np.pad(largest(region), 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    prompts.clicks.setdefault(plane, []).append((float(y) + 0.5, float(x) + 0.5, positive))
    prompts.newest = plane


def largest(region: np.ndarray) -> np.ndarray:
    """Return the largest connected part."""
    parts, count = ndimage.label(region, np.ones((3, 3)))
    if count < 2:
        return region
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts == sizes.argmax()


def chosen(labels: np.ndarray, count: int, seed: int = 0) -> list[int]:
    """Return the numbers of some objects of at least two planes (where there are several) and 30 voxels."""
    found = []
    for number, place in enumerate(ndimage.find_objects(labels.astype(np.int32)), start=1):
        if place is None:
            continue
        own = labels[place] == number
        if own.sum() >= 30 and (len(labels) == 1 or own.any((1, 2)).sum() >= 2):
            found.append(number)
    order = np.random.default_rng(seed).permutation(len(found))[:count]
    return sorted(found[i] for i in order)
