"""Objects told apart by class: features, forest, file."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from drawing import disk
from skimage.measure import regionprops

from microsam_nb.core import Box, ClassifierError, Image, ObjectInfo
from microsam_nb.core.measuring import Subject
from microsam_nb.engine.classifying import (
    Classifier,
    Describer,
    Features,
    Training,
    from_bytes,
    join,
    to_bytes,
    train,
)
from microsam_nb.engine.classifying.features import PLANES
from microsam_nb.engine.classifying.pooling import pool
from microsam_nb.engine.embedding import Embedding
from microsam_nb.engine.store import open_store
from microsam_nb.engine.tiling import Tiling


def subjects(labels):
    found = []
    for number in np.unique(labels[labels > 0]).tolist():
        places = np.argwhere(labels == number)
        start, stop = places.min(0), places.max(0) + 1
        found.append(Subject(number, Box(tuple(map(int, start)), tuple(map(int, stop))), ObjectInfo()))
    return found


def described(image, labels, model, kind, store=None, only=None):
    describer = Describer(image, model, store or open_store(None, model, image), kind)
    some = [one for one in subjects(labels) if only is None or one.label in only]
    found = dict(one for one in describer.steps(some, lambda box: labels[box.slices]) if one is not None)
    assert describer.done == describer.total
    return describer, found


def column(describer, found, name):
    return {label: float(row[describer.names.index(name)]) for label, row in found.items()}


@pytest.fixture
def labels(drawn):
    return drawn.labels.astype(np.uint32)[None]


def test_shapes_are_those_of_scikit_image(drawn, drawn_image, labels, random_nano):
    describer, found = described(drawn_image, labels, random_nano, Features.SHAPE)
    for one in regionprops(drawn.labels, drawn.pixels):
        row = dict(zip(describer.names, found[one.label].tolist(), strict=True))
        assert row["area"] == one.area
        assert row["axis_major_length"] == pytest.approx(one.axis_major_length, rel=0.02)
        assert row["axis_minor_length"] == pytest.approx(one.axis_minor_length, rel=0.02)
        assert row["intensity_mean"] == pytest.approx(one.intensity_mean, rel=1e-5)
        assert row["intensity_max"] == one.intensity_max
        assert row["intensity_std"] == pytest.approx(drawn.pixels[drawn.labels == one.label].std(), rel=1e-4)
        assert 0.85 < row["solidity"] <= 1


def test_every_channel_has_its_brightness(drawn, labels, random_nano):
    image = Image(np.stack([drawn.pixels, 255 - drawn.pixels], -1), "yxc")
    describer, found = described(image, labels, random_nano, Features.SHAPE)
    first, second = (column(describer, found, f"intensity_mean_{c}") for c in (0, 1))
    assert all(first[n] + second[n] == pytest.approx(255, abs=1e-3) for n in first)


def test_unknown_intensities_do_not_count(drawn, labels, random_nano):
    pixels = drawn.pixels.astype(np.float32)
    pixels[drawn.labels == 2] = np.nan
    pixels[24, 26] = np.inf
    describer, found = described(Image(pixels), labels, random_nano, Features.SHAPE)
    means = column(describer, found, "intensity_mean")
    assert np.isnan(means[2])
    assert np.isfinite(means[1])
    training = Training(np.stack(list(found.values())), ("a", "a", "b", "b"), describer.names, ("", ""), "shape")
    assert train(training).predict(training.rows).shape == (4, 2)


def test_an_object_does_not_change_with_those_asked_about(drawn_image, labels, random_nano):
    store = open_store(None, random_nano, drawn_image)
    _, all_ = described(drawn_image, labels, random_nano, Features.BOTH, store)
    describer = Describer(drawn_image, random_nano, store)
    some = subjects(labels)
    crop = lambda box: labels[box.slices]  # noqa: E731
    first = dict(one for one in describer.steps(some, crop) if one is not None)
    again = dict(one for one in describer.steps(some[1:2], crop) if one is not None)
    np.testing.assert_allclose(again[2], first[2], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(all_[2], first[2], rtol=1e-4, atol=1e-5)


def test_what_a_model_sees_is_averaged_inside_the_mask():
    features = np.zeros((1, 2, 4, 4), np.float32)
    features[0, 0, :, 2:] = 1.0
    features[0, 1] = 7.0
    embedding = Embedding(torch.from_numpy(features), (16, 16), (64, 64))
    dense = np.zeros((16, 16), np.int64)
    dense[4:8, :4], dense[4:8, 12:], dense[9, 13] = 1, 2, 3
    found = pool(embedding, 64, dense, (0, 0), 4)
    np.testing.assert_allclose(found[:3, 0], [0, 1, 1])
    np.testing.assert_allclose(found[:3, 1], 7)
    np.testing.assert_allclose(found[:3, 2:], 0, atol=1e-6)
    assert np.isnan(found[3]).all(), "a number without pixels"


def test_whole_planes_and_tiles_are_looked_at(drawn_image, labels, random_nano):
    spec = replace(random_nano.spec, name="other", architecture="vit_b")
    model = replace(random_nano, spec=spec)
    assert not model.is_nano
    for tiling in (None, Tiling((48, 48), (16, 16))):
        store = open_store(None, model, drawn_image, tiling)
        _, found = described(drawn_image, labels, model, Features.MODEL, store)
        assert len(found) == 4
        assert all(np.isfinite(row).all() for row in found.values())


def test_volumes_are_averaged_by_area(random_nano):
    labels = np.zeros((3, 40, 40), np.uint32)
    labels[0, 10:20, 10:20] = labels[1, 10:30, 10:30] = 5
    pixels = np.zeros((3, 40, 40), np.uint8)
    pixels[0], pixels[1] = 50, 100
    describer, found = described(Image(pixels, "zyx"), labels, random_nano, Features.SHAPE)
    assert column(describer, found, "intensity_mean")[5] == pytest.approx((100 * 50 + 400 * 100) / 500)


def test_long_tracks_are_looked_at_in_a_few_frames(random_nano):
    labels = np.zeros((30, 32, 32), np.uint32)
    labels[:, 8:16, 8:16] = 1
    labels[14] = 0
    image = Image(np.random.default_rng(0).integers(0, 255, labels.shape, dtype=np.uint8), "tyx")
    describer, found = described(image, labels, random_nano, Features.SHAPE)
    assert describer.total == PLANES
    assert np.isfinite(found[1]).all()


def rows_of(count, seed=0, columns=6):
    chance = np.random.default_rng(seed)
    rows = chance.normal(0, 1, (2 * count, columns)).astype(np.float32)
    rows[count:, 0] += 6
    return Training(rows, ("a",) * count + ("b",) * count, tuple(f"f{i}" for i in range(columns)), ("h", "m"), "both")


def test_a_forest_is_the_same_every_time_and_tells_classes_apart():
    one, two = train(rows_of(12)), train(rows_of(12))
    fresh = rows_of(40, seed=5)
    assert np.array_equal(one.predict(fresh.rows), two.predict(fresh.rows))
    right = np.array(one.classes)[one.predict(fresh.rows).argmax(1)] == np.array(fresh.classes)
    assert right.mean() > 0.95
    assert one.accuracy is not None
    assert one.accuracy > 0.9


def test_an_accuracy_of_few_objects_is_none():
    assert train(rows_of(3)).accuracy is None


def test_an_accuracy_of_chance_is_no_better():
    mixed = rows_of(30)
    chance = np.random.default_rng(1).permutation(mixed.classes)
    accuracy = train(Training(mixed.rows, tuple(map(str, chance)), mixed.names, mixed.model, "both")).accuracy
    assert accuracy is not None
    assert accuracy < 0.75


@pytest.mark.parametrize("classes", [(), ("a", "a")])
def test_two_classes_are_needed(classes):
    training = Training(np.zeros((len(classes), 1), np.float32), classes, ("f",), ("", ""), "shape")
    with pytest.raises(ClassifierError, match="Click on a few objects of two classes"):
        train(training)


def test_trainings_of_several_images_are_joined():
    assert len(join([rows_of(3), rows_of(4)]).classes) == 14


def test_features_of_another_model_are_refused():
    other = Training(rows_of(3).rows, rows_of(3).classes, rows_of(3).names, ("h2", "vit_b"), "both")
    with pytest.raises(ClassifierError, match="Change over to the model vit_b"):
        join([other, rows_of(3)])


def test_other_channels_are_refused():
    with pytest.raises(ClassifierError, match="as many channels"):
        join([rows_of(3), rows_of(3, columns=7)])
    with pytest.raises(ClassifierError, match="Give those that a Describer"):
        train(rows_of(3)).predict(np.zeros((1, 2), np.float32))


def test_a_file_holds_the_forest_and_what_it_was_trained_on():
    made = train(rows_of(10))
    read = from_bytes(to_bytes(made))
    assert isinstance(read, Classifier)
    fresh = rows_of(9, seed=2).rows
    assert np.array_equal(read.predict(fresh), made.predict(fresh))
    assert read.classes == made.classes
    assert read.accuracy == made.accuracy
    assert read.training.names == made.training.names
    assert np.array_equal(read.training.rows, made.training.rows)


def _zip(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    return out.getvalue()


@pytest.mark.parametrize("data", [b"", b"no zip", _zip(other="x"), _zip(**{"schema.json": "{}"})])
def test_a_file_that_is_no_classifier(data):
    with pytest.raises(ClassifierError, match="saved by an annotator"):
        from_bytes(data, "mine.skops")


def test_a_file_of_something_else():
    import skops.io

    with pytest.raises(ClassifierError, match="saved by an annotator"):
        from_bytes(skops.io.dumps({"a": 1}))


def test_a_file_with_foreign_types_is_not_opened():
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    data = skops.io.dumps(FunctionTransformer(func=_foreign))
    with pytest.raises(ClassifierError, match="Do not open it unless"):
        from_bytes(data)


def _foreign(x):
    raise AssertionError("it was run")


def test_trees_that_lead_astray_are_refused():
    made = train(rows_of(10))
    made.forest.estimators_[3].tree_.children_left[0] = 10_000
    with pytest.raises(ClassifierError, match="saved by an annotator"):
        from_bytes(to_bytes(made))


def test_ten_objects_of_a_plane_are_not_measured_ten_times(random_nano):
    shape = (1, 200, 200)
    labels = np.zeros(shape, np.uint32)
    for i in range(10):
        labels[0][disk(shape[1:], 20 + 40 * (i // 5), 20 + 40 * (i % 5), 8)] = i + 1
    image = Image(np.random.default_rng(0).integers(0, 255, shape[1:], dtype=np.uint8))
    describer, found = described(image, labels, random_nano, Features.BOTH)
    assert len(found) == 10
    assert describer.total < 10, "objects share windows"


def test_a_class_may_be_called_by_a_number():
    rows = np.array([[float(n)] * 3 for n in (1, 2, 3, 21, 22)], np.float32)
    classes, names = ("1", "1", "1", "small", "small"), ("area", "perimeter", "extent")
    found = train(Training(rows, classes, names, ("", ""), ""))
    assert list(found.classes) == ["1", "small"]
    assert found.predict(rows[:1]).argmax() == 0
