import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsam_nb.core import Box
from microsam_nb.session import View
from microsam_nb.view import Raster, Viewport
from microsam_nb.view.raster import BUDGET, WHOLE, overview, plan, whole

LARGE = (20_000, 20_000)


def test_a_small_plane_is_kept_whole_whatever_the_view():
    shape = (WHOLE, 300)
    held = None
    for view in (None, View(5, 5, 50.0), View(0, 0, 0.01)):
        held = plan(Viewport.of(900, 600, shape, view), held)
        assert held == Raster(1, 0, 0, WHOLE, 300)


@pytest.mark.parametrize(("shape", "step"), [((2048, 5), 1), ((2049, 5), 2), (LARGE, 16), ((100_000, 3), 64)])
def test_an_overview_is_a_power_of_two_smaller(shape, step):
    full = overview(shape)
    assert full.step == step
    assert max(full.height, full.width) <= WHOLE
    assert full.height * step >= shape[0]


@given(
    st.floats(-1e4, 3e4),
    st.floats(-1e4, 3e4),
    st.floats(0.01, 60),
    st.sampled_from([1.0, 2.0**-9]),
    st.sampled_from([LARGE, (700, 900), (30_000, 40)]),
)
def test_what_is_visible_is_there_in_the_right_resolution(y, x, zoom, least, shape):
    view = Viewport.of(900, 640, shape, View(y, x, zoom))
    raster = plan(view, None, least=least)
    assert raster.covers(view)
    assert raster.area <= 1.1 * max(BUDGET, WHOLE**2)
    if (raster.step, least) != (1, 1):
        assert 0.5 < view.zoom * raster.step <= 1 or raster.step == least
    assert plan(view, raster, least=least) == raster, "asked again, nothing changes"


def test_a_little_further_is_still_there():
    view = Viewport.of(900, 640, LARGE, View(5000, 5000, 4.0))
    held = plan(view, None)
    for dy, dx, zoom in ((40, 60, 4.0), (-40, -60, 4.0), (20, 20, 4.4)):
        assert plan(Viewport.of(900, 640, LARGE, View(5000 + dy, 5000 + dx, zoom)), held) == held
    far = plan(Viewport.of(900, 640, LARGE, View(5000, 5500, 4.0)), held)
    assert far != held
    assert far.step == held.step


def rectangles():
    side = st.integers(0, 12)
    return st.builds(lambda top, left, h, w: Raster(1, top, left, h + 1, w + 1), side, side, side, side)


@given(rectangles(), rectangles())
def test_what_is_missing_is_all_that_is_missing(wanted, held):
    canvas = np.zeros((30, 30), int)
    canvas[wanted.top : wanted.bottom, wanted.left : wanted.right] = 1
    expected = canvas.copy()
    expected[held.top : held.bottom, held.left : held.right] = 0
    found = np.zeros_like(canvas)
    for part in wanted.without(held):
        found[part.top : part.bottom, part.left : part.right] += 1
    assert np.array_equal(found, expected)


def test_rasters_of_other_steps_have_nothing_in_common():
    assert Raster(2, 0, 0, 5, 5).common(Raster(1, 0, 0, 5, 5)) is None
    assert Raster(2, 0, 0, 5, 5).without(Raster(1, 0, 0, 5, 5)) == [Raster(2, 0, 0, 5, 5)]


@pytest.mark.parametrize("step", [0.25, 1, 4])
def test_a_box_of_the_plane_on_the_grid(step):
    raster = whole(step, (40, 40))
    part = raster.around(Box((0, 9, 14), (1, 23, 30)))
    assert part.top == math.floor(9 / step)
    assert part.right == math.ceil(30 / step)
    more = raster.around(Box((0, 0, 14), (1, 23, 30)), 2)
    assert (more.top, more.left) == (0, math.floor(14 / step) - 2)
    assert raster.around(Box((0, 50, 50), (1, 60, 60))) is None
    assert raster.around(Box((0, 5, 5), (1, 5, 9))) is None
