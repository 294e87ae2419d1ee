"""How objects are linked to tracks; knows neither torch nor the linkers, so that forms need not wait for them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ...core import Settings, option


class Linker(StrEnum):
    """Linear assignment, or the network of trackastra, which is no dependency and needs the images."""

    LAP = "lap"
    TRACKASTRA = "trackastra"


@dataclass(frozen=True)
class LinkSettings(Settings):
    """Which objects of different frames are the same cell; distances are multiples of the typical diameter."""

    linker: Linker = option(
        Linker.LAP, "Linear assignment, or trackastra's network where it is installed; that has no distances and gaps."
    )
    distance: float = option(
        1.3, "How far a cell moves at most from frame to frame.", low=0.05, high=50.0, unit="diameters"
    )
    distance_px: float = option(
        0.0, "The same in pixels; 0: as a multiple of the typical diameter.", low=0.0, high=10_000.0, unit="px"
    )
    overlap: float = option(
        0.7,
        "How much the overlap of two objects counts for being the same cell; the rest is their distance.",
        low=0.0,
        high=1.0,
    )
    gap: int = option(
        1, "Over so many frames in which it is missing a cell is followed.", low=0, high=20, unit="frames"
    )
    division: bool = option(True, "Cells divide.")
    division_distance: float = option(
        2.0, "How far daughters lie at most from where their mother was.", low=0.05, high=50.0, unit="diameters"
    )
    division_cost: float = option(
        1.0, "Higher values find fewer divisions: only those with daughters near to their mother.", low=0.0, high=100.0
    )
    min_length: int = option(
        1, "Tracks of fewer frames, without mother or daughters, are left out.", low=1, high=1000, unit="frames"
    )
