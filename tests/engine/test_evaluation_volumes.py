"""Objects of volumes: prompted in their middle plane, carried into all others."""

from __future__ import annotations

import numpy as np
import pytest

from microsam_nb.core import Image, Section
from microsam_nb.core.sections import planes_of, section_at
from microsam_nb.engine.evaluation import volumes
from microsam_nb.engine.evaluation.interactive import objects_of
from microsam_nb.engine.evaluation.volumes import evaluate_volume


@pytest.fixture
def volume():
    """Two boxes in other planes; the labels of one number far above the other."""
    labels = np.zeros((6, 20, 20), np.uint32)
    labels[0:3, 2:8, 2:8], labels[2:6, 10:18, 10:18] = 5, 90_000
    return labels


def test_every_object_is_known_by_its_middle_plane(monkeypatch, random_nano, volume):
    truths = objects_of(volume)
    asked = []

    def answers(model, embedding, objects, settings):
        asked.extend(objects)
        yield list(objects)

    def project_many(model, store, known, settings=None):
        """The first is carried perfectly, the second loses its last plane."""
        for place, one in enumerate(known):
            truth = next(t for t in truths if t.shared(next(iter(one.seeds.values()))))
            planes = planes_of(truth) if truth is truths[0] else planes_of(truth)[:-1]
            yield [Section(place, z, section_at(truth, z), 1.0, 1.0) for z in planes if z not in one.seeds]

    monkeypatch.setattr(volumes, "answers", answers)
    monkeypatch.setattr(volumes, "project_many", project_many)
    found = evaluate_volume(random_nano, Image(np.zeros(volume.shape, np.uint8), "zyx"), volume)
    assert [one.start[0] for one in asked] == [1, 4]
    assert found.iou.tolist() == [[1.0], [0.75]]
    assert (found.steps[0].sa50, found.steps[0].truth) == (1.0, 2)


def test_a_volume_with_a_real_model(nano):
    """Nothing is replaced: a bright cylinder is found in most of its planes."""
    rows, columns = np.indices((48, 48)) - 24
    labels = np.zeros((4, 48, 48), np.uint32)
    labels[:, rows**2 + columns**2 < 100] = 1
    pixels = (30 + 170 * (labels > 0)).astype(np.uint8)
    found = evaluate_volume(nano, Image(pixels, "zyx"), labels)
    assert found.iou[0, 0] > 0.6
