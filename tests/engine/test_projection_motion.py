"""What movement is expected of a cell that is carried through a movie."""

from __future__ import annotations

from dataclasses import replace

import pytest
from carrying import FREE, disk

#: Middles along x of a cell that speeds up, slows down and turns round; along y it stays.
XS = (6, 10, 20, 24, 40, 30, 32)


def expected(carried, smoothing):
    """The middle along x of the mask that the model is asked with, by frame."""
    places = {}

    def rule(frame, mask):
        (_, y0, x0), (_, y1, x1) = mask.box.start, mask.box.stop
        assert (y0 + y1 - 1) / 2 == 32
        places[frame] = (x0 + x1 - 1) / 2
        return disk(frame, 32, XS[min(frame, len(XS) - 1)], 5)

    carried(rule, {0: disk(0, 32, XS[0], 5)}, replace(FREE, motion=True, search=0.0, motion_smoothing=smoothing))
    return [places[frame] for frame in range(1, len(XS))]


@pytest.mark.parametrize(
    ("smoothing", "places"),
    [
        # Steps that are seen: 4, 10, 4, 16, -10. In frame 1 no step is known, the first that is seen is taken as it is.
        # The last step alone: 4, 10, 4, 16, -10.
        (0.0, [6, 14, 30, 28, 56, 20]),
        # Half of what was expected, half of what is seen: 4, 7, 5.5, 10.75, 0.375; whole pixels: 4, 7, 6, 11, 0.
        (0.5, [6, 14, 27, 30, 51, 30]),
        # Three quarters: 4, 5.5, 5.125, 7.84375, 3.3828125; whole pixels, halves to the even one: 4, 6, 5, 8, 3.
        (0.75, [6, 14, 26, 29, 48, 33]),
        # What was seen first is never forgotten.
        (1.0, [6, 14, 24, 28, 44, 34]),
    ],
)
def test_a_movement_goes_on_smoothed_over_the_frames(carried, smoothing, places):
    assert expected(carried, smoothing) == places
