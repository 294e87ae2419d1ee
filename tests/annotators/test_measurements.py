"""The table of measurements, against numbers counted by hand."""

import time

import numpy as np
import pytest
from skimage.measure import regionprops_table

from microsam_nb.annotators.measurements import measure
from microsam_nb.core import Image, VoxelSize
from microsam_nb.session import Describe, LoadLabels, Session


def session_of(labels):
    one = Session((1, *labels.shape) if labels.ndim == 2 else labels.shape)
    one.handle(LoadLabels.of(labels))
    return one


@pytest.fixture
def labels():
    out = np.zeros((30, 40), np.uint32)
    out[3:7, 5:15] = 1
    out[20:25, 30:35] = 9
    return out


def test_numbers_counted_by_hand(labels):
    pixels = np.zeros((30, 40), np.uint16)
    pixels[3:7, 5:15] = 100
    pixels[3, 5] = 500
    session = session_of(labels)
    session.handle(Describe(9, name="nine", category="round"))
    table = measure(Image(pixels), session)
    assert table["id"].tolist() == [1, 9]
    first, second = table.iloc[0], table.iloc[1]
    assert (first["area"], first["y0"], first["x0"], first["y1"], first["x1"]) == (40, 3, 5, 7, 15)
    assert (first["y"], first["x"]) == (5.0, 10.0), "pixel i covers [i, i + 1)"
    assert first["intensity_mean"] == pytest.approx(110)
    assert (first["intensity_min"], first["intensity_max"]) == (100, 500)
    assert first["orientation"] == pytest.approx(np.pi / 2)
    assert (second["name"], second["category"], second["area"]) == ("nine", "round", 25)
    assert second["eccentricity"] == pytest.approx(0)
    assert "area_um2" not in table


def test_physical_units(labels):
    image = Image(np.zeros((30, 40)), voxel_size=VoxelSize(None, 0.5, 0.5))
    first = measure(image, session_of(labels)).iloc[0]
    assert first["area_um2"] == 10
    assert (first["y_um"], first["x_um"]) == (2.5, 5.0)
    assert first["diameter_um"] == pytest.approx(np.sqrt(40 / np.pi))
    assert first["axis_major_length_um"] == pytest.approx(first["axis_major_length"] / 2)


def test_channels_nan_and_masked_pixels(labels):
    pixels = np.ones((30, 40, 2))
    pixels[..., 1] = 5
    pixels[3, 5, 0] = np.nan
    masked = np.ma.masked_array(pixels, np.zeros_like(pixels, bool))
    masked[4, 5, 1] = np.ma.masked
    masked.data[4, 5, 1] = 1e9
    first = measure(Image(masked), session_of(labels)).iloc[0]
    assert first["intensity_mean_0"] == 1
    assert first["intensity_mean_1"] == 5


def test_shapes_are_those_of_scikit_image():
    rng = np.random.default_rng(2)
    labels = np.zeros((60, 60), np.uint32)
    for number, (y, x) in enumerate([(2, 3), (2, 30), (30, 3), (30, 30)], start=1):
        labels[y : y + 20, x : x + 9 + 3 * number][rng.random((20, 9 + 3 * number)) > 0.4] = number
    table = measure(Image(rng.random((60, 60))), session_of(labels))
    names = ("area", "axis_major_length", "axis_minor_length", "eccentricity", "orientation", "bbox")
    found = regionprops_table(labels.astype(int), properties=names)
    for name in names[1:4]:
        # Some versions count the extent of a pixel, others do not.
        assert table[name].to_numpy() == pytest.approx(found[name], rel=0.01)
    assert table["orientation"].to_numpy() == pytest.approx(found["orientation"], abs=1e-6)
    for ours, theirs in zip(("area", "y0", "x0", "y1", "x1"), ("area", *(f"bbox-{i}" for i in range(4))), strict=True):
        assert table[ours].tolist() == found[theirs].tolist()


def test_an_empty_table_has_its_columns():
    table = measure(Image(np.zeros((5, 5))), Session((1, 5, 5)))
    assert len(table) == 0
    assert {"id", "area", "intensity_mean"} <= set(table.columns)


def test_one_pixel_objects_and_objects_of_other_shapes():
    labels = np.zeros((8, 8), np.uint32)
    labels[0, 0] = 1
    labels[7, :] = 2
    labels[3, 3] = labels[5, 5] = 3
    table = measure(Image(np.arange(64.0).reshape(8, 8)), session_of(labels))
    assert table["area"].tolist() == [1, 8, 2]
    assert (table["y"][0], table["x"][0]) == (0.5, 0.5)
    assert table["intensity_mean"][2] == (27 + 45) / 2


def test_objects_in_several_planes_have_a_line_each():
    labels = np.zeros((3, 6, 6), np.uint32)
    labels[0:2, 1:3, 1:3] = 4
    table = measure(Image(np.ones((3, 6, 6)), "zyx"), session_of(labels))
    assert table["plane"].tolist() == [0, 1]
    assert table["area"].tolist() == [4, 4]


def test_of_a_huge_image_only_parts_are_read():
    class Huge:
        shape, dtype, ndim = (50_000, 50_000), np.dtype(np.uint8), 2
        read = 0

        def __getitem__(self, key):
            rows, columns = (range(*k.indices(50_000)) for k in key)
            Huge.read += len(rows) * len(columns)
            return np.full((len(rows), len(columns)), 7, np.uint8)

    session = Session((1, 50_000, 50_000))
    after = np.ones((1, 10, 10), np.uint32)
    from microsam_nb.core import Candidate, Mask
    from microsam_nb.session import AddPoint, Commit, Predicted

    session.handle(AddPoint(40_005, 40_005))
    session.handle(Predicted(session.awaiting, (Candidate(Mask((0, 40_000, 40_000), after > 0), 0.5, "points"),)))
    session.handle(Commit())
    table = measure(Image(Huge()), session)
    assert table["intensity_mean"].tolist() == [7]
    assert table["score"].tolist() == [0.5]
    assert Huge.read < 10_000


def test_ten_thousand_objects_take_seconds():
    labels = np.kron(np.arange(1, 10_001, dtype=np.uint32).reshape(100, 100), np.ones((12, 12), np.uint32))
    session = session_of(labels)
    image = Image(np.random.default_rng(0).random(labels.shape, np.float32))
    started = time.perf_counter()
    table = measure(image, session)
    assert time.perf_counter() - started < 60, "it takes about 2 s"
    assert len(table) == 10_000
    assert (table["area"] == 144).all()
    assert table["intensity_mean"][17] == pytest.approx(image.pixels[labels == 18].mean())
