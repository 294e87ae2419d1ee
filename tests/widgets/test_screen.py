"""The screen, with a page that does what it is told: what is shown, what is sent, and what cannot happen."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ipycanvas.canvas import _CANVAS_MANAGER

from microsam_nb.core import (
    BoxPrompt,
    Candidate,
    Ellipse,
    Image,
    Mask,
    MaskPrompt,
    MicrosamError,
    Point,
    Polygon,
    Scribble,
    Stop,
)
from microsam_nb.core.comparing import Kind
from microsam_nb.session import (
    AddPoint,
    Change,
    Channel,
    ColourByClass,
    Commit,
    Delete,
    DeleteIn,
    Describe,
    LayerName,
    LoadLabels,
    Predicted,
    Select,
    Session,
    SetChannels,
    SetClass,
    SetContours,
    SetLayer,
    SetPlane,
    SetView,
    ShowAsModel,
    Undo,
)
from microsam_nb.view import colour_of
from microsam_nb.view import raster as rasters
from microsam_nb.view.differences import KIND_COLOURS, Comparison
from microsam_nb.view.overlays import (
    AFTER,
    BEFORE,
    CANDIDATES,
    MASKS,
    PROPOSALS,
    edge_patch,
    fill_patch,
    label_source,
    mask_prompts,
    mask_source,
    objects,
)
from microsam_nb.widgets import Screen
from microsam_nb.widgets.batch import batch, put
from microsam_nb.widgets.sheet import Sheet

IMAGE, OBJECTS, PROMPTS, TOP = range(4)


def square(y, x, side=3):
    return Mask((0, y, x), np.ones((1, side, side), bool))


def candidate(mask):
    return Candidate(mask, 0.9, "points")


def commit(session, mask):
    session.handle(AddPoint(mask.start[1] + 0.5, mask.start[2] + 0.5))
    session.handle(Predicted(session.awaiting, (candidate(mask),)))
    return session.handle(Commit()).change


class Rig:
    """A screen on a page, painted after every action."""

    def __init__(self, page, image, width=64, height=64):
        self.page = page
        self.image = image if isinstance(image, Image) else Image(image)
        self.session = Session(self.image.shape, movie=self.image.axes[0] == "t")
        self.screen = Screen(self.image, self.session, width, height)
        self.changes = []
        self.session.changed.connect(self.changes.append)
        self.paint(everything=True)

    def paint(self, change=None, everything=False):
        for one in self.changes:
            change = one if change is None else change | one
        self.changes.clear()
        self.screen.paint(change or Change(), everything=everything)
        self.screen.wait(20)

    def do(self, *actions):
        for action in actions:
            self.session.handle(action)
        self.paint()

    def reload(self):
        """Another page is opened and says that it is ready."""
        self.page.reload()
        self.screen.canvas[TOP]._handle_frontend_event(None, {"event": "client_ready"}, [])
        self.paint(everything=True)

    def state(self, **changes):
        """Put something into the state that no action of this test makes."""
        self.session.amend(replace(self.session.state, **changes))
        self.paint()

    def layer(self, number):
        return self.page.pixels(self.screen.canvas[number])

    def opaque(self):
        self.do(*(SetLayer(layer, opacity=1.0) for layer in LayerName))

    @property
    def sheets(self):
        s = self.screen
        overlays = (s._objects, s._candidates, s._proposals, s._masks)
        return [s._picture.overview, s._picture.detail, *(x for o in overlays for x in (o.fill, o.lines))]


@pytest.fixture
def rig(page):
    made = []

    def make(image=None, *size):
        image = np.zeros((8, 8), np.uint8) if image is None else image
        made.append(Rig(page, image, *size))
        return made[-1]

    yield make
    for one in made:
        one.screen.close()


@pytest.fixture
def small_limits(monkeypatch):
    """Planes beyond 16 x 16 pixels count as large."""
    monkeypatch.setattr(rasters, "WHOLE", 16)
    monkeypatch.setattr(rasters, "BUDGET", 200)


# What is shown.


def test_the_image_is_shown_exactly(rig):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    out = rig(pixels).layer(IMAGE)
    assert np.array_equal(out[..., :3], pixels.repeat(8, 0).repeat(8, 1))
    assert (out[..., 3] == 255).all()


def test_objects_have_exactly_their_colours(rig):
    one = rig()
    commit(one.session, square(1, 1))
    commit(one.session, square(4, 4))
    one.opaque()
    out, labels = one.layer(OBJECTS), one.session.labels.volume[0].repeat(8, 0).repeat(8, 1)
    for number in (1, 2):
        assert (out[labels == number] == (*colour_of(number), 255)).all()
    assert (out[labels == 0] == 0).all()


def test_the_inside_of_an_object_is_as_opaque_as_its_layer(rig):
    one = rig()
    commit(one.session, square(1, 1, 5))
    one.do(SetLayer(LayerName.OBJECTS, opacity=0.5))
    assert one.layer(OBJECTS)[28, 28].tolist() == [*colour_of(1), 128]
    one.do(SetLayer(LayerName.OBJECTS, visible=False))
    assert not one.layer(OBJECTS).any()
    one.do(SetLayer(LayerName.OBJECTS, visible=True))
    assert one.layer(OBJECTS)[28, 28].tolist() == [*colour_of(1), 128]


def test_contours_leave_the_inside_clear_and_have_a_dark_rim(rig):
    one = rig()
    commit(one.session, square(2, 2, 4))
    one.do(SetContours(True), SetLayer(LayerName.OBJECTS, opacity=1.0))
    out = one.layer(OBJECTS)
    assert not out[32, 32].any()
    assert out[32, 16].tolist() == [*colour_of(1), 255]
    assert (out[32, 15, :3] == 0).all()
    assert 100 < out[32, 15, 3] < 200
    assert not out[32, 10].any()


def test_objects_have_the_colours_of_their_classes(rig):
    one = rig()
    for number, place in enumerate((1, 4), start=1):
        commit(one.session, square(place, place, 2))
        one.session.handle(Describe(number, category="ab"[2 - number]))
    one.do(ColourByClass(True), SetLayer(LayerName.OBJECTS, opacity=1.0))
    first, second = one.layer(OBJECTS)[12, 12], one.layer(OBJECTS)[36, 36]
    assert [first.tolist()[:3], second.tolist()[:3]] == [list(colour_of(2)), list(colour_of(1))]
    one.do(SetClass((1,), "a"))
    assert one.layer(OBJECTS)[12, 12].tolist()[:3] == list(colour_of(1))
    one.do(ColourByClass(False))
    assert one.layer(OBJECTS)[36, 36].tolist()[:3] == list(colour_of(2))


def test_what_has_changed_is_filled_and_objects_are_outlines(rig):
    one = rig()
    commit(one.session, square(1, 1, 3))
    commit(one.session, square(5, 5, 3))
    before = one.session.snapshot()
    one.session.handle(Delete((1,)))
    one.screen.compare(Comparison.of(before, one.session.snapshot()))
    one.do(SetLayer(LayerName.OBJECTS, opacity=1.0))
    gone = one.layer(OBJECTS)
    assert gone[20, 20].tolist()[:3] == list(KIND_COLOURS[Kind.GONE])
    assert not gone[52, 52].any(), "what has not changed is an outline"
    one.screen.compare(None)
    one.do(SetLayer(LayerName.OBJECTS, opacity=0.99))
    assert not one.layer(OBJECTS)[20, 20].any()
    assert one.layer(OBJECTS)[52, 52].any()


def test_a_picked_object_is_marked_white(rig):
    one = rig()
    commit(one.session, square(1, 1, 3))
    commit(one.session, square(4, 4, 3))
    one.do(Select((2,)))
    out = one.layer(OBJECTS)
    assert out[33, 33, :3].min() > 235
    assert out[9, 9, :3].tolist() == list(colour_of(1))
    one.do(Select((1,)))
    out = one.layer(OBJECTS)
    assert out[33, 33, :3].tolist() == list(colour_of(2))
    assert out[9, 9, :3].min() > 235
    one.do(Select())
    assert one.layer(OBJECTS)[9, 9, :3].tolist() == list(colour_of(1))


def test_several_proposals_are_yellow_and_go_when_they_are_gone(rig):
    one = rig()
    one.opaque()
    one.state(proposals=(candidate(square(0, 0)), candidate(square(5, 5))))
    out = one.layer(OBJECTS)
    for at in (12, 52):
        assert out[at, at].tolist() == [255, 255, 0, 255]
    one.state(proposals=(candidate(square(5, 5)),))
    out = one.layer(OBJECTS)
    assert not out[12, 12].any()
    assert out[52, 52].tolist() == [255, 255, 0, 255]
    one.state(proposals=())
    assert not one.layer(OBJECTS).any()


def test_the_object_that_is_improved_is_hidden(rig):
    one = rig()
    commit(one.session, square(1, 1, 4))
    one.opaque()
    one.state(target=1, proposals=(candidate(square(2, 2, 2)),))
    out = one.layer(OBJECTS)
    assert (out[24:32, 24:32] == (255, 255, 0, 255)).all()
    assert not out[9, 9].any()
    one.state(target=0, proposals=())
    assert one.layer(OBJECTS)[9, 9].tolist() == [*colour_of(1), 255]


def test_candidates_keep_their_colours_when_one_is_taken(rig):
    one = rig()
    one.opaque()
    found = tuple(candidate(square(y, y, 3)) for y in (0, 4))
    one.state(candidates=found)
    before = one.layer(OBJECTS)
    assert before[12, 12, 3] == before[44, 44, 3] == 255
    assert before[12, 12].tolist() != before[44, 44].tolist()
    one.state(candidates=found[1:])
    after = one.layer(OBJECTS)
    assert not after[12, 12].any()
    assert np.array_equal(after[32:], before[32:])


def test_a_mask_prompt_is_a_dashed_line(rig):
    one = rig()
    one.opaque()
    one.state(prompts=(MaskPrompt(square(1, 1, 6)),))
    out = one.layer(OBJECTS)
    edge = out[8, 8:56]
    assert {tuple(c) for c in edge[:, :3].tolist()} == {(0, 230, 64), (0, 0, 0)}
    assert not out[32, 32].any()


def test_every_kind_of_prompt_is_drawn_with_plain_numbers(rig):
    one = rig()
    prompts = (
        Point(0, 1.5, 1.5),
        Point(0, 2, 2, False),
        BoxPrompt(0, 1, 1, 5, 5),
        Ellipse(0, 1, 1, 5, 6),
        Polygon(0, ((0, 0), (5, 5), (0, 7))),
        Scribble(0, ((1, 1), (4, 4)), 2.0),
        Scribble(0, ((3, 3),), 1.0, False),
        MaskPrompt(square(1, 1)),
        Stop(0),
    )
    one.state(prompts=prompts)
    names = one.page.names(one.page.messages[-1])
    assert names.count("strokePolygon") == 6
    assert names.count("strokeLines") == 6
    assert names.count("fillCircles") == 2
    assert names.count("strokeLineSegments") == 2
    one.do(SetLayer(LayerName.PROMPTS, visible=False))
    assert not {"strokePolygon", "fillCircles"} & set(one.page.names(one.page.messages[-1]))


def test_prompts_without_place_are_left_out(rig):
    one = rig()
    one.state(prompts=(Point(0, float("nan"), 3), Point(0, 3, float("inf")), BoxPrompt(0, 0, 0, float("inf"), 2)))
    assert not {"fillCircles", "strokePolygon"} & set(one.page.names(one.page.messages[-1]))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint64, np.float32, np.float64, bool])
def test_every_kind_of_pixel_is_stretched(rig, dtype):
    ramp = np.linspace(0, 1 if dtype is bool else 200, 64).reshape(8, 8).astype(dtype)
    out = rig(ramp).layer(IMAGE)[::8, ::8, 0]
    assert out[0, 0] <= 2
    assert out[-1, -1] >= 253
    if dtype is not bool:
        assert len(np.unique(out)) > 40


def test_pixels_that_are_no_number_are_black(rig):
    pixels = np.linspace(0, 9, 64).reshape(8, 8)
    pixels[0, 0], pixels[0, 1], pixels[0, 2] = np.nan, -np.inf, np.inf
    out = rig(pixels).layer(IMAGE)[::8, ::8, 0]
    assert out[0, :3].tolist() == [0, 0, 255]


def test_channels_and_what_the_model_sees(rig):
    pixels = np.zeros((8, 8, 2), np.uint16)
    pixels[:4, :, 0], pixels[:, :4, 1] = 500, 9000
    one = rig(Image(pixels, "yxc"))
    out = one.layer(IMAGE)
    assert [out[y, x, :3].tolist() for y, x in ((8, 8), (8, 56), (56, 8), (56, 56))] == [
        [255, 255, 255],
        [255, 0, 255],
        [0, 255, 0],
        [0, 0, 0],
    ]
    one.do(SetChannels((Channel(visible=False), Channel(colour="#00ffff", low=0, high=18000))))
    out = one.layer(IMAGE)
    assert out[8, 8, :3].tolist() == [0, 128, 128]
    one.do(ShowAsModel(True))
    assert np.array_equal(one.layer(IMAGE)[::8, ::8, :3], one.image.shown())


def pictured(one, plane):
    """A plane in the black and white that all planes of a volume have."""
    ((low, high),) = one.screen.pictures.windows(plane)
    assert one.screen.pictures.windows(0) == ((low, high),)
    return np.clip((one.image.plane(plane) - low) / (high - low), 0, 1) * 255


def near(found, wanted):
    return bool((abs(found.astype(float) - wanted) <= 1).all())


def test_another_plane_brings_its_own_things(rig):
    pixels = np.stack([np.full((8, 8), 10, np.uint8), np.arange(64, dtype=np.uint8).reshape(8, 8)])
    one = rig(Image(pixels, "zyx"))
    one.opaque()
    commit(one.session, square(1, 1))
    one.state(prompts=(Point(0, 2, 2),))
    one.state(browsing=replace(one.session.state.browsing, plane=1))
    assert not one.layer(OBJECTS).any()
    assert "fillCircles" not in one.page.names(one.page.messages[-1])
    assert near(one.layer(IMAGE)[::8, ::8, 0], pictured(one, 1))
    one.state(browsing=replace(one.session.state.browsing, plane=0))
    assert one.layer(OBJECTS)[12, 12].tolist() == [*colour_of(1), 255]


def test_the_picture_of_another_plane_comes_together_with_its_objects(rig):
    pixels = np.random.default_rng(0).integers(0, 255, (5, 8, 8)).astype(np.uint8)
    one = rig(Image(pixels, "zyx"))
    for plane in (1, 4, 2, 0):
        sent = len(one.page.messages)
        one.session.amend(replace(one.session.state, browsing=replace(one.session.state.browsing, plane=plane)))
        one.screen.paint(Change(view=True))
        assert len(one.page.messages) == sent + 1, "in between nothing would be seen, or the wrong plane"
        assert near(one.layer(IMAGE)[::8, ::8, 0], pictured(one, plane))


def test_a_plane_that_takes_long_to_read_does_not_hold_up_the_screen(rig, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 8, 8)).astype(np.uint8)
    one = rig(Image(pixels, "zyx"))
    gate, region = threading.Event(), Image.region

    def slow(*args):
        gate.wait(20)
        return region(*args)

    monkeypatch.setattr(Image, "region", slow)
    one.session.amend(replace(one.session.state, browsing=replace(one.session.state.browsing, plane=1)))
    one.screen.paint(Change(view=True))
    assert not one.layer(IMAGE).any(), "nothing is better than the wrong plane"
    gate.set()
    one.screen.wait(20)
    assert near(one.layer(IMAGE)[::8, ::8, 0], pictured(one, 1))


def test_a_plane_that_cannot_be_read_is_told_once(rig, monkeypatch):
    one = rig(Image(np.random.default_rng(0).integers(0, 255, (3, 8, 8)).astype(np.uint8), "zyx"))
    region, told = Image.region, []

    def broken(self, index, *args):
        if index == 1:
            raise OSError("gone")
        return region(self, index, *args)

    monkeypatch.setattr(Image, "region", broken)
    monkeypatch.setattr(one.session, "say", lambda text, error=False: told.append(text))
    one.state(browsing=replace(one.session.state.browsing, plane=1))
    assert len(told) == 1
    one.state(browsing=replace(one.session.state.browsing, plane=2))
    assert near(one.layer(IMAGE)[::8, ::8, 0], pictured(one, 2))


def test_outlines_of_the_neighbouring_planes(rig):
    one = rig(Image(np.zeros((4, 16, 16), np.uint8), "zyx"), 16, 16)
    bitmap = np.zeros((3, 16, 16), bool)
    bitmap[0, 2:10, 2:10], bitmap[1, 3:10, 3:10], bitmap[2, 1:14, 1:14] = True, True, True
    one.do(*(SetLayer(layer, opacity=1.0) for layer in LayerName), SetLayer(LayerName.PROPOSAL, visible=False))
    one.state(proposals=(candidate(Mask.crop(bitmap)),), browsing=replace(one.session.state.browsing, plane=1))

    def lines(colour):
        return (one.layer(OBJECTS)[..., :3] == colour).all(axis=2) & (one.layer(OBJECTS)[..., 3] > 0)

    before, after = lines(BEFORE.colour), lines(AFTER.colour)
    assert before.any()
    assert after.any()
    assert not before[~bitmap[0]].any()
    assert not before[5:7, 5:7].any(), "the lines alone are drawn"
    assert not after[~bitmap[2]].any()
    one.do(SetLayer(LayerName.NEIGHBOURS, visible=False))
    assert not one.layer(OBJECTS).any()
    one.do(SetLayer(LayerName.NEIGHBOURS, visible=True))
    assert np.array_equal(lines(AFTER.colour), after)
    one.state(browsing=replace(one.session.state.browsing, plane=3))
    assert lines(BEFORE.colour).any()
    assert not lines(AFTER.colour).any()
    one.state(proposals=())
    assert not one.layer(OBJECTS).any()
    # What was known of a plane is not what is there now.
    for plane in (1, 2, 1):
        one.state(browsing=replace(one.session.state.browsing, plane=plane))
        assert not one.layer(OBJECTS).any()


def test_picked_objects_have_outlines_of_the_neighbouring_planes_too(rig):
    one = rig(Image(np.zeros((3, 16, 16), np.uint8), "zyx"), 16, 16)
    drawn = np.zeros((3, 16, 16), np.uint32)
    drawn[0, 2:8, 2:8], drawn[0, 2:8, 8:12] = 1, 2
    one.do(LoadLabels.of(drawn), *(SetLayer(layer, opacity=1.0) for layer in LayerName))
    one.state(browsing=replace(one.session.state.browsing, plane=1))
    assert not one.layer(OBJECTS).any()
    one.do(Select((1,)))
    seen = one.layer(OBJECTS)[..., 3] > 0
    assert seen[2, 2:8].all()
    assert not seen[:, 9:].any()
    one.do(Delete((1,)))
    assert not one.layer(OBJECTS).any()


def test_picked_tracks_have_trails_that_are_drawn_when_they_change_and_hidden_with_the_neighbours(rig, monkeypatch):
    drawn = []
    monkeypatch.setattr("microsam_nb.widgets.canvas.draw_marks", lambda layer, marks, *_: drawn.append(list(marks)))
    one = rig(Image(np.zeros((4, 16, 16), np.uint8), "tyx"), 16, 16)
    tracks = np.zeros((4, 16, 16), np.uint32)
    for t in range(4):
        tracks[t, 2:4, 2 + t : 4 + t] = 1
    one.do(LoadLabels.of(tracks), SetPlane(2))
    assert drawn[-2:] == [[], []], "nothing is picked"
    drawn.clear()
    one.do(Select((1,)))
    trail, prompts = drawn
    assert trail[0].points.tolist() == [[3, 3], [3, 4], [3, 5]]
    assert prompts == []
    drawn.clear()
    one.do(DeleteIn(1, 1))
    assert drawn[0][0].points.tolist() == [[3, 3], [3, 5]]
    drawn.clear()
    one.do(SetLayer(LayerName.NEIGHBOURS, visible=False))
    assert drawn == [[]], "of prompts alone"


# What is sent.


def test_looking_around_sends_no_picture(rig):
    one = rig(np.random.default_rng(0).integers(0, 255, (60, 60)).astype(np.uint8), 128, 128)
    commit(one.session, square(10, 10))
    one.paint()
    before = len(one.page.pictures), one.page.sent
    for y in range(12):
        one.do(SetView(y, 2.5 * y, 2.0 + 0.01 * y))
    assert len(one.page.pictures) == before[0]
    assert one.page.sent == before[1]


def test_looking_around_within_the_detail_of_a_large_plane_sends_no_picture(rig, small_limits):
    one = rig(np.random.default_rng(0).integers(0, 255, (200, 200)).astype(np.uint8), 40, 40)
    commit(one.session, square(100, 100))
    one.do(SetView(90, 90, 4.0))
    before = len(one.page.pictures)
    for step in (1, 2, -1, -2):
        one.do(SetView(90 + step, 90 - step, 4.0))
    one.do(SetView(91, 91, 4.3))
    assert len(one.page.pictures) == before
    one.do(SetView(10, 10, 4.0))
    assert len(one.page.pictures) > before


def test_panning_sends_only_what_is_new(rig, small_limits, monkeypatch):
    monkeypatch.setattr(rasters, "BUDGET", 3000)
    one = rig(np.random.default_rng(0).integers(0, 255, (400, 400)).astype(np.uint8), 40, 40)
    one.do(SetView(100, 100, 1.0))
    sent = len(one.page.pictures)
    whole = one.page.pictures[-1]
    one.do(SetView(100, 112, 1.0))
    assert len(one.page.pictures) == sent + 1
    assert one.page.pictures[-1] < whole / 2


def test_one_change_is_one_message_with_its_box_only(rig):
    image = np.random.default_rng(0).integers(0, 255, (1024, 1024)).astype(np.uint8)
    one = rig(image, 300, 200)
    for y in range(40, 1000, 60):
        for x in range(40, 1000, 60):
            one.session.labels.apply(one.session.labels.paint(square(y, x, 40), 1 + len(list(one.session.labels))))
    one.paint(everything=True)
    messages, sent, pictures = len(one.page.messages), one.page.sent, len(one.page.pictures)
    commit(one.session, square(500, 20, 15))
    one.paint()
    assert len(one.page.messages) == messages + 1
    assert len(one.page.pictures) - pictures <= 4
    assert one.page.sent - sent < 2000
    messages, sent = len(one.page.messages), one.page.sent
    one.do(Undo())
    assert len(one.page.messages) == messages + 1
    assert one.page.sent - sent < 3000


def test_nothing_new_sends_nothing(rig):
    one = rig()
    before = len(one.page.messages)
    one.paint(Change(notice=True, tool=True, work=True, objects=True))
    assert len(one.page.messages) == before
    # A prompt that came to nothing: the browser must take back what it drew ahead.
    one.paint(Change(prompts=True))
    assert one.page.names(one.page.messages[-1]) == ["switchCanvas", "clearRect"]


def test_the_whole_layer_is_never_cleared_by_the_command_that_flickers(rig):
    one = rig()
    one.do(SetView(0, 0, 3.0), SetContours(True))
    assert not any("clear" in one.page.names(m) for m in one.page.messages)


def test_labels_never_travel_as_jpeg(rig, monkeypatch):
    seen = []
    real = _CANVAS_MANAGER.send_draw_command

    def spy(canvas, command, args=(), buffers=()):
        seen.extend((canvas, bytes(b)[:4]) for b in buffers)
        real(canvas, command, list(args), list(buffers))

    monkeypatch.setattr(_CANVAS_MANAGER, "send_draw_command", spy)
    one = rig(np.zeros((1500, 1500), np.uint8))
    commit(one.session, square(10, 10, 1400))
    one.paint()
    pictures = {one.screen._picture.overview.canvas, one.screen._picture.detail.canvas}
    kinds = {(canvas in pictures, start) for canvas, start in seen}
    assert (True, b"\xff\xd8\xff\xe0") in kinds, "a large image is compressed"
    assert all(start == b"\x89PNG" for picture, start in kinds if not picture)


# Whatever happened before, the sheets hold what they should.

_VIEWS = st.builds(SetView, st.floats(-20, 90), st.floats(-20, 90), st.floats(0.2, 20))
_STEPS = st.one_of(
    _VIEWS,
    st.builds(lambda y, x, side: square(y, x, side), st.integers(0, 60), st.integers(0, 60), st.integers(1, 20)),
    st.just(Undo()),
    st.builds(lambda n: Select((n,)), st.integers(0, 4)),
    st.builds(lambda n: Delete((n,)), st.integers(1, 4)),
    st.just(SetContours()),
    st.builds(SetLayer, st.sampled_from(list(LayerName)), st.booleans()),
    st.sampled_from(["proposals", "candidates", "prompts", "reload", "target"]),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_STEPS, min_size=2, max_size=14), st.randoms(use_true_random=False))
def test_what_the_page_holds_is_what_it_would_be_sent_anew(rig, small_limits, steps, random):
    pixels = np.random.default_rng(0).integers(0, 255, (80, 80)).astype(np.uint8)
    one = rig(pixels, 40, 40)
    for step in steps:
        if isinstance(step, Mask):
            with contextlib.suppress(MicrosamError):  # nothing of it is free
                commit(one.session, step)
        elif step == "reload":
            one.reload()
        elif step == "prompts":
            one.state(prompts=(MaskPrompt(square(random.randrange(70), random.randrange(70), 9)),))
        elif step == "target":
            one.state(target=random.choice([0, *one.session.labels]))
        elif isinstance(step, str):
            old = getattr(one.session.state, step)[-1:]
            new = candidate(square(random.randrange(60), random.randrange(60), random.randrange(1, 20)))
            one.state(**{step: (*old, new)})
        else:
            with contextlib.suppress(MicrosamError):  # nothing to delete
                one.session.handle(step)
        one.paint()
    check(one)


def test_rims_of_later_objects_are_whole(rig):
    one = rig(np.zeros((40, 40), np.uint8))
    one.do(SetContours(True))
    for at in (2, 20):
        commit(one.session, square(at, at, 9))
        one.paint()
        check(one)
    assert one.layer(OBJECTS)[32, 31].tolist()[:3] == [0, 0, 0], "the rim lies beside the object"


def check(one):
    screen, state = one.screen, one.session.state
    look, layers = screen._drawn.look, state.browsing.layers
    cases = [
        (
            screen._objects,
            layers.objects,
            label_source(one.session.labels, 0, state.target),
            objects(layers.contours),
        ),
        (screen._candidates, layers.candidates, masks(state.candidates), CANDIDATES),
        (screen._proposals, layers.proposal, masks(state.proposals), PROPOSALS),
        (screen._masks, layers.prompts, mask_source(mask_prompts(state.prompts), 0), MASKS),
    ]
    for overlay, layer, source, style in cases:
        if not layer.visible:
            assert overlay.fill.raster is None
            continue
        marked = one.session.selected if overlay is screen._objects else ()
        if (held := overlay.fill.raster) is not None:
            same(one, overlay.fill, fill_patch(source, held, overlay.fill.corner, style))
            assert held.covers(screen.viewport)
        if (held := overlay.lines.raster) is not None:
            same(one, overlay.lines, edge_patch(source, held, overlay.lines.corner, style, style.pen(1.0), marked))
            assert held.covers(screen.viewport)
    detail = screen._picture.detail
    if detail.raster is not None:
        held = one.page.pixels(detail.canvas)[: detail.raster.height, : detail.raster.width]
        assert np.array_equal(held[..., 0], screen.pictures.part(look, detail.raster))
    overview = one.page.pixels(screen._picture.overview.canvas)
    for part, expected in screen.pictures.overview(look):
        assert np.array_equal(overview[part.top : part.bottom, part.left : part.right, 0], expected)
    if screen.viewport.zoom >= 1 and screen._picture._full.step > 1:
        detail = screen._picture.detail.raster
        assert detail is not None
        assert detail.step == 1
        assert detail.covers(screen.viewport)


def masks(found):
    return mask_source([one.mask for one in found], 0)


def same(one, sheet, patch):
    """The sheet holds a picture, and is clear beyond it."""
    held = one.page.pixels(sheet.canvas)
    fresh = Sheet()
    fresh.canvas.width, fresh.canvas.height = sheet.canvas.width, sheet.canvas.height
    with batch():
        put(fresh.canvas, patch)
    assert np.array_equal(held, one.page.pixels(fresh.canvas))
    fresh.canvas.close()


# What cannot happen.


def spill(*_):
    raise RuntimeError("ink")


def test_an_exception_while_drawing_sends_nothing_and_is_made_up_for(rig, monkeypatch):
    one = rig()
    one.opaque()
    commit(one.session, square(1, 1))
    before = len(one.page.messages)
    with monkeypatch.context() as broken:
        broken.setattr("microsam_nb.widgets.canvas.draw_marks", spill)
        with pytest.raises(RuntimeError, match="ink"):
            one.do(SetView(0, 0, 8.5))
    assert len(one.page.messages) == before
    assert not _CANVAS_MANAGER._caching
    one.paint()
    assert one.layer(OBJECTS)[12, 12].tolist() == [*colour_of(1), 255]


def test_a_reloaded_page_gets_everything(rig):
    one = rig(np.arange(64, dtype=np.uint8).reshape(8, 8))
    commit(one.session, square(1, 1))
    one.state(proposals=(candidate(square(5, 5)),), candidates=(candidate(square(0, 5)),))
    before = [one.layer(n) for n in range(4)]
    one.reload()
    assert all(np.array_equal(one.layer(n), before[n]) for n in range(4))
    assert before[IMAGE].any()
    assert before[OBJECTS].any()


def test_everything_on_a_page_that_has_the_pictures_is_drawn_from_them(rig):
    one = rig(np.arange(64, dtype=np.uint8).reshape(8, 8))
    commit(one.session, square(1, 1))
    one.paint()
    before, layers = len(one.page.pictures), [one.layer(n) for n in range(4)]
    one.page.surface(one.screen.canvas[OBJECTS]).pixels[:] = 99  # another view of the widget on the same page
    one.paint(everything=True)
    assert len(one.page.pictures) == before
    assert all(np.array_equal(one.layer(n), layers[n]) for n in range(4))


def test_a_new_size_is_drawn_without_sending_pictures_again(rig):
    one = rig(np.arange(64, dtype=np.uint8).reshape(8, 8))
    before = len(one.page.pictures)
    assert one.screen.resize(48, 48, 2.0)
    one.paint(Change(view=True))
    assert one.layer(IMAGE).shape == (96, 96, 4)
    assert np.array_equal(one.layer(IMAGE)[6::12, 6::12, 0], one.image.shown())
    assert len(one.page.pictures) == before
    assert not one.screen.resize(48, 48, 2.0)
    with pytest.raises(ValueError, match="finite"):
        one.screen.resize(float("nan"), 48, 2.0)


def test_the_canvas_has_no_border_and_a_box_of_its_own(rig):
    screen = rig().screen
    layout = screen.canvas.layout
    assert (layout.border_top, layout.padding, layout.object_fit) == (None, None, None)
    assert screen.box.children == (screen.canvas,)
    # In a VBox it would be stretched: the box around it has a width.
    assert screen.box.layout.width.endswith("px")


class Slow:
    """Lazy pixels that wait until they are let go, or fail."""

    def __init__(self, pixels):
        self.pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype
        self.gate, self.broken = threading.Event(), False
        self.read = 0
        self.gate.set()

    def __getitem__(self, key):
        self.gate.wait(20)
        if self.broken:
            raise OSError("the drive is gone")
        out = self.pixels[key]
        self.read += out.size
        return out


def test_a_slow_file_holds_nothing_up(rig, small_limits):
    slow = Slow(np.random.default_rng(0).integers(0, 255, (300, 300)).astype(np.uint8))
    one = rig(Image(slow, "yx"), 40, 40)
    one.opaque()
    slow.gate.clear()
    commit(one.session, square(20, 20, 4))
    for y in (10, 60, 110, 160, 15):
        one.session.handle(SetView(y, 15, 4.0))
        one.screen.paint(Change(view=True))
    # The objects are there, sharp, and under them the overview.
    assert one.layer(OBJECTS)[22, 22].tolist() == [*colour_of(1), 255]
    assert one.layer(IMAGE)[..., 3].all()
    assert not one.screen.idle
    read = slow.read
    slow.gate.set()
    one.screen.wait(20)
    check(one)
    # Of five places only the first, already begun, and the last were read.
    assert slow.read - read <= 2 * 60 * 60


def test_from_far_away_the_detail_is_no_patch_in_the_overview(rig, small_limits):
    pixels = np.random.default_rng(0).integers(0, 255, (200, 200)).astype(np.uint8)
    one = rig(pixels, 15, 15)
    before = one.layer(IMAGE)
    one.do(SetView(90, 90, 4.0))
    one.do(SetView())
    assert one.screen._picture.detail.raster is not None
    assert np.array_equal(one.layer(IMAGE), before)


def test_a_file_that_fails_is_told_and_tried_again(rig, small_limits):
    slow = Slow(np.random.default_rng(0).integers(0, 255, (100, 100)).astype(np.uint8))
    one = rig(Image(slow, "yx"), 40, 40)
    slow.broken = True
    one.do(SetView(50, 50, 4.0))
    assert "the drive is gone" in one.session.notice.text
    assert one.session.notice.error
    slow.broken = False
    one.do(SetView(51, 50, 4.0))
    check(one)


@pytest.mark.parametrize("part", ["overview", "detail"])
def test_a_picture_that_could_not_be_sent_is_sent_again(rig, small_limits, monkeypatch, part):
    slow = Slow(np.random.default_rng(0).integers(0, 255, (100, 100)).astype(np.uint8))
    one = rig(Image(slow, "yx"), 40, 40)
    if part == "detail":
        one.do(SetView(10, 10, 4.0))
    sheet = getattr(one.screen._picture, part)
    real, failed = type(sheet).put, []

    def put(self, patch):
        if self is sheet and not failed and threading.current_thread().name == "microsam-picture":
            failed.append(patch)
            raise RuntimeError("the connection is gone")
        real(self, patch)

    monkeypatch.setattr(type(sheet), "put", put)
    one.do(SetChannels((Channel(low=0, high=100),)) if part == "overview" else SetView(50, 50, 4.0))
    assert failed
    assert "the connection is gone" in one.session.notice.text
    one.do(SetView(51, 50, 4.0))
    check(one)
    one.do(SetView())
    check(one)


def test_a_new_contrast_reads_nothing_again(rig, small_limits):
    slow = Slow(np.random.default_rng(0).integers(0, 255, (100, 100)).astype(np.uint16))
    one = rig(Image(slow, "yx"), 40, 40)
    one.do(SetChannels((Channel(low=0, high=200),)))
    read = slow.read
    one.do(SetChannels((Channel(low=0, high=100),)))
    assert slow.read == read
    assert one.layer(IMAGE)[..., 0].mean() > 150


def test_labels_of_a_large_plane_are_read_where_they_are_seen(rig, monkeypatch):
    image = Image(np.broadcast_to(np.uint8(7), (20_000, 20_000)), "yx")
    one = rig(image, 600, 400)
    one.opaque()
    commit(one.session, square(15_000, 12_000, 3))
    seen = []
    real = type(one.session.labels).volume.fget

    class Watched(np.ndarray):
        def __getitem__(self, key):
            out = super().__getitem__(key)
            if out.ndim == 2 and out.base is None:
                seen.append(out.size)
            return out

    monkeypatch.setattr(type(one.session.labels), "volume", property(lambda self: real(self).view(Watched)))
    one.do(SetView(14_995, 11_990, 20.0))
    assert (one.layer(OBJECTS)[100:160, 200:260] == (*colour_of(1), 255)).all()
    assert not one.layer(OBJECTS)[99, 199].any()
    one.do(SetView())
    assert sum(seen) < 20_000_000


def test_closing_ends_the_thread(rig):
    one = rig()
    thread = one.screen._picture._thread
    assert thread.is_alive()
    one.screen.close()
    assert not thread.is_alive()


def test_a_colour_that_is_none_is_told(rig):
    one = rig()
    one.state(browsing=replace(one.session.state.browsing, channels=(Channel(colour="pink"),)))
    assert "#rrggbb" in one.session.notice.text
