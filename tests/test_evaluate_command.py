"""The command that measures models and labels beside true labels."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import tifffile

from microsam_nb.__main__ import main
from microsam_nb.annotators import evaluate_files
from microsam_nb.core import Lineage, Tracks
from microsam_nb.engine.evaluation.report import Report
from microsam_nb.files.tracks import write_ctc


def run(*arguments):
    return main(["evaluate", *map(str, arguments)])


@pytest.fixture
def data(tmp_path, drawn):
    """Two images with labels of their names, and one image without."""
    for name in ("images", "truth", "found"):
        (tmp_path / name).mkdir()
    for name in ("a", "b", "lonely"):
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", drawn.pixels)
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / "truth" / f"{name}_label.tif", drawn.labels.astype(np.uint16))
    return tmp_path


@pytest.fixture
def model(monkeypatch, nano, drawn):
    """nano, loaded once, whose automatic segmentation finds all objects but the first; what it was asked for."""
    seen = []
    monkeypatch.setattr("microsam_nb.engine.load.load_model", lambda *_, **__: nano)

    def segment(image, model, settings):
        seen.append((image.name, settings))
        return np.where(drawn.labels > 1, drawn.labels, 0).astype(np.uint32)

    monkeypatch.setattr(evaluate_files.run, "segment", segment)
    return seen


def test_a_model_is_scored_and_the_same_command_computes_nothing_again(data, model, capsys):
    asked = ("--images", data / "images", "--labels", data / "truth", "--mode", "ais", "-o", data / "out")
    assert run(*asked) == 0
    assert [name for name, _ in model] == ["a.tif", "b.tif"]
    report = Report.from_json(data / "out" / "report.json")
    assert [one.scores.msa for one in report.rows] == [0.75, 0.75]
    assert list(report.provenance["models"]) == ["nano"]
    assert {one.name for one in (data / "out").iterdir()} == {
        "report.csv", "report.json", "report.html", "scores.jsonl",
    }  # fmt: skip
    assert "0.750" in capsys.readouterr().out
    # A torn last line is what an interruption leaves.
    known = data / "out" / "scores.jsonl"
    known.write_text(known.read_text()[:-40])
    assert run(*asked) == 0
    assert [name for name, _ in model] == ["a.tif", "b.tif", "b.tif"]
    assert Report.from_json(data / "out" / "report.json").rows == report.rows


def test_other_labels_or_settings_are_computed_anew(data, model, drawn):
    asked = ("--images", data / "images" / "a.tif", "--labels", data / "truth", "-o", data / "out", "-q")
    run(*asked, "--mode", "ais")
    run(*asked, "--mode", "apg")
    tifffile.imwrite(data / "truth" / "a_label.tif", np.where(drawn.labels == 1, 0, drawn.labels).astype(np.uint16))
    run(*asked, "--mode", "ais")
    assert len(model) == 3
    assert Report.from_json(data / "out" / "report.json").rows[0].scores.msa == 1


def test_one_image_that_fails_does_not_keep_the_others_from_being_scored(data, model, capsys):
    tifffile.imwrite(data / "truth" / "a_label.tif", np.ones((9, 9), np.uint16))
    assert run("--images", data / "images", "--labels", data / "truth", "--mode", "ais", "-q") == 1
    assert "a.tif" in capsys.readouterr().err
    assert [name for name, _ in model] == ["b.tif"]


def test_labels_are_compared_with_labels(data, drawn, capsys):
    volume = np.stack([drawn.labels] * 3).astype(np.uint16)
    for name, labels in (("a", drawn.labels.astype(np.uint16)), ("c", volume)):
        tifffile.imwrite(data / "found" / f"{name}.tif", labels, photometric="minisblack")
    tifffile.imwrite(data / "truth" / "c.tif", np.where(volume == 2, 0, volume), photometric="minisblack")
    assert run("--compare", data / "found", "--labels", data / "truth", "-o", data / "out") == 0
    rows = Report.from_json(data / "out" / "report.json").rows
    assert [(one.image, one.scores.truth, one.scores.found, one.scores.sa50) for one in rows] == [
        ("a.tif", 4, 4, 1), ("c.tif", 3, 4, 0.75),
    ]  # fmt: skip


def test_tracks_of_the_challenge_are_compared(data):
    labels = np.zeros((3, 20, 20), np.uint32)
    labels[:2, 2:9, 2:9], labels[2, 2:9, 2:5], labels[2, 2:9, 6:9] = 1, 2, 3
    tracks = Tracks(labels, Lineage({1: (2, 3)}))
    for name in ("RES", "GT"):
        write_ctc(data / name, tracks)
    report = evaluate_files.compare_labels(data / "RES", data / "GT")
    (row,) = report.summary()
    assert (row["TRA"], row["DET"], row["SEG"], row["divisions found"]) == (1, 1, 1, 1)
    assert not math.isnan(row["TRA"])


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["--labels", "truth"], "Give --images or --compare"),
        (["--images", "images", "--labels", "found"], "Give a folder or a pattern of label files"),
        (["--images", "images/lonely.tif", "--labels", "truth"], "begin so: cell1_masks.tif"),
        (["--images", "images", "--labels", "images"], "Tell them apart by patterns"),
        (["--images", "found", "--labels", "truth"], "Known are"),
        (["--images", "images", "--labels", "truth", "--validation-images", "images"], "Give both, or neither"),
        (["--images", "images", "--labels", "truth", "--mode", "best"], "amg"),
        (["--images", "images", "--labels", "truth", "--mode", "interactive", "--corrections", "-1"], "from 0 to 64"),
    ],
)
def test_what_is_wrong_is_said_with_its_remedy(data, model, monkeypatch, capsys, arguments, remedy):
    monkeypatch.chdir(data)
    assert run(*arguments) == 2
    assert remedy in capsys.readouterr().err
    assert not model


def test_labels_with_fractions_are_refused(data, model, drawn, capsys):
    tifffile.imwrite(data / "truth" / "a_label.tif", drawn.labels / 2)
    assert run("--images", data / "images" / "a.tif", "--labels", data / "truth", "--mode", "ais", "-q") == 1
    assert "whole numbers" in capsys.readouterr().err


def test_a_report_says_which_settings_and_data_it_is_of(data, model):
    run("--images", data / "images", "--labels", data / "truth", "--mode", "ais", "apg", "-o", data / "out", "-q")
    provenance = json.loads((data / "out" / "report.json").read_text())["provenance"]
    assert [one["settings"]["kind"] for one in provenance["settings"]] == ["DistanceSettings", "PromptSettings"]
    assert provenance["data"].startswith("sha256:")


def test_a_report_draws_what_it_knows(data, model):
    from xml.etree import ElementTree

    asked = ("--images", data / "images", "--labels", data / "truth", "-o", data / "out", "-q")
    assert run(*asked, "--mode", "ais", "interactive", "--corrections", 2) == 0
    page = (data / "out" / "report.html").read_text()
    pictures = [f"<svg{one.split('</svg>')[0]}</svg>" for one in page.split("<svg")[1:]]
    assert len(pictures) == 3
    for one in pictures:
        ElementTree.fromstring(one)
    # Two of two images have an mSA of .75 in automatic segmentation: a level line at three quarters.
    assert 'points="44.0,72.5 348.0,72.5" stroke="#0072b2"' in pictures[0]
    assert "nano ais" in pictures[1]
    assert "nano box" in pictures[2]
    assert "nano ais" not in pictures[2]
    assert all('fill="#d55e00">&#9632; nano box' in one for one in pictures)


def test_annotators_are_compared_and_speak_with_one_voice(data, drawn, capsys):
    for name, gone in (("one", 1), ("two", 2), ("three", 0)):
        (data / name).mkdir()
        labels = np.where(drawn.labels == gone, 0, drawn.labels).astype(np.uint16)
        tifffile.imwrite(data / name / "a.tif", labels)
        if name != "two":
            tifffile.imwrite(data / name / "b.tif", labels)
    assert run("--annotators", data / "one", data / "two", data / "three", "-o", data / "out") == 0
    report = Report.from_json(data / "out" / "report.json")
    found = {(one.mode, one.image): one.scores.msa for one in report.rows}
    assert found[("one and two", "a.tif")] == 0.5
    assert found[("one and three", "b.tif")] == 0.75
    assert len(found) == 4
    assert [one.name for one in (data / "out" / "consensus").iterdir()] == ["a.tif"]
    agreed = tifffile.imread(data / "out" / "consensus" / "a.tif")
    assert np.array_equal(agreed > 0, drawn.labels > 0)
    assert len(np.unique(agreed)) == 5
    assert "one and three" in capsys.readouterr().out


def test_times_are_told_per_object(tmp_path, capsys):
    from microsam_nb.session.records import Record, Status, write_record

    (tmp_path / "a.msam").mkdir()
    write_record(tmp_path / "a.msam", Record(Status.DONE, 4, 20.0, "nano"))
    assert run("--times", tmp_path, "-o", tmp_path / "out") == 0
    assert "20 s for 4 objects in 1 image, 5.0 s per object" in capsys.readouterr().out
    assert (tmp_path / "out" / "times.csv").read_text().splitlines()[1] == "a,4,20.0,5.0,nano"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "One thing is evaluated at a time."),
        (["--images", "images", "--times", "images"], "One thing is evaluated at a time."),
        (["--images", "images"], "Give --labels with"),
        (["--annotators", "truth", "found", "--labels", "truth"], "and with nothing else"),
        (["--annotators", "truth"], "two annotators at least"),
        (["--times", "images"], "annotate_series"),
    ],
)
def test_what_does_not_go_together_is_refused(data, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(data)
    assert run(*arguments) == 2
    assert said in capsys.readouterr().err
