"""Damaged, cut, mixed up and missing: what is recovered of a project, and what the user is told."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
from loose import Loose, annotate, answer, check_index, commit, found, kill, opened, square

from microsam_nb.core import BoxPrompt, Image, ObjectInfo, Overlap, Point, ProjectError
from microsam_nb.session import (
    AddBox,
    AddPoint,
    Commit,
    Describe,
    Embedded,
    LayerName,
    Pace,
    Project,
    Session,
    SetLayer,
    SetOverlap,
    SetTool,
    SetView,
    Suggest,
    Tool,
    Undo,
)

SHAPE = (1, 30, 30)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cells.msam"


@pytest.fixture
def reopen(folder):
    sessions = []

    def again():
        if sessions:
            kill(sessions[-1])
        sessions.append(opened(folder, SHAPE))
        return sessions[-1]

    yield again
    kill(sessions[-1])


def lines(folder):
    return (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)


def write(folder, lines):
    (folder / "journal.jsonl").write_bytes(b"".join(lines))


def index_of(folder, word):
    """The places of the lines that do ``word``."""
    return [i for i, line in enumerate(lines(folder)) if b'"do":"%s"' % word.encode() in line]


def spoil(line):
    """Change one letter in the middle, as a bad sector or an editor does."""
    middle = len(line) // 2
    return line[:middle] + (b"x" if line[middle : middle + 1] != b"x" else b"y") + line[middle + 1 :]


def damaged(folder):
    return sorted(path.name for path in folder.iterdir() if "damaged" in path.name)


def same(one, other):
    assert np.array_equal(one.labels.volume, other.labels.volume)
    assert one.infos == other.infos
    assert one.state == other.state
    assert (one.can_undo, one.can_redo) == (other.can_undo, other.can_redo)


def full(session):
    """Something of everything that is kept."""
    annotate(session, 6)
    session.handle(Describe(2, "mine", "B"))
    session.handle(SetTool(Tool.BRUSH))
    session.handle(SetView(3, 4, 5))
    session.handle(SetLayer(LayerName.OBJECTS, opacity=0.25))
    session.handle(SetOverlap(Overlap.WHOLE))
    session.handle(Suggest(found(square(20, 20))))
    session.handle(AddPoint(25, 25))
    answer(session, square(24, 24))


def test_an_undamaged_project_says_nothing(folder, reopen):
    session = reopen()
    full(session)
    again = reopen()
    same(again, session)
    assert again.recovered == again.notice.text == ""
    assert not damaged(folder)


@pytest.mark.parametrize("word", ["AddPoint", "Predicted", "Commit", "Describe", "SetView", "Suggest"])
@pytest.mark.parametrize("how", ["spoilt", "rubbish", "empty", "binary"])
def test_a_damaged_line_costs_at_most_what_it_said(folder, reopen, word, how):
    session = reopen()
    full(session)
    kill(session)
    old = lines(folder)
    bad = index_of(folder, word)[-1] if word != "Commit" else index_of(folder, word)[2]
    old[bad] = {"spoilt": spoil(old[bad]), "rubbish": b"rubbish\n", "empty": b"\n", "binary": b"\xff\xfe\x00\n"}[how]
    write(folder, old)
    again = reopen()
    labels = set(again.labels)
    if word == "Commit":
        assert len(labels) == 5
    else:
        assert labels == {1, 2, 3, 4, 5, 6}
        assert np.array_equal(again.labels.volume, session.labels.volume)
    assert again.infos[1] == ObjectInfo(0.75)
    if word not in ("Describe",):
        assert ObjectInfo(0.75, "mine", "B") in again.infos.values()
    if word not in ("AddPoint", "Predicted", "Commit", "Describe"):
        assert again.state.proposals == session.state.proposals
        assert again.state.prompts == session.state.prompts
    if word != "SetView":
        assert again.state.browsing == session.state.browsing
    check_index(again.labels)
    # What is said: what happened, what was saved, where the old one is.
    (kept,) = damaged(folder)
    assert f"Line {bad + 1} of journal.jsonl cannot be read" in again.recovered
    assert f"{len(labels)} objects" in again.recovered
    assert kept in again.recovered
    assert "Look whether an object is missing" in again.recovered
    assert again.notice.error
    assert (folder / kept).read_bytes() == b"".join(old)
    # From now on all is well.
    assert len(lines(folder)) == 1
    third = reopen()
    same(third, again)
    assert third.recovered == ""
    annotate(third, 1, first=12)
    same(reopen(), third)


def test_a_recovered_project_can_be_worked_on_undone_and_saved(folder, reopen):
    session = reopen()
    full(session)
    kill(session)
    old = lines(folder)
    write(folder, [old[0], spoil(old[1]), *old[2:]])
    again = reopen()
    assert not again.can_undo
    again.handle(Commit())
    commit(again, square(15, 15))
    again.handle(Undo())
    again.close()
    assert np.array_equal(Loose(folder).stored(SHAPE).read()[0], again.labels.volume)
    same(reopen(), again)


def test_the_sentence_stays_when_the_model_is_ready(folder, reopen):
    session = reopen()
    annotate(session, 2)
    old = lines(folder)
    write(folder, [spoil(old[0]), *old[1:]])
    again = reopen()
    again.handle(Embedded(0, 1.0, "nano"))
    assert again.recovered in again.notice.text
    assert "Ready: model nano" in again.notice.text


def test_several_damaged_lines(folder, reopen):
    session = reopen()
    annotate(session, 6)
    old = lines(folder)
    write(folder, [spoil(line) if i in (0, 5, 9) else line for i, line in enumerate(old)])
    again = reopen()
    assert "3 lines, the first is 1, of journal.jsonl" in again.recovered
    # Only the second object's own line was one of them.
    assert again.labels.count() == 5
    assert not again.labels.volume[0, 0, 5]


def test_an_undo_after_a_damaged_line_takes_no_object_away(folder, reopen):
    session = reopen()
    annotate(session, 2)
    session.handle(AddPoint(25, 25))
    answer(session, square(24, 24))
    session.handle(Undo())
    old = lines(folder)
    bad = index_of(folder, "AddPoint")[-1]
    write(folder, [spoil(line) if i == bad else line for i, line in enumerate(old)])
    assert reopen().labels.count() == 2


@pytest.mark.parametrize(
    "line",
    [
        b'{"do":"AddPoint","y":99,"x":1}',
        b'{"do":"RemovePrompt","index":7}',
        b'{"do":"Redo"}',
        b'{"do":"Predicted","ticket":1,"mask":{"start":[0,0,0],"shape":[1,1,1],"bits":"AAAA"},"score":1,"origin":""}',
        b'{"do":"Predicted","ticket":1,"mask":5,"score":1,"origin":""}',
        b'{"do":"Predicted","ticket":7,"found":[]}',
        b'{"do":"Commit","overlap":"merge"}',
        b'{"do":"AddPoint"}',
        b'{"do":"AddPoint","y":"a","x":1}',
        b'{"do":"AddPrompt","prompt":{"kind":"star"}}',
        b'{"do":"AddPrompt","prompt":{"kind":"polygon","plane":0,"points":[[1,2]]}}',
        b'{"do":"AddPrompt","prompt":5}',
        b'{"do":"Delete","labels":[4]}',
        b'{"do":"LoadLabels","data":"","shape":[1,30,30]}',
        b'{"do":5}',
        b"{}",
        b"[1, 2]",
        b"null",
        b"5",
    ],
)
def test_a_line_without_checksum_that_makes_no_sense_is_left_out(folder, reopen, line):
    """As somebody wrote it by hand, or as it was before lines had a checksum."""
    session = reopen()
    annotate(session, 2)
    session.handle(AddPoint(25, 25))
    state = session.state
    old = lines(folder)
    write(folder, [*old[:6], line + b"\n", *old[6:]])
    again = reopen()
    assert "Line 7 of journal.jsonl" in again.recovered
    assert again.labels.count() == 2
    assert again.state == state
    assert damaged(folder)


# With the labels on disk.


def test_stored_objects_replace_what_the_damaged_line_said(folder, reopen):
    """The line of an object is lost, but labels.zarr was saved after it."""
    session = reopen()
    annotate(session, 4)
    session.handle(Describe(3, "mine"))
    assert session.flush()
    annotate(session, 1, first=4)
    session.handle(SetTool(Tool.BOX))
    session.handle(AddPoint(25, 25))
    old = lines(folder)
    bad = index_of(folder, "Commit")[2]
    write(folder, [spoil(line) if i == bad else line for i, line in enumerate(old)])
    again = reopen()
    assert np.array_equal(again.labels.volume, session.labels.volume)
    assert again.infos == session.infos
    assert again.state.next_id == session.state.next_id
    assert again.state.prompts == session.state.prompts
    assert again.state.browsing == session.state.browsing
    assert "5 objects and 1 prompt (objects from labels.zarr)" in again.recovered


def test_stored_objects_from_before_the_damage_are_not_used(folder, reopen):
    session = reopen()
    annotate(session, 2)
    assert session.flush()
    annotate(session, 2, first=2)
    old = lines(folder)
    write(folder, [spoil(line) if i == index_of(folder, "SetTool") else line for i, line in enumerate(old)])
    write(folder, [*old[:-2], spoil(old[-2]), old[-1]])
    again = reopen()
    assert again.labels.count() >= 3
    assert "labels.zarr" not in again.recovered


@pytest.mark.parametrize("harm", ["chunk", "missing", "mark", "attributes", "pixels"])
def test_stored_objects_that_are_not_whole_are_not_used_but_kept(folder, reopen, harm):
    session = reopen()
    annotate(session, 4)
    assert session.flush()
    zarr = folder / "labels.zarr"
    if harm == "chunk":
        (zarr / "0.0.0").write_bytes(spoil((zarr / "0.0.0").read_bytes()))
    elif harm == "missing":
        (zarr / "0.0.0").unlink()
    elif harm == "mark":
        session._stored.begin()
    elif harm == "attributes":
        (zarr / ".zattrs").write_text("{")
    else:
        session._stored.write((0, 0, 0), np.ones(SHAPE, np.uint32))
    old = lines(folder)
    write(folder, [spoil(line) if i == index_of(folder, "Commit")[2] else line for i, line in enumerate(old)])
    again = reopen()
    assert again.labels.count() == 3
    assert "labels.zarr)" not in again.recovered
    again.close()
    assert np.array_equal(Loose(folder).stored(SHAPE).read()[0], again.labels.volume)


def test_a_missing_journal_is_made_from_the_stored_objects(folder, reopen):
    session = reopen()
    full(session)
    assert session.flush()
    (folder / "journal.jsonl").unlink()
    again = reopen()
    assert np.array_equal(again.labels.volume, session.labels.volume)
    assert again.infos == session.infos
    assert again.state.next_id == session.state.next_id
    assert "journal.jsonl was missing. Recovered: 6 objects and 0 prompts (objects from labels.zarr)" in again.recovered
    assert not damaged(folder)
    same(reopen(), again)


def test_without_journal_some_objects_are_better_than_none(tmp_path):
    shape, folder = (3, 600, 600), tmp_path / "cells.msam"
    session = opened(folder, shape)
    for plane in range(3):
        commit(session, square(10, 10, plane=plane), square(550, 550, plane=plane))
    assert session.flush()
    kill(session)
    (folder / "journal.jsonl").unlink()
    (folder / "labels.zarr" / "1.1.1").write_bytes(b"rubbish")
    again = opened(folder, shape)
    assert sorted(again.labels) == [1, 2, 3, 5, 6]
    assert again.state.next_id == 7
    assert "Part of labels.zarr could not be read either" in again.recovered
    (aside,) = damaged(folder)
    assert aside.startswith("labels-damaged-")
    assert aside in again.recovered
    assert (folder / aside / "1.1.1").read_bytes() == b"rubbish"
    again.close()
    assert np.array_equal(Loose(folder).stored(shape).read()[0], again.labels.volume)


def test_a_journal_that_lost_its_end_gets_the_stored_objects(folder, reopen):
    session = reopen()
    annotate(session, 4)
    assert session.flush()
    write(folder, lines(folder)[:-1])
    again = reopen()
    assert np.array_equal(again.labels.volume, session.labels.volume)
    assert "had lost its last lines" in again.recovered
    assert "4 objects" in again.recovered
    same(reopen(), again)


def test_labels_of_the_journal_before_mean_nothing_to_the_new_one(folder, reopen):
    """Killed between the new journal and the new labels.zarr."""
    session = reopen()
    annotate(session, 4)
    assert session.flush()
    session.handle(Undo())
    old = lines(folder)
    write(folder, [*old[:9], spoil(old[9]), *old[10:]])
    again = reopen()  # labels.zarr is from line 12 of the old journal
    commit(again, square(20, 20))
    third = reopen()
    assert third.recovered == ""
    same(third, again)


def test_a_recovery_that_cannot_be_written_changes_nothing(folder, reopen, monkeypatch):
    session = reopen()
    annotate(session, 2)
    old = lines(folder)
    old[0] = spoil(old[0])
    write(folder, old)

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("microsam_nb.session.journal.os.replace", full_disk)
        with pytest.raises(ProjectError) as error:
            opened(folder, SHAPE)
    assert "Free some disk space" in error.value.remedy
    assert "No space left on device" in error.value.what
    assert lines(folder) == old
    assert sorted(path.name for path in folder.iterdir()) == ["journal.jsonl"]
    assert reopen().labels.count() == 2


def test_the_lock_of_a_project_that_cannot_be_opened_is_released(folder):
    image = Image(np.arange(900, dtype=np.uint16).reshape(30, 30))
    Project.open(folder, image, "nano").close()
    (folder / "journal.jsonl").write_bytes(b'{"do":"Dance"}\n')
    for _ in range(2):
        with pytest.raises(ProjectError, match="Update microsam_nb"):
            Session(SHAPE, Project.open(folder, image, "nano"))
    assert not (folder / "owner.json").exists()


# Newer and older versions.


def signed(values):
    body = json.dumps(values, separators=(",", ":")).encode()
    return b'{"crc":"%08x",%s\n' % (zlib.crc32(body), body[1:])


@pytest.mark.parametrize(
    "line",
    [
        signed({"do": "Dance"}),
        signed({"do": "Undo", "twice": True}),
        signed({"do": "SetTool", "tool": "magic wand"}),
        signed({"do": "AddPrompt", "prompt": {"kind": "star"}}),
        signed({"do": "Commit", "overlap": "merge"}),
        signed({"do": "SetChannels", "channels": [{"visible": True, "gamma": 2}]}),
    ],
)
@pytest.mark.parametrize("damage", [False, True])
def test_what_a_newer_version_wrote_is_refused_and_left_alone(folder, reopen, line, damage):
    session = reopen()
    annotate(session, 2)
    assert session.flush()
    old = lines(folder)
    write(folder, [old[0], spoil(old[1]) if damage else old[1], *old[2:], line, old[0], b'{"torn'])
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ProjectError) as error:
        opened(folder, SHAPE)
    assert error.value.remedy == "Update microsam_nb to open this project; nothing in it was changed."
    assert f"Line {len(old) + 1} of" in error.value.what
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


MASK = '{"start":[0,2,3],"shape":[1,2,4],"bits":"eJz7DwABAAEA"}'
FORMAT_1 = f"""\
{{"do":"AddPoint","y":5.5,"x":6.25,"positive":true,"plane":0}}
{{"do":"AddBox","y0":1,"x0":1,"y1":9,"x1":9,"plane":0}}
{{"do":"AddPrompt","prompt":{{"kind":"box","plane":0,"y0":2.0,"x0":2.0,"y1":8.0,"x1":8.0}}}}
{{"do":"Predicted","ticket":3,"mask":{MASK},"score":0.8125,"origin":"box"}}
{{"do":"Commit","overlap":"keep existing"}}
{{"do":"AddPoint","y":3.0,"x":4.0,"positive":false,"plane":0}}
{{"do":"Undo"}}
{{"do":"Redo"}}
{{"do":"RemovePrompt","index":-1}}
{{"do":"AddBox","y0":10,"x0":10,"y1":19,"x1":19,"plane":0}}
{{"do":"AddBox","y0":11,"x0":11,"y1":18,"x1":18,"plane":0}}
"""


def test_a_journal_of_format_1_is_read_and_continued(folder, reopen):
    folder.mkdir()
    (folder / "journal.jsonl").write_text(FORMAT_1)
    session = reopen()
    assert session.recovered == ""
    # A box took the place of an earlier one then.
    assert session.state.prompts == (BoxPrompt(0, 11, 11, 18, 18),)
    assert session.labels.area(1) == 8
    assert session.infos == {1: ObjectInfo(0.8125)}
    assert (session.labels.volume[0, 2:4, 3:7] == 1).all()
    # Now several boxes are several objects.
    session.handle(AddBox(20, 20, 28, 28))
    assert len(session.state.prompts) == 2
    answer(session, square(11, 11), square(20, 20))
    session.handle(Commit())
    assert lines(folder)[:11] == FORMAT_1.encode().splitlines(keepends=True)
    same(reopen(), session)
    for _ in range(3):
        session.handle(Undo())
    assert session.state.prompts == (BoxPrompt(0, 10, 10, 19, 19),)
    while session.can_undo:
        session.handle(Undo())
    session.handle(AddPoint(1, 1))
    assert session.state.prompts == (Point(0, 1, 1),)
    same(reopen(), session)


def test_a_project_of_format_1_gets_its_labels_saved(folder):
    image = Image(np.arange(900, dtype=np.uint16).reshape(30, 30))
    Project.open(folder, image, "nano").close()
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "format": 1}))
    (folder / "journal.jsonl").write_text(FORMAT_1)
    session = Session(SHAPE, Project.open(folder, image, "nano"), Pace(0.01, 0.02, 0.1))
    session.close()
    volume, whole = Loose(folder).stored(SHAPE).read()
    assert whole
    assert (volume == 1).sum() == 8
    assert json.loads((folder / "meta.json").read_text())["format"] == 2
