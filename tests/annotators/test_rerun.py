"""A project again with another model: same prompts, new answers."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from annotation import Annotation, annotate_cells

from microsam_nb.__main__ import main
from microsam_nb.annotators import rerun as replaying
from microsam_nb.annotators import service
from microsam_nb.annotators.rerun import rerun
from microsam_nb.annotators.service import EngineService
from microsam_nb.core import FileError, Image, Mask, ProjectError
from microsam_nb.engine.training.embedded import save_embedded
from microsam_nb.session import (
    AcceptCandidates,
    AcceptGuesses,
    AddPoint,
    Cancel,
    Commit,
    Delete,
    Describe,
    Extend,
    ExtendObject,
    FindAll,
    Merge,
    Predicted,
    Redo,
    Select,
    SetPlane,
    StopCarrying,
    Undo,
)
from microsam_nb.session.actions import LostStep
from microsam_nb.session.actions.classifying import Guessed
from microsam_nb.session.story import read_story, without_undone


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


def test_a_damaged_line_is_told_and_not_done(cells, nano, tmp_path):
    one, _ = cells
    journal = one.folder / "journal.jsonl"
    lines = journal.read_bytes().split(b"\n")
    place = next(i for i, line in enumerate(lines) if b'"AddPoint"' in line)
    lines[place] = lines[place].replace(b'"AddPoint"', b'"AddPaint"')
    journal.write_bytes(b"\n".join(lines))
    found = rerun(one.folder, one.image, nano, output=tmp_path / "new.msam")
    assert any(f"Line {place + 1} of the journal" in note for note in found.notes)
    assert found.session.labels.count()
    assert not any(isinstance(action, LostStep) for action in read_story(tmp_path / "new.msam").actions)


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


def blind_to(area, monkeypatch):
    """Let the model find nothing in an area, in a replay."""

    class Blind(EngineService):
        def __call__(self, request):
            for one in super().__call__(request):
                yield replace(one, found=tuple(map(self.seen, one.found))) if isinstance(one, Predicted) else one

        def seen(self, found):
            mask = found.mask
            hit = mask.area and (area[mask.box.slices[1:]] & mask.bitmap[0]).any()
            return replace(found, mask=Mask.crop(np.zeros((1, 1, 1), bool), (0, 0, 0))) if hit else found

    monkeypatch.setattr(replaying, "EngineService", Blind)


def carry(one, sections):
    """Carry the object in hand on until so many sections are found, then stop that."""
    (question,) = [r for r in one.session.handle(ExtendObject()).requests if isinstance(r, Extend)]
    before = one.session.state.sections
    for answer in one.service(question) if sections else ():
        one.session.handle(answer)
        if len(one.session.state.sections) - len(before) >= sections:
            break
    one.session.handle(Cancel())


def test_an_object_ends_where_it_was_stopped(tmp_path, drawn, nano, monkeypatch):
    monkeypatch.setattr(service, "_PAUSE", -1.0)
    image = Image(np.stack([drawn.pixels] * 7), "zyx", "stack")
    one = Annotation(tmp_path / "stack.msam", image, nano)
    y, x = np.argwhere(drawn.labels == 1).mean(0)
    one.do(SetPlane(3), AddPoint(y, x, plane=3))
    carry(one, 2)
    one.do(Commit(), SetPlane(0))
    y, x = np.argwhere(drawn.labels == 2).mean(0)
    one.do(AddPoint(y, x, plane=0))
    carry(one, 0)  # before anything was found
    one.do(Commit())
    labels = one.close()
    ends = [np.flatnonzero((labels == n).any((1, 2))).tolist() for n in (1, 2)]
    assert ends == [[2, 3, 4], [0]]
    assert sum(isinstance(action, StopCarrying) for action in read_story(one.folder).actions) == 2
    found = rerun(one.folder, image, nano)
    assert np.array_equal(found.session.snapshot(), labels)
    assert not found.notes
    image = tmp_path / "stack.npy"
    np.save(image, np.stack([drawn.pixels] * 7))
    assert main(["export", str(one.folder), "--image", str(image), "--script", str(tmp_path / "a.py"), "-q"]) == 0


def test_what_is_done_with_a_lost_object_is_left_out(tmp_path, drawn, nano, monkeypatch):
    """The first object is not found any more: what was picked after it must not hit another one."""
    one = Annotation(tmp_path / "cells.msam", Image(drawn.pixels, name="cells"), nano)
    middles = [np.argwhere(drawn.labels == n).mean(0) for n in (1, 2)]
    for middle in middles:
        one.do(AddPoint(*middle), Commit())
    one.do(
        Select((2,)),
        Select((1,)),
        Merge((2, 1)),
        Undo(),
        Describe(1, name="lost"),
        Describe(2, name="kept"),
        Delete((1,)),
    )
    one.do(Select((1, 2)), AddPoint(*middles[0]), Commit())
    one.close()
    blind_to(drawn.labels == 1, monkeypatch)
    found = rerun(one.folder, one.image, nano)
    assert [(row.before, row.after, row.what) for row in found.objects] == [(2, 1, "kept"), (3, 0, "lost")]
    assert found.objects[0].iou == 1
    assert {info.name for info in found.session.infos.values()} == {"kept"}
    assert any("Describe is left out" in note for note in found.notes)
    assert found.session.selected == (1,)


def test_objects_are_found_in_the_plane_where_they_were_looked_for(tmp_path, drawn, nano):
    pixels = np.stack([drawn.pixels, np.roll(drawn.pixels, 7, 1)])
    image = Image(pixels, "zyx", "stack")
    one = Annotation(tmp_path / "stack.msam", image, nano)
    one.do(SetPlane(1))
    (request,) = one.session.handle(FindAll()).requests
    answers = list(one.service(request))
    one.session.handle(SetPlane(0))  # somebody goes on before they are there
    for answer in answers:
        one.session.handle(answer)
    one.do(AcceptCandidates())
    labels = one.close()
    assert (labels.any((1, 2)) == [False, True]).all()
    found = rerun(one.folder, image, nano)
    assert np.array_equal(found.session.snapshot(), labels)


def test_predicted_classes_stay_with_their_objects(tmp_path, drawn, nano, monkeypatch):
    """The numbers of objects are others where an earlier one is lost."""
    one = Annotation(tmp_path / "cells.msam", Image(drawn.pixels, name="cells"), nano)
    for n in (1, 2, 3):
        one.do(AddPoint(*np.argwhere(drawn.labels == n).mean(0)), Commit())
    guesses = tuple(Guessed(n, f"class {n}", 0.5) for n in (1, 2, 3))
    one.do(AcceptGuesses(guesses))
    one.close()
    blind_to(drawn.labels == 1, monkeypatch)
    found = rerun(one.folder, one.image, nano)
    numbers = {row.before: row.after for row in found.objects}
    assert numbers[1] == 0
    infos = found.session.infos
    assert {n: infos[numbers[n]].category for n in (2, 3)} == {2: "class 2", 3: "class 3"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_new_project_is_whole_or_not_there(cells, nano, tmp_path, error):
    one, labels = cells
    place = tmp_path / "out" / "new.msam"

    def told(done, total):
        if done == total // 2:
            assert any(place.parent.iterdir())
            raise error

    with pytest.raises((error, FileError)):
        rerun(one.folder, one.image, nano, output=place, told=told)
    assert not any(place.parent.iterdir())
    # One that was killed leaves what it had; others' folders and files are none of ours.
    (place.parent / "new.msam.6.part").write_text("")
    for name, file in (("new.msam.7.part", "meta.json"), ("new.msam.8.part", "lock"), ("new.msam.9.part", "thesis")):
        (place.parent / name).mkdir()
        (place.parent / name / file).write_text("{}")
    found = rerun(one.folder, one.image, nano, output=place)
    assert sorted(path.name for path in place.parent.iterdir()) == [
        "new.msam",
        "new.msam.6.part",
        "new.msam.9.part",
    ]
    assert np.array_equal(read_story(place).told(one.image).snapshot(), labels)
    assert found.session.labels.count() == len(np.unique(labels)) - 1
    with pytest.raises(FileError, match="Name a new folder"):
        rerun(one.folder, one.image, nano, output=place)


def test_the_command(cells, tmp_path, random_nano, monkeypatch, capsys):
    one, labels = cells
    save_embedded(random_nano, tmp_path / "other.safetensors", note="random")
    words = ["rerun", str(one.folder), "-m", str(tmp_path / "other.safetensors"), "--tile", "64", "64"]
    assert main([*words, "-o", str(tmp_path / "new.msam"), "--csv", str(tmp_path / "a.csv")]) == 0
    said = capsys.readouterr()
    assert re.search(r"^\d+ objects? (is|are) kept", said.out, re.M)
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table.columns) == ["before", "after", "area_before", "area_after", "iou", "what"]
    assert set(table.before) - {0} == set(np.unique(labels)) - {0}
    assert main([*words, "-o", str(tmp_path / "new.msam")]) == 2
    assert "Name a new folder" in capsys.readouterr().err
    assert main([*words, "--csv", str(tmp_path / "a.csv")]) == 2
    assert "--overwrite" in capsys.readouterr().err
    (tmp_path / "a.csv").write_text("mine")
    assert main([*words, "--csv", str(tmp_path / "a.csv"), "--overwrite", "-q"]) == 0
    assert pd.read_csv(tmp_path / "a.csv").equals(table)
    assert main([*words, "--csv", str(tmp_path / "none" / "a.csv")]) == 2
    assert "Choose a folder that exists" in capsys.readouterr().err

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(replaying, "rerun", stop)
    assert main(words) == 130
    assert "Neither a project nor a table was written" in capsys.readouterr().err


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
