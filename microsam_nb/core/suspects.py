"""Which objects are probably wrong, and why: the queue of proofreading.

Objects are compared with the others of the same labels. Four kinds of errors are looked for: several objects taken for
one, one taken for several, a part that is missing, and a ragged outline. The weights were chosen with errors planted
into the true labels of many kinds of images (tests/benchmarks/suspects.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .brightness import Floats
from .errors import LabelError
from .labels import as_labels
from .objects import ObjectInfo
from .signs import SIGNS, strengths
from .traits import traits


@dataclass(frozen=True, slots=True)
class Suspect:
    """An object to look at: how likely it is wrong, in [0, 1], why, the worst reason first, and where to look."""

    label: int
    suspicion: float
    reasons: tuple[str, ...]
    plane: int = 0


_WORDS = {
    "merged": "may be several objects",
    "split": "may be a part of an object",
    "missing": "a part may be missing",
    "ragged": "may have a wrong outline",
}
#: Of each kind of error the logit of an object without any sign, and what signs add to it.
Weights = Mapping[str, tuple[float, Mapping[str, float]]]
_SHAPE: Weights = {
    "merged": (-5.54, {"large": 1.19, "rough": 0.48, "bent": 0.24, "round": 0.29}),
    "split": (
        -7.91,
        {
            "small": 0.54, "touching": 2.04, "fitting": 0.96, "contact": 0.39, "around": 0.29, "side": 0.19,
            "round": 0.71,
        },
    ),
    "missing": (-4.62, {"small": 0.26, "dents": 0.22, "dented": 0.2, "bent": 0.28}),
    "ragged": (-5.11, {"rough": 0.69, "dents": 0.4}),
}  # fmt: skip
#: The same for labels with their image.
_BRIGHT: Weights = {
    "merged": (
        -5.64,
        {"large": 1.21, "rough": 0.46, "bent": 0.22, "round": 0.31, "inner": 0.18, "wall": 0.13},
    ),
    "split": (
        -8.4,
        {
            "small": 0.54, "touching": 1.96, "fitting": 0.84, "contact": 0.36, "around": 0.32, "side": 0.22,
            "round": 0.62, "seam": 0.73, "open": 0.18,
        },
    ),
    "missing": (
        -5.76,
        {"small": 0.13, "dented": 0.57, "bent": 0.28, "pale": 0.66, "beyond": 0.24, "open": 0.5},
    ),
    "ragged": (
        -5.8,
        {"rough": 0.73, "dents": 0.21, "pale": 0.62, "faint": 0.19, "inner": 0.25, "dark": 0.32, "open": 0.16},
    ),
}  # fmt: skip
#: Not from planted errors, which have neither: a hole of a twentieth of the object, or a score of 0.5, is suspicious.
_PLAIN: Weights = {"hole": (-4.0, {"hole": 1.0, "crumbs": 1.0}), "score": (-4.0, {"unsure": 10.0})}
#: Signs that add less are not named, nor more than so many of them; nor kinds of errors that are less likely.
_NAMED, _MANY, _LIKELY = 0.5, 3, 0.2


def suspects(
    labels: NDArray[np.generic],
    infos: Mapping[int, ObjectInfo],
    image: NDArray[np.generic] | None = None,
    *,
    movie: bool = False,
) -> list[Suspect]:
    """Return all objects of labels (h, w) or (planes, h, w), the most suspicious first.

    ``image``: intensities of the same shape, without which only size, shape and contacts count. Of a movie each frame
    is judged by itself, and of a track the worst one is returned. Raises LabelError for labels or images that do not
    fit.
    """
    volume = as_labels(labels)
    if image is not None and image.shape != np.shape(labels):
        raise LabelError(
            f"The labels have shape {np.shape(labels)}, the image {image.shape}.",
            "Give one channel of the image that the labels belong to.",
        )
    if not volume.any():
        return []
    found = traits(volume, None if image is None else image.reshape(volume.shape), apart=movie)
    scores = np.array([np.nan if (info := infos.get(int(n))) is None or info.score is None else info.score
                       for n in found.numbers])  # fmt: skip
    signs = strengths(found, scores)
    weights = _SHAPE if image is None else _BRIGHT
    chances = {kind: _chance(signs, *one) for kind, one in {**weights, **_PLAIN}.items()}
    suspicion = 1 - np.prod([1 - one for one in chances.values()], axis=0)
    ratio = found.values["area"] / np.median(found.values["area"])
    best: dict[int, Suspect] = {}
    for i in np.argsort(-suspicion, kind="stable"):
        label = int(found.numbers[i])
        if label not in best:
            about = {
                "times": ratio[i],
                "part": 1 / ratio[i],
                "other": found.partner[i],
                "beside": found.other[i],
                "value": scores[i],
            }
            reasons = _reasons(i, about, signs, weights, chances)
            best[label] = Suspect(label, float(suspicion[i]), reasons, int(found.plane[i]))
    return list(best.values())


def _chance(signs: Mapping[str, Floats], level: float, weights: Mapping[str, float]) -> Floats:
    total = level + sum(weight * signs[name] for name, weight in weights.items())
    out: Floats = 1 / (1 + np.exp(-total))
    return out


def _reasons(
    place: int,
    about: Mapping[str, float],
    signs: Mapping[str, Floats],
    weights: Weights,
    chances: Mapping[str, Floats],
) -> tuple[str, ...]:
    """Return what to say about one object: the likeliest kind of error, and the signs that count most."""
    likely = max(weights, key=lambda kind: chances[kind][place])
    out = [_WORDS[likely]] if chances[likely][place] >= _LIKELY else []
    added: dict[str, float] = {}
    for _, some in (*weights.values(), *_PLAIN.values()):
        for name, weight in some.items():
            added[name] = max(added.get(name, 0.0), weight * float(signs[name][place]))
    strong = sorted((name for name in added if added[name] >= _NAMED), key=lambda name: -added[name])
    said = dict.fromkeys(SIGNS[name].words.format(**about) for name in strong)
    return (*out, *list(said)[:_MANY])
