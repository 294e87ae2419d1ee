"""Outlines of the truth and of what was found, on one picture."""

import io

import numpy as np
from PIL import Image as Picture

from microsam_nb.view.compared import FOUND, TRUE, compared


def near(pixels: np.ndarray, colour: tuple[int, int, int]) -> int:
    """How many pixels have about a colour; JPEG blurs them."""
    return int((np.abs(pixels.astype(int) - colour).max(axis=2) < 60).sum())


def test_what_was_missed_shows_in_the_colour_of_the_truth_and_what_was_found_lies_over_it():
    image = np.zeros((24, 48), np.uint8)
    truth, found = np.zeros((2, 24, 48), np.int32)
    truth[4:20, 4:20], truth[4:20, 28:44] = 1, 2
    found[4:20, 4:20] = 7
    pixels = np.asarray(Picture.open(io.BytesIO(compared(image, truth, found))))
    assert pixels.shape == (240, 480, 3)
    left, right = pixels[:, :240], pixels[:, 240:]
    assert near(left, FOUND) > 500 > near(left, TRUE) == 0
    assert near(right, TRUE) > 500 > near(right, FOUND) == 0


def test_a_crop_in_colour_without_objects_is_only_a_picture():
    image = np.full((600, 500, 3), (200, 100, 50), np.uint8)
    none = np.zeros((600, 500), np.int32)
    pixels = np.asarray(Picture.open(io.BytesIO(compared(image, none, none))))
    assert pixels.shape == (600, 500, 3)
    assert np.abs(pixels.astype(int) - np.array([170, 85, 42])).max() < 4
