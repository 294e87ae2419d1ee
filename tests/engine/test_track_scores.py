"""Tracks compared with the truth, as py-ctcmetrics does with folders."""

import builtins
import sys

import numpy as np
import pytest
import tifffile

from microsam_nb.core import LabelError, Lineage, ModelError, Tracks
from microsam_nb.engine.evaluation.tracks import evaluate_tracks
from microsam_nb.files.tracks import write_ctc


def truth():
    """Six frames: 1 divides into 2 and 3, 4 is missing in frame 2."""
    labels = np.zeros((6, 20, 30), np.uint32)
    labels[:3, 2:8, 2:8], labels[3:, 2:8, 2:5], labels[3:, 2:8, 6:9] = 1, 2, 3
    for t in (0, 1, 3, 4, 5):
        labels[t, 12:18, 4 + t : 12 + t] = 4
    return Tracks(labels, Lineage({1: (2, 3)}))


def spoilt():
    """No division, one object missing, one false, one too small, one over two."""
    labels = truth().labels.copy()
    labels[3:, 2:8, 6:9] = 7
    labels[1, 12:18] = 0
    labels[4, 12:18, 8:10] = 0
    labels[2, 10, 20:25] = 9
    labels[5, 2:8, 2:9] = 2
    return Tracks(labels)


def by_package(tmp_path, truth, found):
    from ctc_metrics.scripts.evaluate import evaluate_sequence

    write_ctc(tmp_path / "RES", found)
    write_ctc(tmp_path / "truth", truth)
    for name, ending in (("TRA", "man_track"), ("SEG", "man_seg")):
        (tmp_path / "GT" / name).mkdir(parents=True)
        for t in range(len(truth.labels)):
            plane = tifffile.imread(tmp_path / "truth" / f"mask{t:03d}.tif")
            tifffile.imwrite(tmp_path / "GT" / name / f"{ending}{t:03d}.tif", plane)
    table = (tmp_path / "truth" / "res_track.txt").read_text()
    (tmp_path / "GT" / "TRA" / "man_track.txt").write_text(table)
    return evaluate_sequence(str(tmp_path / "RES"), str(tmp_path / "GT"), ["TRA", "DET", "SEG", "BC"], threads=1)


@pytest.mark.parametrize("found", [truth(), spoilt()])
def test_scores_are_those_of_the_package(tmp_path, found):
    scores = by_package(tmp_path, truth(), found)
    ours = evaluate_tracks(truth(), found)
    assert (ours.tra, ours.det, ours.seg) == pytest.approx((scores["TRA"], scores["DET"], scores["SEG"]))
    assert (ours.divisions, ours.divisions_found) == (scores["gt_divisions"], scores["tp_div(0)"])


def test_the_truth_is_perfect_and_faults_are_not():
    assert evaluate_tracks(truth(), truth()).tra == 1
    score = evaluate_tracks(truth(), spoilt())
    assert 0 < score.tra < 1
    assert (score.divisions, score.divisions_found, score.divisions_wrong) == (1, 0, 0)


def test_nothing_found_is_zero():
    score = evaluate_tracks(truth(), Tracks(np.zeros_like(truth().labels)))
    assert (score.tra, score.det, score.seg, score.divisions, score.divisions_found) == (0, 0, 0, 1, 0)


def test_a_division_that_is_none_is_counted():
    plain = Tracks(np.repeat(truth().labels[3:4], 6, axis=0))
    labels = plain.labels.copy()
    labels[:3][labels[:3] > 0] = np.where(labels[:3][labels[:3] > 0] < 4, 1, 4)
    assert evaluate_tracks(plain, Tracks(labels, Lineage({1: (2, 3)}))).divisions_wrong == 1


def test_movies_that_cannot_be_compared():
    with pytest.raises(LabelError, match="of the same movie"):
        evaluate_tracks(truth(), Tracks(truth().labels[:3]))
    empty = Tracks(np.zeros_like(truth().labels))
    with pytest.raises(LabelError, match="at least one cell"):
        evaluate_tracks(empty, truth())


def test_without_the_measures(monkeypatch):
    for name in [one for one in sys.modules if one.startswith("ctc_metrics")]:
        monkeypatch.delitem(sys.modules, name)
    known = builtins.__import__

    def missing(name, *rest):
        if name.startswith("ctc_metrics"):
            raise ImportError(f"No module named {name!r}")
        return known(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ModelError, match=r"pip install 'microsam-nb\[metrics\]'"):
        evaluate_tracks(truth(), truth())
