"""The journal on disk: torn, damaged, killed, full."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest

from microsam_nb.core import (
    BoxPrompt,
    Ellipse,
    Image,
    Mask,
    MaskPrompt,
    Point,
    Polygon,
    ProjectError,
    PromptError,
    Scribble,
    Stop,
)
from microsam_nb.session import AddPoint, AddPrompt, Commit, Predicted, Project, Session, SetTool, Tool, Undo
from microsam_nb.session.journal import Journal

SHAPE = (1, 30, 30)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def opened(path):
    return Session(SHAPE, SimpleNamespace(journal=Journal(path), check=lambda: None, close=lambda: None))


def annotate(session, count, first=0):
    """Commit small squares side by side."""
    for i in range(first, first + count):
        y, x = 5 * (i // 6) % 30, 5 * (i % 6)
        session.handle(AddPoint(y + 0.5, x + 0.5))
        session.handle(Predicted(session.awaiting, Mask((0, y, x), np.ones((1, 4, 4), bool)), 0.75, "points"))
        session.handle(Commit())


def test_reopening_gives_equal_labels_and_state(path):
    session = opened(path)
    annotate(session, 4)
    session.handle(Undo())
    session.handle(AddPoint(3, 3))
    again = opened(path)
    assert np.array_equal(again.labels.volume, session.labels.volume)
    assert again.state == session.state
    assert again.awaiting == session.awaiting is not None
    annotate(again, 2, first=10)
    assert again.labels.count() == 5
    assert np.array_equal(opened(path).labels.volume, again.labels.volume)


def test_looking_around_is_not_written(path):
    session = opened(path)
    session.handle(SetTool(Tool.BOX))
    assert not path.exists()


@pytest.mark.parametrize("tail", [b"{", b'{"do":"AddPoint","y":1', b"\xff\xfe", b'{"do":"Undo"}'])
def test_a_torn_last_line_is_dropped(path, tail):
    session = opened(path)
    annotate(session, 2)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    again = opened(path)
    assert np.array_equal(again.labels.volume, session.labels.volume)
    assert path.read_bytes() == whole
    annotate(again, 1, first=2)
    assert opened(path).labels.count() == 3


@pytest.mark.parametrize("cut", [1, 5, 50])
def test_a_journal_cut_anywhere_opens_with_what_is_whole(path, cut):
    annotate(opened(path), 3)
    path.write_bytes(path.read_bytes()[:-cut])
    assert opened(path).labels.count() == 2


@pytest.mark.parametrize(
    "line",
    [
        b"rubbish",
        b"",
        b"\xff\xfe",
        b"[1, 2]",
        b"null",
        b'{"do":"Dance"}',
        b'{"do":"Undo","twice":true}',
        b'{"do":"AddPoint"}',
        b'{"do":"AddPoint","y":"a","x":1}',
        b'{"do":"AddPoint","y":99,"x":1}',
        b'{"do":"RemovePrompt","index":7}',
        b'{"do":"Commit","overlap":"merge"}',
        b'{"do":"Predicted","ticket":1,"mask":{"start":[0,0,0],"shape":[1,1,1],"bits":"AAAA"},"score":1,"origin":""}',
        b'{"do":"Predicted","ticket":1,"mask":{"start":[0,0,0],"shape":[1,1,1],"bits":"%"},"score":1,"origin":""}',
        b'{"do":"Predicted","ticket":1,"mask":5,"score":1,"origin":""}',
    ],
)
def test_a_damaged_line_in_the_middle_is_named(path, line):
    session = opened(path)
    session.handle(AddPoint(5, 5))
    first = path.read_bytes()
    path.write_bytes(first + line + b"\n" + b'{"do":"Undo"}\n')
    with pytest.raises(ProjectError) as error:
        opened(path)
    assert "restore it, or open another project" in error.value.remedy
    assert "Line 2" in error.value.what
    assert path.read_bytes().startswith(first + line)


def test_a_full_disk_keeps_the_line_and_writes_it_with_the_next(path):
    session = opened(path)
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
    again = opened(path)
    assert again.state.prompts == session.state.prompts
    assert np.array_equal(again.labels.volume, session.labels.volume)


def test_a_missing_folder_keeps_the_work_in_memory(path, tmp_path):
    session = opened(tmp_path / "gone" / "journal.jsonl")
    annotate(session, 1)
    assert session.labels.count() == 1
    assert "Your work is kept in memory" in session.notice.text
    (tmp_path / "gone").mkdir()
    session.handle(AddPoint(20, 20))
    assert opened(tmp_path / "gone" / "journal.jsonl").labels.count() == 1


WRITER = """
import sys
import numpy as np
sys.path[:0] = [{root!r}, {here!r}]
from test_journal import annotate
from microsam_nb.core import Image
from microsam_nb.session import Project, Session
image = Image(np.arange(900, dtype=np.uint16).reshape(30, 30))
session = Session((1, 30, 30), Project.open({folder!r}, image, "none"))
for i in range(10**6):
    annotate(session, 1, first=i % 30)
    print(i + 1, flush=True)
    if i % 30 == 29:
        from microsam_nb.session import Undo
        while session.can_undo:
            session.handle(Undo())
"""


def test_a_kernel_killed_while_writing_loses_nothing(tmp_path, pytestconfig):
    folder = tmp_path / "cells.msam"
    script = textwrap.dedent(WRITER).format(
        root=str(pytestconfig.rootpath), here=str(pytestconfig.rootpath / "tests/session"), folder="FOLDER"
    )
    script = script.replace("'FOLDER'", f"__import__('pathlib').Path({str(folder)!r})")
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
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
    try:
        session = Session(SHAPE, project)
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
        project.close()


PROMPTS = [
    Point(0, 3, 4, positive=False),
    BoxPrompt(0, 1, 2, 9, 8),
    Ellipse(0, 1, 2, 9, 8),
    Polygon(0, ((1, 2), (9, 8), (3, 9))),
    Scribble(0, ((1, 2), (9, 8)), 3, positive=False),
    MaskPrompt(Mask((0, 2, 3), np.ones((1, 4, 4), bool))),
    Stop(0),
]


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda p: type(p).__name__)
def test_prompts_of_every_kind_are_kept(path, prompt):
    session = opened(path)
    session.handle(AddPoint(5, 5))
    session.handle(AddPrompt(prompt))
    assert session.state.prompts == (Point(0, 5, 5), prompt)
    assert opened(path).state == session.state


def test_a_box_takes_the_place_of_an_earlier_box(path):
    session = opened(path)
    for box in (PROMPTS[1], BoxPrompt(0, -5, 3, 9, 8)):
        session.handle(AddPrompt(box))
    assert session.state.prompts == (BoxPrompt(0, 0, 3, 9, 8),)


def test_a_prompt_outside_is_refused_and_not_written(path):
    with pytest.raises(PromptError, match="Draw it inside"):
        opened(path).handle(AddPrompt(Ellipse(0, 50, 50, 60, 60)))
    assert not path.exists()


@pytest.mark.parametrize("prompt", ['{"kind":"star"}', '{"kind":"polygon","plane":0,"points":[[1,2]]}', "5", "{}"])
def test_a_damaged_prompt_names_its_line(path, prompt):
    path.write_text(f'{{"do":"AddPrompt","prompt":{prompt}}}\n')
    with pytest.raises(ProjectError) as error:
        opened(path)
    assert "Line 1 of" in error.value.what
