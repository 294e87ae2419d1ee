"""The journal on disk: torn, damaged, killed, full."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import zlib

import loose
import numpy as np
import pytest
from loose import annotate

from microsam_nb.core import BoxPrompt, Ellipse, Image, Mask, MaskPrompt, Point, Polygon, PromptError, Scribble
from microsam_nb.session import (
    AddPoint,
    AddPrompt,
    Cancel,
    Commit,
    Embedded,
    Failed,
    LayerName,
    Project,
    Session,
    SetLayer,
    SetTool,
    SetView,
    State,
    Tool,
    Undo,
    Working,
)

SHAPE = (1, 30, 30)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def test_reopening_gives_equal_labels_and_state(path, reopen):
    session = reopen()
    annotate(session, 4)
    session.handle(Undo())
    session.handle(AddPoint(3, 3))
    again = reopen()
    assert np.array_equal(again.labels.volume, session.labels.volume)
    assert again.state == session.state
    assert again.awaiting == session.awaiting is not None
    annotate(again, 2, first=10)
    assert again.labels.count() == 5
    assert np.array_equal(reopen().labels.volume, again.labels.volume)


def test_how_the_user_looks_is_written(path, reopen):
    session = reopen()
    session.handle(SetTool(Tool.BOX))
    session.handle(SetView(1, 2, 3))
    session.handle(SetLayer(LayerName.OBJECTS, visible=False))
    assert len(path.read_bytes().splitlines()) == 3
    assert reopen().state.browsing == session.state.browsing != State().browsing


def test_what_is_not_kept_is_not_written(path, reopen):
    session = reopen()
    for action in (Failed("Broken. Repair it."), Embedded(0, 1.0, "nano"), Working(None), Cancel(), Undo(), SetView()):
        session.handle(action)
    assert not path.exists()


def test_every_line_is_json_with_a_checksum(path, reopen):
    annotate(reopen(), 2)
    for line in path.read_bytes().splitlines():
        values = json.loads(line)
        crc = values.pop("crc")
        assert int(crc, 16) == zlib.crc32(b"{" + line[18:])
        assert next(iter(values)) == "do"


@pytest.mark.parametrize("tail", [b"{", b'{"do":"AddPoint","y":1', b"\xff\xfe", b'{"do":"Undo"}'])
def test_a_torn_last_line_is_dropped(path, reopen, tail):
    session = reopen()
    annotate(session, 2)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    again = reopen()
    assert np.array_equal(again.labels.volume, session.labels.volume)
    assert path.read_bytes() == whole
    annotate(again, 1, first=2)
    assert reopen().labels.count() == 3


@pytest.mark.parametrize("cut", [1, 5, 50])
def test_a_journal_cut_anywhere_opens_with_what_is_whole(path, reopen, cut):
    annotate(reopen(), 3)
    path.write_bytes(path.read_bytes()[:-cut])
    assert reopen().labels.count() == 2


def test_a_full_disk_keeps_the_line_and_writes_it_with_the_next(path, reopen):
    session = reopen()
    annotate(session, 2)
    whole = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # The kernel writes the first few bytes of the next line, then refuses.
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 7, hard))
        session.handle(AddPoint(20, 20))
        assert path.read_bytes() == whole
        assert session.notice.error
        assert "free some disk space" in session.notice.text
        session.handle(AddPoint(21, 21))
        assert path.read_bytes() == whole
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(session.state.prompts) == 2
    session.handle(AddPoint(22, 22))
    assert len(path.read_bytes().splitlines()) == len(whole.splitlines()) + 3
    again = reopen()
    assert again.state.prompts == session.state.prompts
    assert np.array_equal(again.labels.volume, session.labels.volume)


def test_a_missing_folder_keeps_the_work_in_memory(path, reopen, tmp_path):
    session = reopen()
    gone = tmp_path.rename(tmp_path.with_name("gone"))
    annotate(session, 1)
    assert session.labels.count() == 1
    assert "Your work is kept in memory" in session.notice.text
    gone.rename(tmp_path)
    session.handle(AddPoint(20, 20))
    assert not session.notice.error
    assert reopen().labels.count() == 1


def test_what_never_reached_the_disk_is_said_at_closing(tmp_path):
    session = loose.opened(tmp_path, SHAPE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        annotate(session, 1)
        session.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert session.notice.error
    assert "The last 3 steps could not be written" in session.notice.text
    assert "Save the labels to another place" in session.notice.text


WRITER = """
import sys
from pathlib import Path
import numpy as np
sys.path[:0] = sys.argv[1:3]
from loose import annotate
from microsam_nb.core import Image
from microsam_nb.session import Pace, Project, Session, Undo
image = Image(np.arange(900, dtype=np.uint16).reshape(30, 30))
session = Session((1, 30, 30), Project.open(Path(sys.argv[3]), image, "none"), Pace(0.01, 0.02, 0.1))
for i in range(10**6):
    annotate(session, 1, first=i % 30)
    print(i + 1, flush=True)
    if i % 30 == 29:
        while session.can_undo:
            session.handle(Undo())
"""


def test_a_kernel_killed_while_writing_loses_nothing(tmp_path, pytestconfig):
    folder = tmp_path / "cells.msam"
    paths = [pytestconfig.rootpath, pytestconfig.rootpath / "tests/session", folder]
    command = [sys.executable, "-c", WRITER, *map(str, paths)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(20):
            committed = int(child.stdout.readline())
    finally:
        child.send_signal(signal.SIGKILL)
        rest = child.communicate(timeout=60)[0].split()
    assert child.returncode == -signal.SIGKILL
    if rest:
        committed = int(rest[-1])
    image = Image(np.arange(900, dtype=np.uint16).reshape(30, 30))
    # The lock of the killed process is stale and taken over.
    project = Project.open(folder, image, "none")
    session = Session(SHAPE, project)
    try:
        assert session.recovered == ""
        lines = list(project.journal.read())
        assert sum(isinstance(one, Commit) for one in lines) in (committed, committed + 1)
        plain = Session(SHAPE)
        for one in lines:
            plain.handle(one)
        assert np.array_equal(session.labels.volume, plain.labels.volume)
        assert session.state == plain.state
        if committed < 30:
            expected = Session(SHAPE)
            annotate(expected, session.labels.count())
            assert np.array_equal(session.labels.volume, expected.labels.volume)
    finally:
        session.close()
    assert np.array_equal(project.stored(SHAPE).read()[0], session.labels.volume)


PROMPTS = [
    Point(0, 3, 4, positive=False),
    BoxPrompt(0, 1, 2, 9, 8),
    Ellipse(0, 1, 2, 9, 8),
    Polygon(0, ((1, 2), (9, 8), (3, 9))),
    Scribble(0, ((1, 2), (9, 8)), 3, positive=False),
    MaskPrompt(Mask((0, 2, 3), np.ones((1, 4, 4), bool))),
]


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda p: type(p).__name__)
def test_prompts_of_every_kind_are_kept(reopen, prompt):
    session = reopen()
    session.handle(AddPoint(5, 5))
    session.handle(AddPrompt(prompt))
    assert session.state.prompts == (Point(0, 5, 5), prompt)
    assert reopen().state == session.state


def test_a_prompt_outside_is_refused_and_not_written(path, reopen):
    with pytest.raises(PromptError, match="Draw it inside"):
        reopen().handle(AddPrompt(Ellipse(0, 50, 50, 60, 60)))
    assert not path.exists()
