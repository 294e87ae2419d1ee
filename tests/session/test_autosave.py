"""labels.zarr: what is written when, that others can read it, and what happens when it cannot be written."""

from __future__ import annotations

import json
import logging
import os
import resource
import threading
import time

import numpy as np
import pytest
import zarr
from loose import NEVER, Loose, answer, commit, found, kill, opened, square

from microsam_nb.core import Mask, ObjectInfo
from microsam_nb.session import AddPoint, Commit, Delete, Describe, LoadLabels, Pace, Predicted, Redo, SetTool, Undo

SHAPE = (3, 1100, 700)
FAST = Pace(0.05, 0.3, 0.2)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cells.msam"


@pytest.fixture
def start(folder):
    sessions = []

    def make(pace=NEVER, shape=SHAPE):
        if sessions:
            kill(sessions[-1])
        sessions.append(opened(folder, shape, pace))
        return sessions[-1]

    yield make
    kill(sessions[-1])


def until(true, seconds=20.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def chunks(folder):
    """The chunk files, and when they were written."""
    zarr_folder = folder / "labels.zarr"
    found = zarr_folder.iterdir() if zarr_folder.exists() else []
    return {path.name: path.stat().st_mtime_ns for path in found if path.name[0] != "."}


def written(before, after):
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def test_others_read_the_labels(folder, start):
    session = start()
    commit(session, square(500, 500, 30, planes=2), square(1090, 690, 10, plane=2))
    session.handle(Describe(2, "mine", "B"))
    assert session.flush()
    array = zarr.open_array(folder / "labels.zarr", mode="r")
    assert array.shape == SHAPE
    assert array.dtype == np.uint32
    assert array.chunks == (1, 512, 512)
    assert np.array_equal(array[:], session.labels.volume)
    attributes = dict(array.attrs)
    assert attributes == {
        "_ARRAY_DIMENSIONS": ["plane", "y", "x"],
        "upto": 4,
        "journal": "",
        "next_id": 3,
        "objects": 2,
        "pixels": 1900,
        "infos": {
            "1": {"score": 0.75, "name": "", "category": "", "checked": False, "probability": None},
            "2": {"score": 0.75, "name": "mine", "category": "B", "checked": False, "probability": None},
        },
    }


def test_a_small_image_has_small_chunks(folder, start):
    session = start(shape=(1, 20, 30))
    commit(session, square(3, 4))
    assert session.flush()
    array = zarr.open_array(folder / "labels.zarr", mode="r")
    assert array.chunks == (1, 20, 30)
    assert np.array_equal(array[:], session.labels.volume)


def test_only_touched_chunks_are_written(folder, start):
    session = start()
    commit(session, square(10, 10))
    assert session.flush()
    first = chunks(folder)
    assert set(first) == {"0.0.0"}
    commit(session, square(600, 600, plane=1))
    assert session.flush()
    second = chunks(folder)
    assert written(first, second) == {"1.1.1"}
    # An object over the corner of four chunks, in two planes.
    commit(session, square(508, 508, 9, planes=2))
    assert session.flush()
    third = chunks(folder)
    assert written(second, third) == {f"{p}.{y}.{x}" for p in (0, 1) for y in (0, 1) for x in (0, 1)}
    session.handle(SetTool("box"))
    session.handle(AddPoint(30, 30))
    assert session.flush()
    assert chunks(folder) == third
    session.handle(Undo())  # of the point
    session.handle(Undo())  # of the object
    assert session.flush()
    assert set(chunks(folder)) == {"0.0.0", "1.1.1"}
    assert np.array_equal(zarr.open_array(folder / "labels.zarr")[:], session.labels.volume)


def test_it_is_saved_soon_after_the_last_change(folder, start):
    session = start(FAST)
    begun = time.monotonic()
    commit(session, square(10, 10))
    assert not chunks(folder)
    until(lambda: session._stored.stamp() is not None)
    assert time.monotonic() - begun >= FAST.quiet
    assert session._stored.stamp().upto == 3
    # Nothing changed: nothing is written.
    before = (folder / "labels.zarr" / ".zattrs").stat().st_mtime_ns
    time.sleep(0.15)
    assert (folder / "labels.zarr" / ".zattrs").stat().st_mtime_ns == before


def test_who_never_pauses_is_saved_all_the_same(folder, start):
    session = start(Pace(quiet=1e6, latest=0.2))
    begun = time.monotonic()
    i = 0
    while session._stored.stamp() is None:
        commit(session, square(4 * (i // 100 % 100), 4 * (i % 100)))
        assert time.monotonic() - begun < 20
        i += 1
    assert time.monotonic() - begun >= 0.2


def test_many_quick_changes_are_saved_together(folder, start):
    session = start(Pace(quiet=0.1, latest=5))
    for i in range(50):
        commit(session, square(5 * i, 5))
    until(lambda: session._stored.stamp() is not None)
    assert session._autosave.chunks <= 4


def test_handle_never_waits_for_the_disk(folder, start, monkeypatch):
    session = start(Pace(0, 0, 0.1))
    go, begun = threading.Event(), threading.Event()
    real = type(session._stored).write

    def slow(self, chunk, labels):
        begun.set()
        assert go.wait(20)
        return real(self, chunk, labels)

    monkeypatch.setattr(type(session._stored), "write", slow)
    commit(session, square(10, 10))
    assert begun.wait(20)
    for i in range(20):
        commit(session, square(10, 20 + 5 * i))
    assert session.labels.count() == 21
    assert session._stored.stamp() is None  # in between it says that it is not finished
    go.set()
    until(lambda: session._stored.stamp() is not None)
    assert session.flush()
    assert np.array_equal(session._stored.read()[0], session.labels.volume)


def test_closing_brings_it_up_to_date(folder, start):
    session = start()
    commit(session, square(10, 10))
    session.handle(SetTool("box"))
    session.close()
    stored = Loose(folder).stored(SHAPE)
    assert stored.stamp().upto == 4
    assert np.array_equal(stored.read()[0], session.labels.volume)
    # Also when only the journal went on.
    session = start()
    session.handle(AddPoint(30, 30))
    session.close()
    assert stored.stamp().upto == 5


def test_a_session_without_objects_leaves_no_file(folder, start):
    session = start()
    session.handle(AddPoint(3, 3))
    session.close()
    assert not (folder / "labels.zarr").exists()


def test_reopening_writes_only_what_changed_since(folder, start):
    session = start()
    commit(session, square(10, 10))
    commit(session, square(600, 600))
    assert session.flush()
    before = chunks(folder)
    commit(session, square(10, 600))
    again = start()
    again.close()
    assert written(before, chunks(folder)) == {"0.0.1"}
    assert np.array_equal(again._stored.read()[0], session.labels.volume)


@pytest.mark.parametrize("moment", range(8))
def test_killed_at_any_write_it_is_whole_after_reopening(folder, start, monkeypatch, moment):
    """Every file operation of a save is the last one once."""
    session = start()
    commit(session, square(10, 10, 20, planes=3))
    assert session.flush()
    old = session.labels.volume.copy()
    session.handle(Delete((1,)))
    commit(session, square(15, 15, 20, planes=3))
    count = 0

    class Killed(BaseException):
        pass

    real = os.replace

    def replace(a, b):
        nonlocal count
        count += 1
        if count > moment:
            raise Killed
        real(a, b)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        try:
            session.flush()
            done = True
        except Killed:
            done = False
    # Mark, three chunks, stamp.
    assert done == (moment >= 5)
    stamp = session._stored.stamp()
    if moment == 0:
        assert (stamp.upto, stamp.objects) == (3, 1)
        assert np.array_equal(session._stored.read()[0], old)
    elif done:
        assert stamp.upto == 7
    else:
        assert stamp is None
    # A process that is really killed does not tidy up.
    (folder / "labels.zarr" / "0.0.0.7.part").write_text("")
    again = start()
    assert again.recovered == ""
    again.close()
    assert np.array_equal(again.labels.volume, session.labels.volume)
    assert np.array_equal(again._stored.read()[0], session.labels.volume)
    assert again._stored.stamp().upto == 7
    assert not list((folder / "labels.zarr").glob("*.part"))


def test_a_full_disk_is_said_once_and_tried_again(folder, start):
    session = start(FAST)
    said = []
    session.changed.connect(lambda change: change.notice and said.append(session.notice))
    commit(session, square(10, 10))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    random = np.random.default_rng(0)
    noisy = Mask.crop(random.random((1, 400, 400)) > 0.5, (0, 40, 40))
    session.handle(AddPoint(100, 100))
    answer(session, noisy)
    session.handle(Commit())
    try:
        # Chunks do not fit any more; the lines of the journal do.
        size = (folder / "journal.jsonl").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 600, hard))
        until(lambda: any(one.error for one in said))
        (complaint,) = [one for one in said if one.error]
        assert "labels.zarr cannot be written (File too large)" in complaint.text
        assert "Your objects are safe in the journal" in complaint.text
        assert "free some disk space" in complaint.text
        time.sleep(2.5 * FAST.retry)
        assert sum(one.error for one in said) == 1
        assert session._stored.stamp() is None
        session.handle(SetTool("box"))
        assert not session.notice.error
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    until(lambda: session._stored.stamp() is not None)
    until(lambda: "saved in the project folder again" in session.notice.text)
    assert session.flush()
    assert np.array_equal(session._stored.read()[0], session.labels.volume)


def test_a_place_that_cannot_be_written_loses_nothing(folder, start):
    session = start()
    (folder / "labels.zarr.part").write_text("")
    commit(session, square(10, 10))
    session._stored.folder = folder / "journal.jsonl" / "labels.zarr"
    assert not session.flush()
    assert "labels.zarr cannot be written (Not a directory)" in session.notice.text
    commit(session, square(30, 30))
    session.close()
    again = start()
    assert again.recovered == ""
    assert np.array_equal(again.labels.volume, session.labels.volume)
    assert again.flush()
    assert np.array_equal(again._stored.read()[0], session.labels.volume)


def test_whatever_goes_wrong_the_thread_lives_on(folder, start, monkeypatch):
    session = start(FAST)
    logging.getLogger("microsam_nb").disabled = True
    try:
        with monkeypatch.context() as patch:
            patch.setattr(type(session._stored), "begin", lambda self: 1 / 0)
            commit(session, square(10, 10))
            until(lambda: session.notice.error)
        assert "division by zero" in session.notice.text
        until(lambda: session._stored.stamp() is not None)
    finally:
        logging.getLogger("microsam_nb").disabled = False


@pytest.mark.parametrize("what", ["a file", "another array", "of another shape"])
def test_what_is_in_the_way_is_put_aside(folder, start, what):
    folder.mkdir()
    place = folder / "labels.zarr"
    if what == "a file":
        place.write_text("precious")
    else:
        shape = SHAPE if what == "another array" else (1, 20, 20)
        zarr.create_array(place, shape=shape, chunks=shape, dtype="uint32", zarr_format=2)[:] = 7
    session = start()
    assert session.recovered == ""
    commit(session, square(10, 10))
    assert session.flush()
    assert np.array_equal(zarr.open_array(place)[:], session.labels.volume)
    (aside,) = [path for path in folder.iterdir() if path.name.startswith("labels-damaged-")]
    if what == "a file":
        assert aside.read_text() == "precious"
    else:
        assert (zarr.open_array(aside)[:] == 7).all()


def test_a_mark_of_an_unfinished_write_can_be_seen_by_others(folder, start):
    session = start()
    commit(session, square(10, 10))
    session._stored.begin()
    attributes = json.loads((folder / "labels.zarr" / ".zattrs").read_text())
    assert attributes["writing"] is True
    assert "upto" not in attributes


def test_loading_a_volume_is_a_short_line(folder, start):
    shape = (8, 1024, 1024)
    volume = np.zeros(shape, np.uint16)
    yy, xx = np.indices((40, 40))
    disk = (yy - 20) ** 2 + (xx - 20) ** 2 <= 18**2
    corners = [(y, x) for y in range(0, 1000, 50) for x in range(0, 1000, 50)]
    for number, (y, x) in enumerate(corners, start=1):
        volume[:, y : y + 40, x : x + 40][:, disk] = number
    session = start(shape=shape)
    session.handle(LoadLabels.of(volume, "cells.tif"))
    assert session.labels.count() == 400
    assert (folder / "journal.jsonl").stat().st_size < volume.nbytes / 200
    assert session.labels.area(400) == 8 * disk.sum()
    session.handle(Undo())
    assert session.labels.count() == 0
    session.handle(Redo())
    session.close()
    again = start(shape=shape)
    assert np.array_equal(again.labels.volume, volume)


def test_stamps_and_infos_come_back(folder, start):
    session = start()
    session.handle(AddPoint(1, 1))
    session.handle(Predicted(session.awaiting, found(square(1, 1), score=0.25, origin="hand")))
    session.handle(Commit())
    assert session.flush()
    stamp = session._stored.stamp()
    assert stamp.infos == {1: ObjectInfo(None)}
    assert (stamp.upto, stamp.next_id, stamp.objects, stamp.pixels) == (3, 2, 1, 16)
