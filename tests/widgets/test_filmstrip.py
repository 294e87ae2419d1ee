"""The filmstrip says what has become of the images."""

from dataclasses import replace
from pathlib import Path

import pytest
from ipywidgets.widgets.widget import _instances

from microsam_nb.core import Image
from microsam_nb.session import Session
from microsam_nb.session.records import Entry, Record, Status
from microsam_nb.session.series import Noted, Opened, SeriesSession
from microsam_nb.view import Command, key_of
from microsam_nb.view.series import SIZE, clock, letters, small_picture
from microsam_nb.widgets import close_tree
from microsam_nb.widgets.filmstrip import Filmstrip


@pytest.fixture
def series():
    kinds = (Status.DONE, Status.SKIPPED, Status.STARTED, Status.UNTOUCHED)
    records = [Record(kept, i, 61.0) for i, kept in enumerate(kinds)]
    return SeriesSession([Entry(f"{i}.tif", Path(f"{i}.tif"), Path(), Path(), one) for i, one in enumerate(records)])


@pytest.fixture
def strip(series):
    before = set(_instances)
    one = Filmstrip([entry.name for entry in series.entries])
    yield one
    close_tree(one)
    assert set(_instances) <= before


def test_it_shows_statuses_counts_and_progress(strip, series):
    series.handle(Opened(2, Session((1, 9, 9))))
    series.handle(Noted(3, Status.MISSING, "3.tif is gone."))
    strip.show(series)
    assert strip.marks == "dsbm"
    assert strip.counts == [0, 1, 0, 3]
    assert strip.times[0] == "1:01"
    assert strip.progress == [1, 1, 4, 0]
    assert strip.at == 2
    assert strip.about == "2.tif · 0 objects · 1:01"
    assert strip.problems == {"3": "3.tif is gone."}


def test_the_title_names_the_image_that_is_being_opened_until_it_is_there(strip, series, monkeypatch):
    sent = []
    monkeypatch.setattr(strip, "send", lambda message, buffers=(): sent.append(message["kind"]))
    series.handle(Opened(2, Session((1, 9, 9))))
    strip.stay()
    assert sent == []
    strip.leave("1.tif")
    strip.show(series)
    assert strip.about == "Opening 1.tif ..."
    strip.stay()
    strip.show(series)
    assert strip.about.startswith("2.tif")
    strip.leave("3.tif")
    series.handle(Opened(3, Session((1, 9, 9))))
    strip.opened()
    series.say("No.", error=True)
    strip.show(series)
    assert strip.about.startswith("3.tif")
    assert strip.notice == ["No.", True]
    assert sent == ["leaving", "staying", "leaving", "opened"]


def test_every_button_tells_its_key(strip):
    assert [one["command"] for one in strip.buttons] == [
        "previous-image", "next-image", "done-image", "skip-image"
    ]  # fmt: skip
    assert all(one["title"].endswith(f"[{key_of(Command(one['command']))}]") for one in strip.buttons)


def test_every_status_has_a_letter_of_its_own():
    assert len(set(letters(Status))) == len(Status)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (64.4, "1:04"), (3725, "1:02:05")])
def test_times(seconds, text):
    assert clock(seconds) == text


def test_small_pictures_are_small(drawn_image):
    assert small_picture(drawn_image).startswith(b"\xff\xd8")
    wide = replace(drawn_image, pixels=drawn_image.pixels.repeat(9, 1).repeat(3, 0))
    assert len(small_picture(wide)) < 20_000
    volume = Image(drawn_image.pixels[None].repeat(3, 0), "zyx")
    assert len(small_picture(volume)) < 20_000
    assert SIZE[0] > SIZE[1]
