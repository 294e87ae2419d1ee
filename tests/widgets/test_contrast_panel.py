import sys

import numpy as np
import pytest

from microsam_nb.core import Image
from microsam_nb.session import Change, Channel, SetChannels
from microsam_nb.widgets import ContrastPanel
from microsam_nb.widgets.panels import EVERYTHING


@pytest.fixture
def panel(desk):
    def make(pixels):
        image = Image(pixels)
        one = desk(image.shape)
        made = one.panel = ContrastPanel(image, one.session, one.hands)
        made.desk = one
        made.show(EVERYTHING)
        return made

    return make


@pytest.fixture
def grey():
    return np.random.default_rng(0).integers(100, 4000, (96, 96)).astype(np.uint16)


def shown(panel):
    return panel.desk.session.state.browsing.channels


def test_bqplot_is_imported_when_the_panel_is_made():
    code = "import microsam_nb.widgets, sys; raise SystemExit('bqplot' in sys.modules)"
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_begins_with_the_range_of_the_image(panel, grey):
    one = panel(grey)
    low, high = one._image.contrast_of(0)[0]
    assert one.low.value == pytest.approx(low, rel=1e-4)
    assert list(one.plot.selector.selected) == pytest.approx([low, high])
    assert one.desk.done == []


def test_dragging_numbers_and_buttons(panel, grey):
    one = panel(grey)
    one.plot.selector.selected = np.array([500.0, 1500.0])
    assert shown(one) == (Channel(low=500.0, high=1500.0),)
    assert (one.low.value, one.high.value) == (500, 1500)
    one.high.value = 2500
    assert shown(one)[0].high == 2500
    assert list(one.plot.selector.selected) == [500, 2500]
    one.auto.click()
    assert (shown(one)[0].low, shown(one)[0].high) == (None, None)
    one.full.click()
    assert shown(one)[0].low <= grey.min()
    assert shown(one)[0].high >= grey.max()
    one.reset.click()
    assert shown(one) == ()
    assert sum(isinstance(a, SetChannels) for a in one.desk.done) == 5, "nothing goes round in circles"


def test_an_end_beyond_the_histogram_is_drawn_and_can_be_dragged(panel, grey):
    one = panel(grey)
    one.desk.session.handle(SetChannels((Channel(low=-500.0, high=3000.0),)))
    assert list(one.plot.selector.selected) == [-500.0, 3000.0]
    assert one.plot._x.min <= -500.0
    one.plot.selector.selected = np.array([-500.0, 2000.0])
    assert shown(one) == (Channel(low=-500.0, high=2000.0),)
    one.plot.selector.selected = np.array([600.0, 2000.0])
    assert shown(one) == (Channel(low=600.0, high=2000.0),)


def test_a_range_that_was_rubbed_out_comes_back(panel, grey):
    one = panel(grey)
    before = list(one.plot.selector.selected)
    one.plot.selector.selected = None
    assert list(one.plot.selector.selected) == before
    assert shown(one) == ()


def test_black_above_white_is_refused_with_a_remedy(panel, grey):
    one = panel(grey)
    low = one.low.value
    one.low.value = 100_000
    assert "Enter another number" in one.desk.session.notice.text
    assert one.low.value == low
    assert shown(one) == ()


def test_channels_of_their_own(panel):
    pixels = np.zeros((40, 50, 2), np.uint16)
    pixels[..., 0] = np.arange(50)
    pixels[..., 1] = 1000 + np.arange(50)
    one = panel(pixels)
    assert [line.check.description for line in one.lines] == ["Channel 1", "Channel 2"]
    assert not one.together.value
    one.lines[0].check.value = False
    one.lines[1].colour.value = "#00ffff"
    assert shown(one) == (Channel(visible=False), Channel(colour="#00ffff"))
    one.lines[1].chooser.click()
    assert one.high.value > 1000, "the histogram is that of the second channel"
    one.low.value = 1010
    assert shown(one)[0].low is None
    assert shown(one)[1].low == 1010
    one.desk.session.handle(SetChannels())
    assert one.lines[0].check.value
    assert [line.colour.value for line in one.lines] == ["#ff00ff", "#00ff00"], "as the picture is made"


def test_three_stains_are_no_photograph(panel):
    pixels = np.random.default_rng(0).integers(0, 900, (40, 50, 3)).astype(np.uint16)
    pixels[..., 2] += 5000
    one = panel(pixels)
    assert [line.check.description for line in one.lines] == ["Channel 1", "Channel 2", "Channel 3"]
    assert not one.together.value
    one.lines[2].chooser.click()
    assert one.low.value >= 5000, "each has a range of its own"


def test_colours_of_a_photograph_keep_their_hue(panel):
    rng = np.random.default_rng(0)
    one = panel(rng.integers(0, 255, (40, 50, 3)).astype(np.uint8))
    one.plot.selector.selected = np.array([20.0, 200.0])
    assert {(c.low, c.high) for c in shown(one)} == {(20.0, 200.0)}
    one.together.value = False
    one.plot.selector.selected = np.array([50.0, 100.0])
    assert [(c.low, c.high) for c in shown(one)] == [(50.0, 100.0), (20.0, 200.0), (20.0, 200.0)]


@pytest.mark.parametrize("pixels", [np.full((20, 20), 7, np.uint8), np.full((20, 20), np.nan)])
def test_a_flat_image(panel, pixels):
    if np.isnan(pixels).all():
        pixels = pixels.copy()
        pixels[0, 0] = 0.5
    one = panel(pixels)
    one.show(Change(layers=True))
    assert np.isfinite(one.plot.selector.selected).all()


def test_the_axis_does_not_move_under_the_hand(panel, grey):
    """Black was drawn below the histogram; dragged up, the axis must not begin anew, or White would mean less."""
    one = panel(np.maximum(grey, 1000))
    one.desk.session.handle(SetChannels((Channel(low=0.0, high=3000.0),)))
    one.show(Change(layers=True))
    axis = one.plot._x
    before = axis.min, axis.max
    assert before[0] == 0
    one.plot.selector.selected = np.array([1500.0, 3000.0])
    assert (axis.min, axis.max) == before
    assert (shown(one)[0].low, shown(one)[0].high) == (1500, 3000)


def test_auto_stretches_a_photograph(panel):
    pixels = np.random.default_rng(1).integers(80, 200, (96, 96, 3)).astype(np.uint8)
    one = panel(pixels)
    assert (one.low.value, one.high.value) == (0, 255)
    one.auto.click()
    assert 78 < one.low.value < 85
    assert 195 < one.high.value < 202
    one.reset.click()
    assert shown(one) == ()


def test_numbers_are_no_finer_than_they_are_worth(panel, grey):
    one = panel(grey)
    one.plot.selector.selected = np.array([-6.7e-16, 1500.123456789])
    assert (one.low.value, one.high.value) == (0, 1500.123)


def test_a_complaint_ends_with_its_cause(panel, grey):
    one = panel(grey)
    one.low.value, one.high.value = 300, 200
    assert "must be darker" in one.desk.session.notice.text
    one.reset.click()
    assert one.desk.session.notice.text == ""
