"""What the user does, as messages of the browser's layer and as raw events of ipycanvas, without a browser."""

import json
import threading
import time

import numpy as np
import pytest

from microsam_nb.annotators import controls
from microsam_nb.annotators.base import Annotator
from microsam_nb.annotators.earlier import Earlier
from microsam_nb.core import Box, BoxPrompt, Candidate, Mask, Point, Polygon, Scribble
from microsam_nb.session import (
    Commit,
    Delete,
    LayerName,
    LoadLabels,
    Paint,
    Select,
    Session,
    SetBrush,
    SetLayer,
    SetTool,
    SetView,
    Suggest,
    Tool,
    Undo,
)
from microsam_nb.view import Command


@pytest.fixture
def annotator(drawn_image, disks):
    one = Annotator(drawn_image, disks(drawn_image.shape, radius=5), None)
    one.wait()
    yield one
    one.close()


class Page:
    """A page that numbers and dates its messages as interaction.js does."""

    def __init__(self, annotator, screen="page", clock=0.0):
        self.annotator, self.screen, self.clock = annotator, screen, clock
        self.number = 0

    def send(self, kind, wait=True, **more):
        self.number += 1
        message = {
            "kind": kind, "screen": self.screen, "number": self.number, "time": (time.time() + self.clock) * 1000,
            "plane": 0, "button": 0, "shift": False, "ctrl": False, "alt": False, **more,
        }  # fmt: skip
        self.annotator._interaction._handle_custom_msg(json.loads(json.dumps(message)), [])
        if wait:
            self.annotator.wait()

    def key(self, key, ctrl=False, shift=False, wait=True):
        self.send("key", wait, key=key, ctrl=ctrl, shift=shift)

    @property
    def done(self):
        return self.annotator._controls._done.get(self.screen, 0)


@pytest.fixture
def page(annotator):
    return Page(annotator)


def status(annotator):
    return annotator._status.line.value


@pytest.fixture
def squares(annotator):
    """Two squares that touch: 1 in columns 10 to 20, 2 in columns 20 to 30."""
    drawn = np.zeros((96, 96), np.uint32)
    drawn[10:20, 10:20], drawn[10:20, 20:30] = 1, 2
    annotator.session.handle(LoadLabels.of(drawn))
    return drawn


def test_every_tool_by_its_key(annotator, page, squares):
    prompts = lambda: annotator.session.state.prompts  # noqa: E731
    page.key("b")
    page.send("drag", y0=40, x0=40, y1=50, x1=60)
    assert prompts() == (BoxPrompt(0, 40, 40, 50, 60),)
    page.key("e")
    page.send("drag", y0=40, x0=40, y1=50, x1=60)
    page.key("l")
    page.send("outline", points=[60, 60, 60, 80, 80, 70])
    page.key("r")
    page.send("stroke", points=[60, 60, 60, 80], width=1, button=2)
    assert prompts()[-1] == Scribble(0, ((60, 60), (60, 80)), positive=False)
    assert [type(p).__name__ for p in prompts()] == ["BoxPrompt", "Ellipse", "Polygon", "Scribble"]
    page.key("c", shift=True)

    page.key("w")
    page.send("stroke", points=[60, 60, 60, 80], width=4)
    painted = annotator.session.state.proposal.mask.area
    page.key("q")
    page.send("stroke", points=[60, 60, 60, 70], width=4)
    assert 0 < annotator.session.state.proposal.mask.area < painted
    page.key("c", shift=True)

    page.key("v")
    page.send("click", y=12, x=12)
    page.send("click", y=12, x=22, shift=True)
    assert annotator.session.selected == (1, 2)
    page.send("click", y=80, x=22)
    assert annotator.session.selected == ()
    page.key("m")
    page.send("click", y=12, x=12)
    page.send("click", y=12, x=22)
    assert (annotator.labels[10:20, 10:30] == 1).all()
    page.key("x")
    page.send("stroke", points=[5, 16, 25, 16], width=1)
    assert set(np.unique(annotator.labels)) == {0, 1, 3}
    page.key("d")
    page.send("click", y=12, x=12)
    assert len(np.unique(annotator.labels)) == 2
    page.send("click", y=80, x=12)
    assert "Click on the object" in status(annotator)


def test_keys_say_what_is_to_be_picked(annotator, page, squares):
    page.key("i")
    assert "No object is picked. Click on one with the pick tool first." in status(annotator)
    page.key("Backspace")
    assert "There is no prompt to change. Click on an object first." in status(annotator)
    annotator.session.handle(Select((1, 2)))
    page.key("i")
    assert "2 objects are picked. Pick the one that is to be improved." in status(annotator)
    assert not annotator.session.state.proposals


def test_picking_takes_a_candidate_where_no_object_lies(annotator, page, squares):
    mask = Mask((0, 15, 15), np.ones((1, 20, 20), bool))
    annotator.session.handle(Suggest((Candidate(mask, 0.7, "grid"),)))
    page.key("v")
    page.send("click", y=17, x=17)
    assert annotator.session.selected == (1,)
    page.send("click", y=33, x=33)
    assert annotator.session.state.proposal.mask == mask
    assert annotator.session.state.candidates == ()


def test_prompts_are_moved_and_removed(annotator, page):
    page.send("click", y=24, x=26)
    (held,) = annotator._interaction.prompts
    page.send("shift", prompt=held, part=-1, dy=2, dx=3)
    assert annotator.session.state.prompts == (Point(0, 26, 29),)
    # The prompt is not there any more: somebody else has moved it.
    page.send("shift", prompt=held, part=-1, dy=2, dx=3)
    assert annotator.session.state.prompts == (Point(0, 26, 29),)
    assert "changed since" in status(annotator)
    page.send("removal", prompt=annotator._interaction.prompts[0])
    assert annotator.session.state.prompts == ()
    assert annotator._interaction.prompts == []


def test_what_the_user_saw_counts(annotator, page):
    """The tool of the gesture, not the one that a slow network has brought since."""
    annotator.session.handle(SetTool(Tool.DELETE))
    page.send("drag", tool="box", y0=40, x0=40, y1=50, x1=60)
    page.send("click", tool="point", positive=False, y=4, x=5)
    assert annotator.session.state.prompts == (BoxPrompt(0, 40, 40, 50, 60), Point(0, 4, 5, False))
    annotator.session.handle(SetBrush(30))
    page.send("stroke", tool="brush", points=[80, 80, 80, 80.5], width=3)
    assert annotator.session.state.proposals[-1].mask.area < 300


def test_what_is_refused_is_told_and_its_preview_taken_away(annotator, page):
    for refused in (
        {"kind": "click", "y": -3, "x": 20},
        {"kind": "outline", "points": [1, 2, 3, 4]},
        {"kind": "stroke", "tool": "eraser", "points": [1, 2, 3, 4], "width": 3},
        {"kind": "drag", "tool": "box", "y0": 5, "x0": 5, "y1": 5, "x1": 9},
    ):
        before = annotator.session.notice
        page.send(**refused)
        assert annotator.session.notice.error
        assert annotator.session.notice != before
        assert page.done == page.number
    assert annotator.session.state.prompts == ()


def test_an_exception_is_told_and_the_canvas_lives_on(annotator, page, monkeypatch):
    broken = lambda action: 1 / 0  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(annotator.session, "handle", broken)
        page.send("click", y=24, x=26)
    assert "ZeroDivisionError" in status(annotator)
    assert page.done == 1, "the dot that the browser drew goes"
    page.send("nonsense")
    page.send("click", y=None, x=3)
    page.send("click", tool="hammer", y=2, x=3)
    assert page.done == 4
    page.send("click", y=24, x=26)
    assert annotator.labels is not None
    assert annotator.session.state.proposal.mask.area > 60


def test_three_hundred_fast_clicks_all_count(annotator, page):
    for i in range(300):
        page.send("click", wait=False, y=20 + i / 10, x=26)
    annotator.wait()
    assert len(annotator.session.state.prompts) == 300
    assert page.done == 300


def test_of_views_that_wait_the_newest_counts(annotator, page, monkeypatch):
    handled, gate = [], threading.Event()
    real = annotator.session.handle
    monkeypatch.setattr(annotator.session, "handle", lambda action: (handled.append(action), real(action))[1])
    annotator._loop.post(lambda: gate.wait(10))
    for i in range(40):
        page.send("view", wait=False, y=1.0 + i / 10, x=2.0, zoom=12.0)
    gate.set()
    annotator.wait()
    assert [one for one in handled if isinstance(one, SetView)] == [SetView(4.9, 2.0, 12.0)]
    assert annotator._controls._views == {"page": 40}


def test_old_drawings_are_left_out_but_clicks_count(annotator, drawn_image):
    page = Page(annotator, clock=-3600.0)  # a clock that is wrong does not matter
    page.send("click", y=24, x=26)
    page.clock -= controls.STALE + 5
    page.send("drag", tool="box", y0=40, x0=40, y1=50, x1=60)
    page.send("outline", tool="lasso", points=[60, 60, 60, 80, 80, 70])
    assert len(annotator.session.state.prompts) == 1
    assert "draw it again" in status(annotator)
    assert page.done == 3
    page.send("click", y=30, x=26)
    assert len(annotator.session.state.prompts) == 2
    page.clock += controls.STALE
    page.send("drag", tool="box", y0=40, x0=40, y1=50, x1=60)
    assert len(annotator.session.state.prompts) == 3


def test_a_clock_that_was_set_right_does_not_refuse_drawings_for_good(annotator, monkeypatch):
    page = Page(annotator)
    page.send("click", y=24, x=26)
    page.clock -= controls.STALE * 10
    page.send("drag", tool="box", y0=40, x0=40, y1=50, x1=60)
    assert len(annotator.session.state.prompts) == 1
    for known in annotator._controls._refusing:
        annotator._controls._refusing[known] -= controls.STALE + 1
    page.send("drag", tool="box", y0=40, x0=40, y1=50, x1=60)
    page.send("drag", tool="box", y0=60, x0=60, y1=70, x1=80)
    assert len(annotator.session.state.prompts) == 3


def test_escape_stops_what_a_commit_waits_for(annotator, page):
    service = annotator._runner._service
    service.gate.clear()
    page.send("click", wait=False, y=24, x=26)
    page.key("c", wait=False)
    page.send("click", wait=False, y=70, x=40)
    annotator._loop.wait()
    assert page.done < 3
    page.key("Escape", wait=False)
    annotator._loop.wait()
    assert annotator.session.awaiting is None
    assert "not committed" in status(annotator)
    assert page.done == 4, "nothing that was left out stays drawn"
    service.gate.set()
    annotator.wait()
    assert not annotator.labels.any()


def test_looking_around_does_not_wait_for_a_commit_that_waits(annotator, page):
    service, session = annotator._runner._service, annotator.session
    service.gate.clear()
    page.send("click", wait=False, y=24, x=26)
    page.key("c", wait=False)
    page.key("b", wait=False)
    page.key("1", wait=False)
    annotator.handle(SetLayer(LayerName.OBJECTS, opacity=0.25))
    annotator._loop.wait()
    browsing = session.state.browsing
    assert browsing.tool is Tool.BOX
    assert not browsing.layers.image.visible
    assert browsing.layers.objects.opacity == 0.25
    assert page.done == 2, "the previews of what waits stay"
    page.key("Escape", wait=False)
    annotator._loop.wait()
    assert session.state.browsing == browsing, "the commit is left, and nothing else"
    service.gate.set()
    annotator.wait()
    assert page.done == 5


def test_pages_that_are_gone_are_forgotten(annotator):
    for i in range(50):
        Page(annotator, f"page {i}").send("view", wait=False, y=1.0, x=2.0, zoom=12.0)
        annotator._loop.wait()
    known = annotator._controls
    assert all(len(one) <= 20 for one in (known._views, known._came, known._done, known._ways))
    assert "page 49" in known._views


# Without the interaction layer.


class Raw:
    """ipycanvas' own events, at image positions."""

    def __init__(self, annotator):
        self.annotator, self.canvas = annotator, annotator._screen.canvas

    def send(self, kind, y=0.0, x=0.0):
        row, column = self.annotator._screen.viewport.to_screen(y, x)
        self.canvas._handle_custom_msg({"event": f"mouse_{kind}", "x": column, "y": row}, [])

    def draw(self, *places, end="up"):
        self.send("down", *places[0])
        for place in places:
            self.send("move", *place)
        self.send(end, *places[-1])
        self.annotator.wait()

    def key(self, key, shift=False, ctrl=False):
        message = {"event": "key_down", "key": key, "shift_key": shift, "ctrl_key": ctrl, "meta_key": False}
        self.canvas._handle_custom_msg(message, [])
        self.annotator.wait()


@pytest.fixture
def raw(annotator):
    return Raw(annotator)


def test_all_tools_work_by_plain_events(annotator, raw, squares):
    raw.key("b")
    raw.draw((40, 40), (45, 50), (50, 60))
    box = annotator.session.state.prompts[0]
    assert (box.y0, box.x0, box.y1, box.x1) == pytest.approx((40, 40, 50, 60))
    raw.key("g")
    for place in ((60, 60), (60, 80), (80, 70), (80, 50)):
        raw.draw(place)
    assert "Enter closes the polygon" in status(annotator)
    raw.key("Backspace")
    raw.key("Enter")
    polygon = annotator.session.state.prompts[1]
    assert isinstance(polygon, Polygon)
    assert np.array(polygon.points) == pytest.approx(np.array([(60, 60), (60, 80), (80, 70)]))
    raw.key("Backspace")
    assert len(annotator.session.state.prompts) == 1, "without a polygon the key removes a prompt"
    raw.key("C", shift=True)
    raw.key("w")
    raw.draw((60, 60), (60, 70), (60, 80))
    assert annotator.session.state.proposal.mask.holds(0, 60, 70)
    raw.key("q")
    raw.draw((60, 65), (60, 75), end="out")
    assert not annotator.session.state.proposal.mask.holds(0, 60, 70)
    raw.key("C", shift=True)
    raw.key("x")
    raw.draw((5, 15), (25, 15))
    assert len(np.unique(annotator.labels)) == 4
    raw.key("t")
    raw.key("p")
    raw.draw((70, 70))
    assert annotator.session.state.prompts[-1].positive is False


def test_the_hand_and_the_arrow_keys_move_the_image(annotator, raw):
    raw.key("+")
    raw.key("h")
    before = annotator._screen.viewport
    raw.draw((50, 50), (48, 49), (45, 47))
    after = annotator._screen.viewport
    assert (after.y - before.y, after.x - before.x) == pytest.approx((5, 3))
    raw.key("ArrowRight")
    assert annotator._screen.viewport.x > after.x
    assert annotator._screen.viewport.y == pytest.approx(after.y)
    assert annotator.session.state.prompts == ()


def test_plain_moves_are_collected_and_never_painted_one_by_one(annotator, raw, monkeypatch):
    paints = []
    real = annotator._screen.paint
    monkeypatch.setattr(annotator._screen, "paint", lambda *a, **k: (paints.append(1), real(*a, **k)))
    start = time.perf_counter()
    for i in range(1000):
        raw.send("move", 50, i / 20)
    assert time.perf_counter() - start < 2
    annotator.wait()
    assert paints == [], "hovering does nothing"
    raw.key("w")
    paints.clear()
    raw.draw(*((50, 20 + i / 25) for i in range(1000)))
    assert len(paints) < 10
    assert annotator.session.state.proposal.mask.holds(0, 50, 40)


def test_two_strokes_that_arrive_in_a_burst_stay_two(annotator, raw):
    """A kernel that was busy with a cell hears everything at once."""
    raw.key("w")
    gate = threading.Event()
    annotator._loop.post(lambda: gate.wait(10))
    for row in (20, 70):
        raw.send("down", row, 20)
        for x in range(20, 40):
            raw.send("move", row, x)
        raw.send("up", row, 40)
    gate.set()
    annotator.wait()
    mask = annotator.session.state.proposal.mask
    assert mask.holds(0, 20, 30)
    assert mask.holds(0, 70, 30)
    assert not mask.holds(0, 45, 30), "no line between the two"


def test_parts_and_the_delete_lasso_by_plain_events(annotator, raw, squares):
    raw.key("U", shift=True)
    raw.draw((15, 12))
    raw.draw((15, 18))
    assert "Part 2. Enter takes the object apart" in status(annotator)
    raw.key("Enter")
    assert annotator.labels[15, 12] != annotator.labels[15, 18]
    raw.draw((15, 12))
    raw.draw((15, 28))
    raw.key("Enter")
    assert "same object" in status(annotator)
    raw.key("T", shift=True)
    raw.draw((5, 19.5), (5, 35), (35, 35), (35, 19.5))
    assert not annotator.labels[10:20, 20:30].any()
    assert annotator.labels[10:20, 10:20].all()


def test_proofreading_by_keys_opens_its_panel(annotator, page, squares):
    page.key("v")
    page.send("click", y=15, x=15)
    page.key("G", shift=True)
    panel = annotator._panels.made["Proofread"]
    assert annotator._panels.is_open("Proofread")
    assert annotator.labels[9, 15] == 1
    panel.pixels.value = 2
    page.key("I", shift=True)
    assert annotator.labels[10, 15] == 0
    page.key("H", shift=True)
    assert "no hole" in status(annotator)
    page.key("V", shift=True)
    assert annotator.session.infos[1].checked
    page.key("/")
    while (thread := panel._background._thread) is not None:
        thread.join(20)
    annotator.wait()
    assert "None of them is suspicious" in status(annotator)


def test_a_close_up_fills_a_third_of_the_screen(annotator, squares):
    annotator._close_up(Box((0, 10, 10), (1, 20, 30)))
    annotator.wait()
    view = annotator._screen.viewport
    assert view.to_image(view.height / 2, view.width / 2) == pytest.approx((15, 20))
    assert min(view.height / view.zoom / 10, view.width / view.zoom / 20) == pytest.approx(3)


def test_what_was_there_when_it_was_opened_is_known(drawn_image):
    session = Session(drawn_image.shape)
    assert not Earlier(session)().any()
    session.handle(LoadLabels.of(np.eye(96, dtype=np.uint32)))
    loaded = session.snapshot()
    session.handle(Delete((1,)))
    assert np.array_equal(Earlier(session)(), loaded), "what was loaded before it was opened"
    earlier = Earlier(session)
    session.handle(Undo())
    session.handle(Undo())
    assert np.array_equal(earlier(), loaded), "the loading was undone"
    session.handle(Paint(((5, 5),), 4))
    session.handle(Commit())
    painted = session.snapshot()
    earlier = Earlier(session)
    session.handle(Undo())
    assert np.array_equal(earlier(), painted)


def test_the_button_leaves_a_polygon_too(annotator, raw):
    raw.key("g")
    for place in ((60, 60), (60, 80), (80, 70)):
        raw.draw(place)
    annotator._controls.act(Command.ESCAPE)
    raw.key("Enter")
    assert annotator.session.state.prompts == ()


def test_callbacks_may_come_from_any_thread(annotator):
    """Newer kernels run them beside the cells."""
    pages = [Page(annotator, f"screen {i}") for i in range(4)]

    def work(page, row):
        for i in range(50):
            page.send("click", wait=False, y=row, x=20 + i)

    threads = [threading.Thread(target=work, args=(page, 20 + 5 * i)) for i, page in enumerate(pages)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    annotator.wait()
    prompts = annotator.session.state.prompts
    assert len(prompts) == 200
    for i in range(4):
        assert [p.x for p in prompts if p.y == 20 + 5 * i] == list(range(20, 70)), "in their order"


def test_a_commit_that_is_refused_takes_no_later_click_with_it(annotator, page):
    """Nothing of the second object is free: the third click is not one of its prompts."""
    whole = np.ones(annotator.session.shape, np.uint32)
    annotator.session.handle(LoadLabels.of(whole[0]))
    service = annotator._runner._service
    service.gate.clear()
    page.send("click", wait=False, y=24, x=26)
    page.key("c", wait=False)
    page.send("click", wait=False, y=70, x=40)
    annotator._loop.wait()
    service.gate.set()
    annotator.wait()
    assert len(annotator.session.state.prompts) == 1
    assert "not committed" in status(annotator)
    assert page.done == 3


def test_an_error_after_a_commit_that_waited_loses_nothing_else(annotator, page, monkeypatch):
    service = annotator._runner._service
    service.gate.clear()
    page.send("click", wait=False, y=24, x=26)
    page.key("c", wait=False)
    annotator._loop.post(lambda: annotator._controls._queue.in_turn(lambda: 1 / 0))
    page.send("click", wait=False, y=70, x=40)
    annotator._loop.wait()
    service.gate.set()
    annotator.wait()
    assert annotator.labels[24, 26] == 1
    assert [(p.y, p.x) for p in annotator.session.state.prompts] == [(70, 40)]
