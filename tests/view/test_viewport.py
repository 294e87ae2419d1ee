import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsam_nb.session import View
from microsam_nb.view import Viewport
from microsam_nb.view.viewport import CLOSEST


def test_the_whole_plane_is_centred():
    view = Viewport.fit(900, 600, (100, 100))
    assert view.zoom == 6
    assert view.to_screen(50, 50) == (300, 450)
    assert view.to_screen(0, 0) == (0, 150)


def test_no_view_is_the_whole_plane():
    assert Viewport.of(300, 300, (100, 50), None) == Viewport.fit(300, 300, (100, 50))


@given(st.floats(-200, 400), st.floats(-200, 400), st.floats(0.001, 1e4), st.floats(0, 600), st.floats(0, 900))
def test_there_and_back(y, x, zoom, row, column):
    view = Viewport.of(900, 600, (120, 200), View(y, x, zoom))
    assert view.to_screen(*view.to_image(row, column)) == pytest.approx((row, column), abs=1e-6)


@given(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5), st.floats(1e-5, 1e5))
def test_a_view_never_loses_the_image(y, x, zoom):
    view = Viewport.of(900, 600, (120, 200), View(y, x, zoom))
    middle = view.to_image(300, 450)
    assert -1e-6 <= middle[0] <= 120 + 1e-6
    assert -1e-6 <= middle[1] <= 200 + 1e-6
    assert Viewport.fit(900, 600, (120, 200)).zoom / 2 <= view.zoom <= CLOSEST
    again = view.bounded()
    assert (again.y, again.x, again.zoom) == pytest.approx((view.y, view.x, view.zoom), abs=1e-6)


def test_a_tiny_image_may_fill_the_screen():
    assert Viewport.of(900, 600, (2, 2), Viewport.fit(900, 600, (2, 2)).view).zoom == 300


def test_zoom_keeps_the_place_under_the_pointer():
    view = Viewport.fit(900, 600, (120, 200))
    before = view.to_image(200, 300)
    assert view.zoomed(3, 200, 300).to_image(200, 300) == pytest.approx(before)
