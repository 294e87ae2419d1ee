"""Drawn tracks for the tests of their files."""

import numpy as np

from microsam_nb.core import Lineage, Tracks


def family() -> Tracks:
    """Five frames (12, 14): 1 divides into 2 and 4, 7 is missing in frame 2, 9 is one pixel in one frame."""
    labels = np.zeros((5, 12, 14), np.uint32)
    for frame in range(2):
        labels[frame, 1:4, 1 + frame : 6 + frame] = 1
    labels[2:, 0:3, 1:3] = 2
    labels[2:, 1:4, 5:8] = 4
    for frame in (0, 1, 3, 4):
        labels[frame, 6:11, 3 + frame : 8 + frame] = 7
    labels[4, 11, 0] = 9
    return Tracks(labels, Lineage({1: (2, 4)}))


def tracks_of(seed: int) -> Tracks:
    """Squares that never touch, one lane per track, with gaps, divisions and numbers at random; perhaps none."""
    chance = np.random.default_rng(seed)
    count, frames = int(chance.integers(0, 8)), int(chance.integers(1, 7))
    labels = np.zeros((frames, 5 * count + 3, 20), np.uint32)
    numbers = (chance.permutation(count + 4) + 1)[:count].tolist()
    for lane, number in enumerate(numbers):
        first = int(chance.integers(0, frames))
        for frame in range(first, int(chance.integers(first, frames)) + 1):
            if frame == first or chance.random() < 0.7:
                y, x = 5 * lane + int(chance.integers(0, 3)), int(chance.integers(0, 15))
                labels[frame, y : y + 1 + int(chance.integers(0, 3)), x : x + 1 + int(chance.integers(0, 4))] = number
    spans, daughters = Tracks(labels).spans, {number: [] for number in numbers}
    free = list(numbers)
    for mother in numbers:
        some = [d for d in free if d != mother and spans[d][0] > spans[mother][1]][:3]
        if len(some) > 1 and chance.random() < 0.6:
            daughters[mother] = some
            free = [d for d in free if d not in some]
    return Tracks(labels, Lineage({track: tuple(some) for track, some in daughters.items()}))
