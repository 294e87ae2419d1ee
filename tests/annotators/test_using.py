"""Weights that a training made, in annotators that are open."""

from __future__ import annotations

import shutil

import numpy as np

from microsam_nb import annotate_2d
from microsam_nb.annotators.using import use_model
from microsam_nb.engine.finding import EMBEDDED
from microsam_nb.session import AddPoint, Commit


def test_open_annotators_change_over_and_keep_their_objects(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(EMBEDDED, tmp_path / "mine.safetensors")
    image = np.random.default_rng(0).integers(0, 90, (64, 64)).astype(np.uint8)
    image[16:40, 16:40] += 120
    gone, first, second = (annotate_2d(image, project=False) for _ in range(3))
    try:
        gone.close()
        first.wait()
        first.session.handle(AddPoint(28, 28))
        first.wait()
        first.session.handle(Commit())
        kept = first.labels
        assert kept.any()
        assert use_model(tmp_path / "mine.safetensors") == 2
        for one in (first, second):
            one.wait()
            assert one.session.model == "mine"
        assert np.array_equal(first.labels, kept)
        first.session.handle(AddPoint(28, 50))
        first.wait()
        assert first.session.state.answered
    finally:
        first.close()
        second.close()
