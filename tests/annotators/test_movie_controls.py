"""An annotator of a movie: keys and buttons of tracks, divisions with an object in hand, the panel of tracks."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from microsam_nb.annotators.base import Annotator
from microsam_nb.core import Image, Lineage, Mask, Section, Tracks
from microsam_nb.engine.linking.settings import LinkSettings
from microsam_nb.session import Extend, Extended, Link, Linked, LoadTracks, Select
from microsam_nb.view import MOVIE, Command

FRAMES = 10


class Following:
    """A fake engine that follows objects forward, as they are; all tracks are one square in every frame."""

    def __init__(self, disks):
        self._disks = disks
        self.links = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, request):
        if isinstance(request, Extend):
            first = request.objects[0][0]
            start = first.start[0]
            end = min([stop for stop in request.stops if stop > start], default=FRAMES)
            sections = [
                Section(0, t, Mask((t, *first.start[1:]), first.bitmap), 1.0 if t == start else 0.9, 0.8)
                for t in range(start, end)
            ]
            return [Extended(request.ticket, tuple(sections), True, "following")]
        if isinstance(request, Link):
            self.links.append(request)
            labels = np.zeros(self._disks.shape, np.uint32)
            labels[:, 2:6, 2:6] = 1
            return [Linked.of(request.ticket, Tracks(labels, Lineage({1: ()})))]
        self.gate.wait(20)
        return self._disks(request)


@pytest.fixture
def annotator(disks):
    pixels = np.random.default_rng(0).integers(0, 255, (FRAMES, 64, 64)).astype(np.uint8)
    one = Annotator(
        Image(pixels, "tyx", name="movie"), Following(disks((FRAMES, 64, 64), radius=5)), None,
        linking=LinkSettings.describe,
    )  # fmt: skip
    one.wait()
    yield one
    one.close()


def until(true):
    """Wait for what another thread is about to do."""
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def kin(annotator):
    return dict(annotator.session.state.lineage.daughters)


def show(annotator, frame):
    annotator._controls.looking.look_at(frame)
    annotator.wait()


def panel(annotator):
    annotator._panels.open("Tracks")
    annotator.wait()
    return annotator._panels.made["Tracks"]


def two(annotator):
    """Commit two tracks: 1 in all frames, 2 in frames 6 to 9."""
    labels = np.zeros((FRAMES, 64, 64), np.uint32)
    labels[:, 5:15, 5:15], labels[6:, 30:40, 30:40] = 1, 2
    annotator.session.handle(LoadTracks.of(Tracks(labels, Lineage({1: (), 2: ()}))))
    annotator.wait()


def test_an_object_that_was_followed_divides_with_one_key(annotator, send, key):
    send("click", y=20, x=20)
    key("S", shift=True)
    show(annotator, 4)
    key("D", shift=True)
    assert kin(annotator) == {1: (2,), 2: ()}
    assert annotator.session.state.mother == 1
    assert annotator._planes.mother.value == "Daughters of track 1"
    send("click", y=45, x=45)
    key("S", shift=True)
    key("c")
    assert kin(annotator) == {1: (2, 3), 2: (), 3: ()}
    assert annotator.session.frames(3) == tuple(range(4, FRAMES))
    annotator._planes.done.click()
    annotator.wait()
    assert annotator.session.state.mother == 0
    assert annotator._planes.daughters.layout.display == "none"
    key("z", ctrl=True)
    assert annotator.session.state.mother == 1
    key("z", ctrl=True)
    assert kin(annotator) == {1: (2,), 2: ()}


def test_dividing_waits_for_the_answer_of_the_model(annotator, send, key):
    show(annotator, 2)
    annotator._runner._service.gate.clear()
    send("click", False, y=20, x=20)
    until(lambda: annotator.session.awaiting is not None)
    key("D", False, shift=True, plane=5)
    until(lambda: not annotator._controls.idle)
    assert kin(annotator) == {}
    annotator._runner._service.gate.set()
    annotator.wait()
    assert kin(annotator) == {1: ()}
    assert annotator.session.state.mother == 1
    assert annotator.session.state.browsing.plane == 5


def test_an_object_that_cannot_be_committed_does_not_divide(annotator, send, key):
    two(annotator)
    show(annotator, 7)
    send("click", y=10, x=10)
    before = annotator.labels
    key("D", shift=True)
    assert "This cell is track 1 already" in annotator._status.line.value
    assert annotator.session.state.mother == 0
    assert np.array_equal(annotator.labels, before)


def test_several_objects_in_hand_do_not_divide_at_once(annotator, send, key):
    key("B", shift=True)
    send("click", y=20, x=20)
    send("click", y=45, x=45)
    show(annotator, 3)
    key("D", shift=True)
    assert kin(annotator) == {1: (), 2: ()}
    assert "Pick the one that divides" in annotator._status.line.value


def test_another_track_is_picked_so_the_object_in_hand_is_in_the_way(annotator, send, key):
    two(annotator)
    send("click", y=55, x=55)
    annotator.session.handle(Select((1,)))
    show(annotator, 3)
    key("D", shift=True)
    assert "Commit it with C" in annotator._status.line.value
    assert kin(annotator) == {1: (), 2: ()}


@pytest.mark.parametrize(
    ("name", "picked", "after"),
    [
        ("D", (1,), {1: (3,), 2: (), 3: ()}),
        ("K", (1,), {1: (), 2: (), 3: ()}),
        ("E", (1,), {1: (), 2: ()}),
    ],
)
def test_keys_change_the_picked_track_in_the_shown_frame(annotator, key, name, picked, after):
    two(annotator)
    annotator.session.handle(Select(picked))
    show(annotator, 4)
    key(name, shift=True)
    assert kin(annotator) == after
    assert annotator.session.frames(1) == (0, 1, 2, 3)
    key("z", ctrl=True)
    assert kin(annotator) == {1: (), 2: ()}


def test_relatives_by_keys(annotator, key):
    two(annotator)
    annotator.session.handle(Select((1,)))
    show(annotator, 5)
    key("E", shift=True)
    annotator.session.handle(Select((2, 1)))
    key("P", shift=True)
    assert kin(annotator) == {1: (2,), 2: ()}
    annotator.session.handle(Select((2,)))
    key("O", shift=True)
    assert kin(annotator) == {1: (), 2: ()}
    annotator.session.handle(Select((1, 2)))
    key("J", shift=True)
    assert kin(annotator) == {1: ()}
    key("z", ctrl=True)
    show(annotator, 6)
    key("W", shift=True)
    assert annotator.session.frames(1) == (0, 1, 2, 3, 4, 6, 7, 8, 9)


@pytest.mark.parametrize("command", sorted(MOVIE - {Command.DAUGHTERS_DONE}))
def test_the_keys_say_what_is_missing(annotator, command):
    annotator._controls.act(command)
    annotator.wait()
    assert "Pick one" in annotator._status.line.value or "Shift-click" in annotator._status.line.value


def test_buttons_of_the_panel_do_what_the_keys_do(annotator):
    two(annotator)
    tree = panel(annotator)
    annotator.session.handle(Select((1,)))
    show(annotator, 4)
    assert not tree.buttons[Command.CUT_TRACK].disabled
    tree.buttons[Command.CUT_TRACK].click()
    annotator.wait()
    assert kin(annotator) == {1: (), 2: (), 3: ()}
    assert [bar[0] for bar in tree.layer.bars] == [1, 3, 2]


def test_a_press_on_the_tree_picks_a_track_and_shows_the_frame(annotator):
    two(annotator)
    tree = panel(annotator)
    tree.layer._handle_custom_msg({"kind": "press", "x": 7.1, "y": 1.0, "more": False}, [])
    annotator.wait()
    assert annotator.session.selected == (2,)
    assert annotator.session.state.browsing.plane == 7
    assert tree.now.x.tolist() == [7, 7]


def test_link_all(annotator):
    tree = panel(annotator)
    tree.linking.link.click()
    annotator.wait()
    assert annotator._runner._service.links[0].labels is None
    assert kin(annotator) == {1: ()}
    tree.linking.segment.value = False
    tree.linking.link.click()
    annotator.wait()
    assert annotator._runner._service.links[1].labels is not None


def test_words_of_a_movie(annotator):
    annotator._help.toggle()
    assert "plane" not in annotator._help.table.value
    shown = [*annotator._toolbar.buttons.values(), *annotator._planes.buttons.values()]
    assert not any("plane" in one.tooltip or "plane" in one.description for one in shown)
    assert annotator._planes.buttons[Command.SEGMENT_OBJECT].description == "Follow"
    assert "Tracks" in annotator._panels.switches
    assert "plane" not in annotator._panels.switches["Agreement"].tooltip


def test_volumes_and_images_have_nothing_of_it(disks, drawn_image):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 32, 32)).astype(np.uint8)
    for image in (Image(pixels, "zyx", name="volume"), drawn_image):
        one = Annotator(image, disks(image.shape), None)
        try:
            one.wait()
            assert "Tracks" not in one._panels.switches
            assert not {shortcut["command"] for shortcut in one._interaction.shortcuts} & set(MOVIE)
            one._controls._raw_key("D", ctrl=False, shift=True)
            one.wait()
            assert "pick" not in one._status.line.value.lower()
        finally:
            one.close()
