"""A project again with another model: same prompts, new answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from annotation import Annotation, annotate_cells

from microsam_nb.__main__ import main
from microsam_nb.annotators.rerun import rerun
from microsam_nb.core import Image, ProjectError
from microsam_nb.engine import load_model
from microsam_nb.engine.training.embedded import save_embedded
from microsam_nb.session import AddPoint, Commit, Delete, ExtendObject, Redo, SetPlane, Undo
from microsam_nb.session.story import read_story, without_undone


@pytest.fixture(scope="module")
def nano():
    return load_model("nano")


def files(folder):
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir() if p.is_file()}


@pytest.fixture
def cells(tmp_path, drawn, nano):
    return annotate_cells(tmp_path, drawn, nano)


def test_the_same_model_gives_the_same(cells, nano):
    one, labels = cells
    before = files(one.folder)
    found = rerun(one.folder, one.image, nano)
    assert files(one.folder) == before
    assert np.array_equal(found.session.snapshot(), labels)
    assert {(row.before, row.iou) for row in found.objects} == {(n, 1.0) for n in np.unique(labels) if n}
    assert not found.notes
    assert found.session.infos[1].name == one.session.infos[1].name


def test_undone_steps_make_no_difference(cells):
    one, labels = cells
    story = read_story(one.folder)
    assert np.array_equal(story.told(one.image).snapshot(), labels)
    plain = without_undone(story.actions)
    assert not any(isinstance(action, Undo | Redo) for action in plain)
    assert len(plain) < len(story.actions)


def test_another_model_answers_anew(cells, random_nano, tmp_path):
    one, labels = cells
    found = rerun(one.folder, one.image, random_nano, output=tmp_path / "new.msam")
    assert {row.what for row in found.objects} <= {"kept", "lost", "added"}
    assert sum(row.before > 0 for row in found.objects) == len(np.unique(labels)) - 1
    assert any(row.iou < 1 for row in found.objects)
    for row in found.objects:
        if row.what == "kept":
            a, b = labels == row.before, found.session.snapshot() == row.after
            assert row.iou == pytest.approx((a & b).sum() / (a | b).sum())
    again = read_story(tmp_path / "new.msam").told(one.image)
    assert np.array_equal(again.snapshot(), found.session.snapshot())


def test_objects_through_volumes(tmp_path, drawn, nano):
    pixels = np.stack([drawn.pixels] * 4)
    image = Image(pixels, "zyx", "stack")
    middles = [np.argwhere(drawn.labels == n).mean(0) for n in (1, 2)]
    one = Annotation(tmp_path / "stack.msam", image, nano)
    one.do(SetPlane(1), AddPoint(*middles[0], plane=1), ExtendObject(), Commit())
    one.do(SetPlane(2), AddPoint(*middles[1], plane=2), Commit(), Delete((1,)), Undo())
    labels = one.close()
    assert (labels == 1).any((1, 2)).all()
    found = rerun(one.folder, image, nano)
    assert np.array_equal(found.session.snapshot(), labels)


def test_tracks_of_a_movie(tmp_path, drawn, nano):
    image = Image(np.stack([drawn.pixels] * 3), "tyx", "movie")
    middle = np.argwhere(drawn.labels == 1).mean(0)
    one = Annotation(tmp_path / "movie.msam", image, nano)
    one.do(AddPoint(*middle), ExtendObject(), Commit())
    labels = one.close()
    found = rerun(one.folder, image, nano)
    assert found.session.movie
    assert np.array_equal(found.session.snapshot(), labels)


def test_the_command(cells, tmp_path, random_nano, monkeypatch, capsys):
    one, labels = cells
    save_embedded(random_nano, tmp_path / "other.safetensors", note="random")
    words = ["rerun", str(one.folder), "-m", str(tmp_path / "other.safetensors"), "--tile", "64", "64"]
    assert main([*words, "-o", str(tmp_path / "new.msam"), "--csv", str(tmp_path / "a.csv")]) == 0
    said = capsys.readouterr()
    assert "objects are kept" in said.out
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table.columns) == ["before", "after", "area_before", "area_after", "iou", "what"]
    assert set(table.before) - {0} == set(np.unique(labels)) - {0}
    assert main([*words, "-o", str(tmp_path / "new.msam")]) == 2
    assert "Name a new folder" in capsys.readouterr().err


def test_mistakes(cells, tmp_path, nano, capsys):
    one, _ = cells
    with pytest.raises(ProjectError, match="Give the one it was made of"):
        rerun(one.folder, Image(np.eye(9)), nano)
    assert main(["rerun", str(tmp_path), "-m", "nano"]) == 2
    assert "NAME-HASH" in capsys.readouterr().err
    (tmp_path / "cells.tif").unlink()
    assert main(["rerun", str(one.folder), "-m", "nano"]) == 2
    assert "--image" in capsys.readouterr().err
    assert main(["rerun", str(one.folder), "-m", "nano", "--halo", "3", "3"]) == 2
    assert "Give --tile as well" in capsys.readouterr().err
