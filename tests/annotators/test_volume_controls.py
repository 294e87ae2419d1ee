"""An annotator of a volume: planes by keys, wheel and slider; objects of several planes."""

import time

import numpy as np
import pytest

from microsam_nb.annotators.base import Annotator
from microsam_nb.core import Image, Mask, Section, Stop
from microsam_nb.session import Extend, Extended, LayerName, LoadLabels, Select
from microsam_nb.view import VOLUME, Command

PLANES = 12


class Extending:
    """A fake engine that carries objects into every plane up to the stops: the slice as it is, a little less sure."""

    def __init__(self, disks):
        self._disks = disks
        self.extended = []

    def __call__(self, request):
        if not isinstance(request, Extend):
            return self._disks(request)
        self.extended.append(request)
        planes = self._disks.shape[0]
        fixed = [one.start[0] for one in request.objects[0]]
        low = max([p for p in request.stops if p < fixed[0]], default=-1)
        high = min([p for p in request.stops if p > fixed[-1]], default=planes)
        sections = []
        for plane in range(low + 1, high):
            nearest = min(request.objects[0], key=lambda one: abs(one.start[0] - plane))
            mask = Mask((plane, *nearest.start[1:]), nearest.bitmap)
            sections.append(Section(0, plane, mask, 1.0 if plane in fixed else 0.9 if plane != 9 else 0.5, 0.8))
        return [
            Extended(request.ticket, tuple(sections[:4]), False),
            Extended(request.ticket, tuple(sections[4:]), True, "disks"),
        ]


@pytest.fixture
def annotator(disks):
    pixels = np.random.default_rng(0).integers(0, 255, (PLANES, 64, 64)).astype(np.uint8)
    one = Annotator(Image(pixels, "zyx", name="volume"), Extending(disks((PLANES, 64, 64), radius=5)), None)
    one.wait()
    yield one
    one.close()


def plane(annotator):
    return annotator.session.state.browsing.plane


def test_keys_go_through_the_planes_and_stop_at_the_ends(annotator, key):
    seen = []
    for name, shift in (
        ("z", False), ("PageDown", False), ("Z", True), ("PageUp", False), ("PageUp", False), ("End", False),
        ("z", False), ("Z", True), ("Home", False),
    ):  # fmt: skip
        key(name, shift=shift)
        seen.append(plane(annotator))
    assert seen == [1, 2, 1, 0, 0, 11, 11, 10, 0]
    assert annotator._planes.slider.value == 0
    assert not annotator.session.can_undo, "looking around is no step"


def test_raw_keys_go_through_the_planes_too(annotator):
    annotator._controls._raw_key("PageDown", ctrl=False, shift=False)
    annotator._controls._raw_key("z", ctrl=False, shift=False)
    assert plane(annotator) == 2


def test_of_planes_that_wait_only_the_newest_is_shown(annotator, send, monkeypatch):
    handled = []
    handle = annotator.session.handle
    monkeypatch.setattr(annotator.session, "handle", lambda action: (handled.append(action), handle(action))[1])
    annotator._loop.post(lambda: time.sleep(0.2))
    for number in range(1, 9):
        send("plane", False, plane=number)
    annotator.wait()
    assert plane(annotator) == 8
    assert len(handled) <= 2


def test_the_slider_and_the_buttons_below_it(annotator):
    bar = annotator._planes
    bar.slider.value = 7
    annotator.wait()
    assert plane(annotator) == 7
    bar.buttons[Command.LAST_PLANE].click()
    annotator.wait()
    assert plane(annotator) == 11
    assert "plane <b>11</b> of 0–11" in bar.text.value


def test_while_planes_change_fast_the_newest_is_painted_soon(annotator, key):
    start = time.perf_counter()
    for _ in range(8):
        key("z", False)
    annotator.wait()
    assert plane(annotator) == 8
    assert annotator._screen._drawn.look.plane == 8
    assert time.perf_counter() - start < 5


def test_an_object_through_the_planes(annotator, send, key):
    key("PageDown")
    send("click", y=30, x=30)
    key("End")
    send("click", y=32, x=30, plane=6)
    assert [p.plane for p in annotator.session.state.prompts] == [1, 6], "the plane that was seen counts"
    assert annotator.session.state.proposal.mask.holds(6, 32, 30)
    send("key", key="X", shift=True, plane=10)
    assert annotator.session.state.prompts[-1] == Stop(10)
    annotator._planes.buttons[Command.SEGMENT_OBJECT].click()
    annotator.wait()
    box = annotator.session.state.proposal.mask.box
    assert (box.start[0], box.stop[0]) == (0, 10)
    assert "planes 0 to 9" in annotator._planes.strip.value
    annotator._panels.switches["Agreement"].click()
    annotator._panels.switches["Views"].click()
    annotator.wait()
    curve = annotator._panels.made["Agreement"]
    assert [one.description for one in curve.listed if one.layout.display != "none"] == ["9"]
    curve.listed[0].click()
    annotator.wait()
    assert plane(annotator) == 9
    key("c")
    assert (annotator.labels[:10, 30, 30] == 1).all()
    assert (annotator.labels[10:] == 0).all()
    assert "Shift-S" in curve.caption.value
    key("z", ctrl=True)
    assert not annotator.labels.any()


def test_shift_s_segments_the_object(annotator, send, key):
    send("click", y=30, x=30)
    key("S", shift=True)
    assert annotator.session.state.proposal.mask.box.shape[0] == PLANES
    assert len(annotator._runner._service.extended) == 1


@pytest.mark.parametrize("command", sorted(VOLUME))
def test_every_command_of_volumes_has_a_button_and_does_something_or_says_why(annotator, command):
    if command in (Command.FIRST_PLANE, Command.PREVIOUS_PLANE):
        annotator._controls.looking.look_at(5)
    annotator.session.say("")
    annotator.wait()
    before = annotator.session.state, annotator.session.notice
    if command is Command.SHOW_NEIGHBOURS:
        annotator._panels.switches["Layers"].click()
        annotator.wait()
        annotator._panels.made["Layers"].checks[LayerName.NEIGHBOURS].value = False
    elif command is Command.DELETE_HERE:
        annotator._panels.switches["Objects"].click()
        annotator.wait()
        annotator._panels.made["Objects"].delete_here.click()
    else:
        annotator._planes.buttons[command].click()
    annotator.wait()
    assert (annotator.session.state, annotator.session.notice) != before


def test_what_is_refused_is_told(annotator, key):
    key("S", shift=True)
    assert "Click on one first" in annotator._status.line.value


def test_the_table_goes_to_a_plane_of_the_object(annotator):
    drawn = np.zeros((PLANES, 64, 64), np.uint32)
    drawn[3:8, 10:20, 10:20] = 1
    drawn[[2, 3, 9, 10, 11], 40:50, 40:50] = 2
    annotator.session.handle(LoadLabels.of(drawn))
    annotator._panels.switches["Objects"].click()
    annotator.wait()
    table = annotator._panels.made["Objects"].table
    assert [row[4] for row in table.rows] == ["3–7", "2–11"]
    for label, there in ((1, 5), (2, 9), (1, 5)):
        table._handle_custom_msg({"kind": "pick", "label": label, "more": False}, [])
        annotator.wait()
        assert plane(annotator) == there
        assert annotator.session.selected == (label,)
    annotator._controls.looking.look_at(3)
    annotator._controls.looking.go_to(2)
    assert plane(annotator) == 3, "the object is in the plane that is shown"
    table._handle_custom_msg({"kind": "sort", "key": "planes"}, [])
    annotator.wait()
    assert [row[0] for row in table.rows] == [2, 1]


def test_a_place_that_is_looked_at_comes_into_sight(annotator, send):
    send("view", number=1, y=0, x=0, zoom=40.0)
    annotator._controls.looking.look_at(4, 60.0, 60.0)
    annotator.wait()
    assert plane(annotator) == 4
    y0, x0, y1, x1 = annotator._screen.viewport.visible
    assert y0 < 60 < y1
    assert x0 < 60 < x1
    view = annotator.session.state.browsing.view
    annotator._controls.looking.look_at(5, 60.0, 60.0)
    assert annotator.session.state.browsing.view == view, "it is in sight already"


def test_neighbours_are_a_layer_with_a_key(annotator, key):
    key("j")
    assert not annotator.session.state.browsing.layers.neighbours.visible
    annotator._panels.switches["Layers"].click()
    annotator.wait()
    check = annotator._panels.made["Layers"].checks[LayerName.NEIGHBOURS]
    assert check.value is False
    key("j")
    assert check.value is True


def test_picked_objects_have_no_effect_in_planes_beyond_them(annotator):
    drawn = np.zeros((PLANES, 64, 64), np.uint32)
    drawn[3:5, 10:20, 10:20] = 1
    annotator.session.handle(LoadLabels.of(drawn))
    annotator.session.handle(Select((1,)))
    for number in range(PLANES):
        annotator._controls.looking.look_at(number)
        annotator.wait()
    assert "wrong" not in annotator._status.line.value


def test_one_plane_has_nothing_of_it(drawn_image, disks):
    one = Annotator(drawn_image, disks(drawn_image.shape), None)
    try:
        one.wait()
        assert one._planes is None
        assert set(one._panels.switches) == {"Layers", "Contrast", "Objects", "Proofread"}
        assert Command.SEGMENT_OBJECT not in one._toolbar.buttons
        assert one._interaction.planes == 1
        one._controls._raw_key("PageDown", ctrl=False, shift=False)
        one._controls._raw_key("S", ctrl=False, shift=True)
        one.wait()
        assert one.session.state.prompts == ()
        one.session.handle(LoadLabels.of(np.eye(96, dtype=np.uint32)))
        one._controls.looking.go_to(1)
        assert one.session.selected == (1,)
    finally:
        one.close()


def test_a_movie_has_frames(disks):
    pixels = np.random.default_rng(0).integers(0, 255, (4, 32, 32)).astype(np.uint8)
    one = Annotator(Image(pixels, "tyx", name="movie"), disks((4, 32, 32)), None)
    try:
        one.wait()
        assert one._planes.text.value == "frame <b>0</b> of 0–3"
        one._controls.act(Command.NEXT_PLANE)
        one.wait()
        assert plane(one) == 1
    finally:
        one.close()
