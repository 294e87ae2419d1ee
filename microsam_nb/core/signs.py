"""What makes an object suspicious: how much it differs from the others of the same labels, and how that is said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .brightness import Floats
from .traits import Traits

#: Deviations beyond this count as this.
_FAR = 6.0
#: Holes and parts count less the more objects have some, and nothing where so many have.
_USUAL = 0.2


@dataclass(frozen=True, slots=True)
class Sign:
    """What makes an object suspicious: a trait larger (``way`` 1) or smaller (-1) than usual, and how that is said.

    Deviations are counted in typical ones of the other objects, at least ``floor``.
    """

    trait: str
    way: int
    floor: float
    words: str


#: Sizes are compared as ratios, ``times`` the median. ``other``, ``beside``: neighbours; ``value``: the score.
SIGNS = {
    "large": Sign("area", 1, 0.15, "{times:.1f} times as large as usual"),
    "small": Sign("area", -1, 0.15, "{part:.1f} times smaller than usual"),
    "dents": Sign("solid", -1, 0.015, "dents in the outline"),
    "rough": Sign("rough", 1, 0.03, "a ragged outline"),
    "bent": Sign("oval", -1, 0.015, "an unusual shape"),
    "round": Sign("long", -1, 0.1, "rounder than usual"),
    "side": Sign("side", 1, 0.1, "a long straight side or a bay"),
    "contact": Sign("contact", 1, 0.15, "a long border with object {other}"),
    "around": Sign("around", 1, 0.1, "others all around"),
    "pale": Sign("contrast", -1, 0.15, "little contrast to its surroundings"),
    "faint": Sign("weak_edge", -1, 0.2, "a part of the outline is faint"),
    "inner": Sign("inner_edge", 1, 0.15, "an edge inside"),
    "dark": Sign("dark_inside", 1, 0.04, "a part looks like the background"),
    "beyond": Sign("bright_outside", 1, 0.08, "what lies around looks like it"),
    "open": Sign("open", 1, 0.05, "a part of the outline has no edge"),
    "seam": Sign("seam", -1, 0.15, "no edge between it and object {beside}"),
    "wall": Sign("wall", 1, 0.05, "a border inside"),
    "hole": Sign("holes", 1, 0.01, "a hole"),
    "crumbs": Sign("crumbs", 1, 0.01, "several parts"),
    # By themselves, whatever is usual.
    "touching": Sign("touching", 0, 1.0, "a long border with object {other}"),
    "fitting": Sign("fitting", 0, 1.0, "it fits together with object {other}"),
    "dented": Sign("dented", 0, 1.0, "dents in the outline"),
    "unsure": Sign("unsure", 0, 1.0, "a predicted score of {value:.2f}"),
}


def strengths(found: Traits, scores: Floats) -> dict[str, Floats]:
    """Return how strong each sign is at each object, 0 where it is not; those of an image only where there is one."""
    out = {}
    for name, sign in SIGNS.items():
        if sign.way and sign.trait in found.values:
            values = found.values[sign.trait]
            values = np.log(values) if sign.trait == "area" else values
            out[name] = np.clip(sign.way * _deviation(values, sign.floor), 0, _FAR)
    for name in ("hole", "crumbs"):
        # Neurites cut by a plane are of several parts: what many have is usual.
        out[name] = out[name] * max(0.0, 1 - float(np.mean(out[name] > 1)) / _USUAL)
    # The border of the image cuts objects off.
    out["small"] = np.where(found.values["border"] > 0, 0, out["small"])
    contact = np.minimum(found.values["contact"], 2)
    out["touching"] = contact
    out["fitting"] = 3 * contact * np.clip(np.nan_to_num(found.values["joined"]) + 0.1, 0, 0.3)
    out["dented"] = 5 * np.clip(1 - found.values["solid"], 0, 0.5)
    out["unsure"] = np.clip(0.9 - np.nan_to_num(scores, nan=1.0), 0, 0.9)
    return out


def _deviation(values: Floats, floor: float) -> Floats:
    """Return how far values are from their median, in their typical deviations; 0 for nan."""
    there = np.isfinite(values)
    if not there.any():
        return np.zeros(len(values))
    middle = np.median(values[there])
    typical = 1.4826 * np.median(np.abs(values[there] - middle))
    return np.where(there, (values - middle) / np.hypot(typical, floor), 0.0)
