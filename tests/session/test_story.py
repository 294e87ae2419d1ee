"""What is read of a project without opening it."""

from __future__ import annotations

import numpy as np
import pytest
from loose import commit, square

from microsam_nb.core import Image
from microsam_nb.session import (
    AddPoint,
    Commit,
    ExtendObject,
    Project,
    Session,
    StopCarrying,
    Undo,
)
from microsam_nb.session.story import read_story, without_undone

IMAGE = Image(np.zeros((40, 40), np.uint8), name="cells")


@pytest.fixture
def folder(tmp_path):
    """The folder of a project in which one object was kept, and another one taken back again."""
    session = Session(IMAGE.shape, Project.open(tmp_path / "cells.msam", IMAGE, "nano"))
    commit(session, square(0, 0))
    session.handle(AddPoint(30, 30))
    session.handle(Undo())
    session.close()
    return tmp_path / "cells.msam"


def damage(folder, word):
    """Spoil the last line that does something."""
    path = folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    place = max(i for i, line in enumerate(lines) if b'"do":"%s"' % word in line)
    lines[place] = lines[place].replace(b"crc", b"crx")
    path.write_bytes(b"".join(lines))


def test_what_undid_a_damaged_step_undoes_no_other(folder):
    whole = read_story(folder).told(IMAGE)
    assert set(whole.labels) == {1}
    damage(folder, b"AddPoint")
    story = read_story(folder)
    assert len(story.notes) == 1
    assert set(story.told(IMAGE).labels) == {1}
    assert any(isinstance(one, Commit) for one in without_undone(story.actions))


def test_what_cannot_be_done_again_is_a_step_all_the_same(folder):
    story = read_story(folder)
    *before, step, undo = story.actions
    assert isinstance(undo, Undo)
    impossible = type(step)(1e6, 1e6)
    story = type(story)(folder, "", "yx", "", "", (*before, impossible, undo), ())
    assert set(story.told(IMAGE).labels) == {1}


def test_a_stop_is_undone_with_what_was_stopped():
    click = AddPoint(5, 5)
    assert without_undone([click, ExtendObject(), StopCarrying(), Undo()]) == [click]
