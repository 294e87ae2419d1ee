"""Reports: what is in them, and that they come back as they were written."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from microsam_nb.engine.evaluation import score
from microsam_nb.engine.evaluation.report import Report, Scored


@pytest.fixture
def report():
    """Two images of different size, one perfect, one empty handed, and one of another mode."""
    one, many = np.zeros((8, 8), int), np.zeros((8, 8), int)
    one[2:5, 2:5] = 1
    many[::3, ::3] = np.arange(1, 10).reshape(3, 3)
    nothing = np.zeros_like(one)
    rows = (
        Scored("a", "nano", "ais", 0, score(one, one)),
        Scored("b", "nano", "ais", 0, score(many, nothing)),
        Scored("a", "nano", "<amg>", 0, score(one, nothing)),
    )
    return Report(rows, {"version": "1", "models": {"nano": "xxh128:0"}})


def test_means_are_over_images_and_pooled_scores_over_objects(report):
    first, second = report.summary()
    assert (first["images"], first["objects"], first["mSA"]) == (2, 10, 0.5)
    assert first["pooled mSA"] == pytest.approx(0.1)
    assert first["boundary distance"] == 0
    assert (second["mode"], second["mSA"]) == ("<amg>", 0)


def test_what_is_written_comes_back(report, tmp_path):
    report.to_json(tmp_path / "report.json")
    assert Report.from_json(tmp_path / "report.json") == report
    report.to_csv(tmp_path / "report.csv")
    with (tmp_path / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["mSA"]) for row in rows] == [("a", "1.0"), ("b", "0.0"), ("a", "0.0")]


def test_tables_for_people(report):
    lines = str(report).splitlines()
    assert len(lines) == 3
    assert len({len(line) for line in lines}) == 1
    assert "&lt;amg&gt;" in report._repr_html_()


def test_measures_of_tracks_stand_in_the_same_table():
    assert Report((Scored("movie", others={"TRA": 0.5}),)).summary()[0]["TRA"] == 0.5
