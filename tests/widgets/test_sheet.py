"""A part of a plane in the browser."""

import numpy as np
import pytest

from microsam_nb.view import Raster, encode_image
from microsam_nb.widgets.batch import batch
from microsam_nb.widgets.sheet import Sheet

PLANE = np.random.default_rng(0).integers(1, 255, (60, 60)).astype(np.uint8)


@pytest.fixture
def sheet():
    made = Sheet()
    yield made
    made.canvas.close()


def hold(sheet, raster):
    """Hold a raster of PLANE; return how many pixels had to be sent."""
    with batch():
        missing = sheet.hold(raster)
        for part in missing:
            pixels = PLANE[part.top : part.bottom, part.left : part.right]
            sheet.put(encode_image(pixels, part.top - raster.top, part.left - raster.left))
    return sum(part.area for part in missing)


def check(page, sheet):
    raster = sheet.raster
    pixels = page.pixels(sheet.canvas)
    expected = np.zeros(pixels.shape[:2], np.uint8)
    expected[: raster.height, : raster.width] = PLANE[raster.top : raster.bottom, raster.left : raster.right]
    assert np.array_equal(pixels[..., 0], expected)
    assert np.array_equal(pixels[..., 3] > 0, expected > 0)


def test_it_moves_along_and_sends_only_what_is_new(page, sheet):
    assert hold(sheet, Raster(1, 10, 10, 20, 30)) == 600
    for raster, sent in (
        (Raster(1, 10, 10, 20, 30), 0),
        (Raster(1, 14, 10, 20, 30), 120),
        (Raster(1, 9, 4, 20, 30), 240),
        (Raster(1, 12, 10, 8, 9), 0),
        (Raster(1, 12, 10, 20, 9), 108),
        (Raster(1, 40, 40, 9, 9), 81),
    ):
        assert hold(sheet, raster) == sent, raster
        check(page, sheet)


def test_a_larger_raster_gets_a_larger_canvas_and_everything_anew(page, sheet):
    hold(sheet, Raster(1, 0, 0, 20, 20))
    sheet.canvas.width = sheet.canvas.height = 20  # as if it had been made without room to spare
    page.surface(sheet.canvas)
    assert hold(sheet, Raster(1, 0, 0, 21, 20)) == 420
    assert sheet.canvas.height == 128
    check(page, sheet)


def test_another_resolution_begins_anew(page, sheet):
    hold(sheet, Raster(1, 0, 0, 20, 20))
    with batch():
        assert sheet.hold(Raster(2, 0, 0, 20, 20)) == [Raster(2, 0, 0, 20, 20)]
    assert not page.pixels(sheet.canvas).any()


def test_clear_patches_cost_nothing_on_a_clear_sheet(page, sheet):
    with batch():
        sheet.hold(Raster(1, 0, 0, 20, 20))
    before = len(page.messages)
    with batch():
        sheet.put(type(encode_image(PLANE))(0, 0, 5, 5, b""))
        sheet.wipe()
    assert len(page.messages) == before


def test_wiped_is_clear(page, sheet):
    hold(sheet, Raster(1, 0, 0, 20, 20))
    with batch():
        sheet.wipe()
    assert not page.pixels(sheet.canvas).any()
    assert sheet.raster is None
