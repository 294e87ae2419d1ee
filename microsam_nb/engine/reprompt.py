"""How a mask of one plane is put to the model in the next, and when an object ends; knows nothing of torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from ..core import Settings, option


class Reprompt(StrEnum):
    """What of a mask is put to the model in the next plane.

    CORRECTION: points, and the mask as an answer that is being corrected. The others are micro-sam's: BOX; MASK, with
    the box; POINTS on the object and beside it; POINTS_AND_MASK; SINGLE_POINT, the deepest of the mask.
    """

    CORRECTION = "correction"
    BOX = "box"
    MASK = "mask"
    POINTS = "points"
    POINTS_AND_MASK = "points_and_mask"
    SINGLE_POINT = "single_point"


@dataclass(frozen=True)
class ProjectSettings(Settings):
    """How an object is carried from plane to plane, and where it ends.

    The first three, and their defaults by model, are micro-sam's (Archit et al., Nature Methods 2025).
    """

    prompt: Reprompt = option(Reprompt.SINGLE_POINT, "What of the mask is put to the model in the next plane.")
    iou: float = option(
        0.5, "The object ends where its masks in neighbouring planes overlap less than this.", low=0.0, high=1.0
    )
    box_extension: float = option(
        0.05, "How far the box reaches beyond the mask, as a share of its sides.", low=0.0, high=1.0
    )
    score: float = option(
        0.0, "The object ends where the model expects less quality of its mask than this.", low=0.0, high=1.0
    )
    growth: float = option(
        0.0,
        "The object ends where its area becomes so many times larger or smaller from one plane to the next; 0: never.",
        low=0.0,
        high=100.0,
        unit="times",
    )
    contrast: float = option(
        0.0,
        "The object ends where it stands out from its surroundings less than this share of what it did where you "
        "prompted; 0: never.",
        low=0.0,
        high=1.0,
    )
    second_look: bool = option(
        False, "Ask once more, in another way, before the object ends where its masks do not overlap."
    )
    settled: float = option(
        0.9,
        "After a correction planes are computed again until they overlap this much with what was there.",
        low=0.0,
        high=1.0,
    )
    backward: bool = option(
        True, "Go on before the first known plane as well; movies are followed forward from there, else with this."
    )
    motion: bool = option(False, "Expect the object to go on moving as it did: for movies.")
    motion_smoothing: float = option(
        0.5, "How slowly the expected movement follows the observed one.", low=0.0, high=1.0
    )
    search: float = option(
        0.0,
        "How far around where it is expected a cell is looked for in the next frame; 0: it is not looked for.",
        low=0.0,
        high=10.0,
        unit="diameters",
    )


#: micro-sam's own, by what a model was trained for.
_LIGHT = ProjectSettings(Reprompt.BOX, 0.8, 0.025)
_ELECTRONS = ProjectSettings(Reprompt.SINGLE_POINT, 0.6, 0.025)
#: Chosen on the training volumes of nuclei: one known plane gives mean IoU .71 (.46 without ``contrast``).
NANO = ProjectSettings(Reprompt.POINTS_AND_MASK, 0.6, 0.05, contrast=0.3, growth=3.0, second_look=True)
#: Chosen on c2c12 and drawn movies: frames in which cells are followed rightly from their first one at 0.2, 0.5 and 0.8
#: diameters per frame .95, .77 and .53; with ``NANO`` and motion, without ``search``, .17, .01 and .01.
_NANO_MOVIE = replace(NANO, prompt=Reprompt.BOX, iou=0.4, growth=2.0)


def project_settings_for(name: str, architecture: str, *, motion: bool = False) -> ProjectSettings:
    """Return the settings that suit a model; an unknown one has those of segment-anything's.

    ``motion``: for movies, which are followed forward only.
    """
    if architecture == "nano":
        found = _NANO_MOVIE if motion else NANO
    elif "_lm" in name:
        found = replace(_LIGHT, box_extension=0.0025) if name.startswith("vit_h") else _LIGHT
    elif "_em" in name:
        found = _ELECTRONS
    else:
        found = ProjectSettings()
    return replace(found, motion=motion, backward=not motion, search=1.0 if motion else 0.0)
