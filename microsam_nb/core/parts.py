"""Tracks without gaps, as the Cell Tracking Challenge wants them."""

from __future__ import annotations

from itertools import pairwise

from .tracks import Tracks

#: Track, first frame, last frame, mother or 0.
Line = tuple[int, int, int, int]


def unbroken(tracks: Tracks) -> tuple[list[Line], list[dict[int, int]]]:
    """Return one line for every part of a track without gaps, and for every frame the number there of every track.

    The first part keeps the number of its track; parts after a gap get numbers above all others, and the part before
    as their mother. A mother of others is her last part.
    """
    mothers = tracks.lineage.parents
    free = max(tracks.present, default=0) + 1
    names: list[dict[int, int]] = [{} for _ in tracks.labels]
    lines: list[Line] = []
    last: dict[int, int] = {}
    # Mothers come before their daughters, whose mother is her last part.
    for track, frames in sorted(tracks.present.items(), key=lambda one: one[1][0]):
        number, mother = track, last.get(mothers.get(track, 0), 0)
        cuts = [0, *(i for i in range(1, len(frames)) if frames[i] > frames[i - 1] + 1), len(frames)]
        for start, stop in pairwise(cuts):
            if start:
                number, mother, free = free, number, free + 1
            lines.append((number, frames[start], frames[stop - 1], mother))
            for frame in frames[start:stop]:
                names[frame][track] = number
        last[track] = number
    return sorted(lines), names
