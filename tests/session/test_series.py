"""Where one is in a series, and what has become of its images."""

import json
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from microsam_nb.session import AddPoint, LoadLabels, Session
from microsam_nb.session.records import Entry, Record, Status, read_record, write_record
from microsam_nb.session.series import Begin, Finish, Jump, Noted, Open, Opened, Refused, SeriesSession, Turn


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def series(tmp_path, clock):
    """Four images of which the folders exist; none is open."""
    entries = []
    for name in "abcd":
        (tmp_path / f"{name}.tif").write_bytes(b"")
        folder = tmp_path / f"{name}.msam"
        folder.mkdir()
        entries.append(Entry(f"{name}.tif", tmp_path / f"{name}.tif", folder, tmp_path / f"{name}-labels.tif"))
    return SeriesSession(entries, clock)


def enter(series, index):
    session = Session((1, 20, 20))
    series.handle(Opened(index, session))
    return session


def test_it_begins_at_the_first_image_that_is_not_finished(series):
    for index, kept in enumerate((Status.DONE, Status.SKIPPED)):
        write_record(series.entries[index].folder, Record(kept))
    series.refresh()
    assert series.handle(Begin()) == Open(2, 1, True)


def test_when_all_are_finished_it_begins_at_the_first(series):
    for one in series.entries:
        write_record(one.folder, Record(Status.DONE))
    series.refresh()
    assert series.handle(Begin()) == Open(0, 1, False)


def test_next_and_previous_go_through_all_images_and_stop_at_the_ends(series):
    enter(series, 1)
    assert series.handle(Turn(1)) == Open(2, 1)
    assert series.handle(Turn(-1)) == Open(0, -1)
    enter(series, 3)
    assert series.handle(Turn(1)) is None
    assert "last" in series.notice.text
    assert series.handle(Jump(1)) == Open(1)
    assert series.handle(Jump(3)) is None
    assert series.handle(Jump(9)) is None


def test_finishing_goes_to_the_next_unfinished_and_from_the_end_to_the_beginning(series):
    enter(series, 3)
    assert series.handle(Finish()) == Open(0, 1, True)
    assert read_record(series.entries[3].folder).kept is Status.DONE
    enter(series, 0)
    assert series.handle(Finish(Status.SKIPPED)) == Open(1, 1, True)
    enter(series, 1)
    assert series.handle(Finish()) == Open(2, 1, True)
    enter(series, 2)
    assert series.handle(Finish()) is None
    assert series.notice.text == "All images are finished: 3 done, 1 skipped."
    assert series.count(Status.DONE) == 3


def test_what_cannot_be_opened_is_passed_over_with_its_sentence(series):
    enter(series, 0)
    wanted = series.handle(Finish())
    wanted = series.handle(Refused(wanted, Status.UNREADABLE, "b is broken."))
    assert wanted == Open(2, 1, True)
    assert series.notice.text == "b is broken."
    enter(series, 2)
    # It is still told when the next image is there.
    assert series.notice.text == "b is broken."
    series.handle(Noted(3, Status.MISSING, "d is gone."))
    assert series.handle(Turn(1)) is None
    assert series.handle(Finish()) is None
    assert "Left: d.tif (missing). 1 cannot be read: b.tif." in series.notice.text


def test_a_jump_to_what_cannot_be_opened_stays(series):
    enter(series, 0)
    assert series.handle(Refused(series.handle(Jump(2)), Status.LOCKED, "Somebody has it.")) is None
    assert series.at == 0
    assert series.notice.error


def test_an_image_is_begun_with_the_first_prompt_and_counts_time_and_objects(series, clock):
    session = enter(series, 0)
    assert series.current.status is Status.UNTOUCHED
    clock.now += 5
    session.handle(AddPoint(5, 5))
    assert series.current.status is Status.STARTED
    assert read_record(series.current.folder).kept is Status.STARTED
    # A break is no work.
    clock.now += 3600
    session.handle(AddPoint(9, 9))
    clock.now += 7
    session.handle(AddPoint(12, 9))
    series.keep()
    kept = json.loads((series.current.folder / "image.json").read_text())
    assert kept["seconds"] == pytest.approx(12)


def test_an_image_with_a_prompt_of_before_is_begun(series):
    """As a kernel leaves it that is killed before the beginning was noted."""
    session = Session((1, 20, 20))
    session.handle(AddPoint(5, 5))
    series.handle(Opened(0, session))
    assert series.current.status is Status.STARTED
    series.keep()
    assert read_record(series.current.folder).kept is Status.STARTED


def test_what_is_wanted_is_known_before_anything_is_written(series):
    enter(series, 1)
    for action in (Finish(), Turn(1), Turn(-1), Jump(3), Jump(1), Jump(9)):
        wanted = action.target(series)
        assert series.entries[1].record == Record()
        assert not (series.entries[1].folder / "image.json").exists()
        assert wanted == action.apply(series)
        enter(series, 1)
        series.entries[1] = replace(series.entries[1], record=Record())
        (series.entries[1].folder / "image.json").unlink(missing_ok=True)


def test_labels_that_were_there_are_nobodys_work(series):
    session = Session((1, 20, 20))
    session.handle(LoadLabels.of(np.eye(20, dtype=int)))
    series.handle(Opened(0, session))
    assert series.current.status is Status.UNTOUCHED


def test_another_process_has_an_image(series):
    folder = series.entries[1].folder
    (folder / "owner.json").write_text(json.dumps({"pid": 7, "host": socket.gethostname(), "user": "anna"}))
    # It was left by one that was killed.
    series.refresh()
    assert series.entries[1].status is Status.UNTOUCHED
    with FileLock(folder / "lock"):
        series.refresh()
        assert series.entries[1].status is Status.LOCKED
        assert "anna, process 7" in series.entries[1].problem
        enter(series, 0)
        assert series.handle(Turn(1)) == Open(2, 1)
    series.refresh()
    assert series.entries[1].obstacle is None


def test_a_file_that_vanishes_and_comes_back(series):
    path = series.entries[2].path
    path.unlink()
    series.refresh()
    assert series.entries[2].status is Status.MISSING
    assert "put the file back" in series.entries[2].problem
    path.write_bytes(b"")
    series.refresh()
    assert series.entries[2].status is Status.UNTOUCHED


def test_what_a_record_cannot_say_is_untouched(tmp_path):
    for text in ("", "{", '{"kept": "lost"}', '{"kept": "done"}', "[]"):
        (tmp_path / "image.json").write_text(text)
        assert read_record(tmp_path) == Record()
    with pytest.raises(OSError, match="No such file"):
        write_record(tmp_path / "none", Record())


def test_done_that_cannot_be_written_is_not_done(series, monkeypatch):
    enter(series, 0)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space"):
            series.handle(Finish())
    assert series.current.status is Status.UNTOUCHED
    assert series.handle(Finish()) == Open(1, 1, True)
