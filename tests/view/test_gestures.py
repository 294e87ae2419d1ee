from dataclasses import replace

import numpy as np
import pytest

from microsam_nb.core import BoxPrompt, Candidate, Ellipse, Mask, MaskPrompt, Point, Polygon, PromptError, Scribble
from microsam_nb.session import (
    AcceptCandidates,
    AddBox,
    AddPoint,
    AddPrompt,
    Browsing,
    Delete,
    DeleteInside,
    Erase,
    Fill,
    Layer,
    Layers,
    Merge,
    Paint,
    RejectCandidates,
    RemovePrompt,
    ReplacePrompt,
    Select,
    Split,
    SplitAt,
    State,
    TakeCandidate,
    Tool,
)
from microsam_nb.view import (
    Click,
    Corners,
    Drag,
    Handle,
    Outline,
    Pan,
    Parts,
    Press,
    Removal,
    Shift,
    Stroke,
    action_for,
    gestures,
    handles,
)

LINE = ((1.0, 2.0), (3.0, 4.0))
RING = ((1.0, 2.0), (3.0, 4.0), (5.0, 0.0))


def label_at(plane, y, x):
    """Object 4 above row 10, object 6 from there to row 20, nothing below."""
    return 4 if y < 10 else 6 if y < 20 else 0


def square(size, y=30, x=30):
    return Candidate(Mask((0, y, x), np.ones((1, size, size), bool)), 0.5, "grid")


@pytest.mark.parametrize(
    ("gesture", "browsing", "action"),
    [
        (Click(3, 4), {}, AddPoint(3, 4, True)),
        (Click(3, 4, button=2), {}, AddPoint(3, 4, False)),
        (Click(3, 4), {"positive": False}, AddPoint(3, 4, False)),
        (Click(3, 4, button=1), {}, None),
        (Click(3, 4), {"plane": 7}, AddPoint(3, 4, True, 7)),
        (Click(3, 4), {"tool": Tool.BOX}, AddPoint(3, 4, True)),
        (Click(3, 4, button=2), {"tool": Tool.POLYGON}, AddPoint(3, 4, False)),
        (Click(3, 4, shift=True), {}, AddPoint(3, 4, True)),
        (Drag(1, 2, 3, 4), {}, None),
        (Drag(1, 2, 3, 4), {"tool": Tool.BOX}, AddBox(1, 2, 3, 4)),
        (Drag(1, 2, 3, 4), {"tool": Tool.ELLIPSE}, AddPrompt(Ellipse(0, 1, 2, 3, 4))),
        *((Drag(1, 2, 3, 4, shift=True), {"tool": tool}, AddBox(1, 2, 3, 4)) for tool in Tool),
        (Drag(1, 2, 3, 4, button=1), {"tool": Tool.BOX}, None),
        (Drag(1, 2, 3, 4, button=2, shift=True), {"tool": Tool.BOX}, None),
        (Outline(RING), {"tool": Tool.LASSO, "plane": 2}, AddPrompt(Polygon(2, RING))),
        (Outline(RING), {"tool": Tool.DELETE_INSIDE}, DeleteInside(RING)),
        (Click(3, 4), {"tool": Tool.DELETE_INSIDE}, None),
        (Click(3, 4), {"tool": Tool.PARTS}, None),
        (Outline(RING), {"tool": Tool.POLYGON}, AddPrompt(Polygon(0, RING))),
        (Stroke(LINE), {"tool": Tool.SCRIBBLE}, AddPrompt(Scribble(0, LINE))),
        (Stroke(LINE, button=2), {"tool": Tool.SCRIBBLE}, AddPrompt(Scribble(0, LINE, positive=False))),
        (Stroke(LINE), {"tool": Tool.SCRIBBLE, "positive": False}, AddPrompt(Scribble(0, LINE, positive=False))),
        (Stroke(LINE, 7.0), {"tool": Tool.BRUSH}, Paint(LINE, 7.0)),
        (Stroke(LINE), {"tool": Tool.BRUSH, "brush": 3.0}, Paint(LINE, 3.0)),
        (Stroke(LINE), {"tool": Tool.BRUSH, "positive": False}, Paint(LINE, 10.0)),
        (Stroke(LINE, 7.0, button=2), {"tool": Tool.BRUSH}, Erase(LINE, 7.0)),
        (Stroke(LINE, 7.0), {"tool": Tool.ERASER}, Erase(LINE, 7.0)),
        (Click(3, 4), {"tool": Tool.BRUSH}, Paint(((3, 4),), 10.0)),
        (Click(3, 4, button=2), {"tool": Tool.BRUSH}, Erase(((3, 4),), 10.0)),
        (Stroke(LINE), {"tool": Tool.SPLIT, "plane": 1}, Split(LINE, 1)),
        (Click(3, 4), {"tool": Tool.SPLIT}, None),
        (Click(3, 4), {"tool": Tool.HAND}, None),
        (Click(3, 4), {"tool": Tool.FILL}, Fill(3, 4)),
        (Click(3, 4, button=2), {"tool": Tool.FILL}, None),
        (Click(3, 4), {"tool": Tool.PICK}, Select((4,))),
        (Click(13, 4, shift=True), {"tool": Tool.PICK, "selected": (4,)}, Select((6,), True)),
        (Click(23, 4), {"tool": Tool.PICK, "selected": (4,)}, Select()),
        (Click(23, 4, shift=True), {"tool": Tool.PICK, "selected": (4,)}, None),
        (Click(33, 33), {"tool": Tool.PICK}, TakeCandidate(1)),
        (Click(39, 39), {"tool": Tool.PICK}, TakeCandidate(0)),
        (Click(33, 33), {"tool": Tool.PICK, "layers": Layers(candidates=Layer(False))}, Select()),
        (Click(3, 4), {"tool": Tool.MERGE}, Select((4,))),
        (Click(13, 4), {"tool": Tool.MERGE, "selected": (4,)}, Merge((4, 6))),
        (Click(3, 4), {"tool": Tool.MERGE, "selected": (4,)}, None),
        (Click(23, 4), {"tool": Tool.MERGE, "selected": (4,)}, Select()),
        (Click(13, 4), {"tool": Tool.DELETE}, Delete((6,))),
        (Click(23, 4), {"tool": Tool.DELETE}, Delete(())),
    ],
)
def test_what_a_gesture_means(gesture, browsing, action):
    state = State(candidates=(square(10), square(5)), browsing=Browsing(**browsing))
    assert action_for(gesture, state, label_at) == action


PROMPTS = (
    Point(0, 3.004, 4, False),
    BoxPrompt(0, 10, 20, 30, 40),
    MaskPrompt(square(4).mask),
    Ellipse(0, 10, 20, 30, 40),
    Polygon(0, RING),
    Scribble(0, LINE, positive=False),
)


def test_prompts_that_can_be_held():
    state = State(prompts=PROMPTS)
    point, box, ellipse, polygon, scribble = handles(state)
    assert point.plain == [0, "point", False, 3.0, 4.0]
    assert box.plain == [1, "box", True, 10, 20, 30, 40]
    assert (ellipse.index, ellipse.kind) == (3, "ellipse")
    assert polygon.plain == [4, "polygon", True, 1, 2, 3, 4, 5, 0]
    assert scribble.plain == [5, "line", False, 1, 2, 3, 4]
    assert [Handle.of(one.plain) for one in handles(state)] == handles(state)
    assert handles(replace(state, browsing=Browsing(plane=1))) == []
    assert handles(replace(state, browsing=Browsing(layers=Layers(prompts=Layer(False))))) == []


def test_long_lines_are_held_by_a_few_vertices():
    circle = tuple((20 + 9 * np.sin(t), 20 + 9 * np.cos(t)) for t in np.linspace(0, 6.2, 2000))
    outline, line = handles(State(prompts=(Polygon(0, circle), Scribble(0, circle))))
    assert outline.kind == line.kind == "line"
    assert max(len(outline.at), len(line.at)) <= 2 * 33
    assert outline.at[:2] == outline.at[-2:], "closed"


def test_of_very_many_prompts_the_newest_are_held():
    state = State(prompts=tuple(Point(0, i, i) for i in range(1000)))
    assert [one.index for one in handles(state)] == list(range(600, 1000))


@pytest.mark.parametrize(
    ("place", "part", "after"),
    [
        (0, -1, Point(0, 4.004, 6, False)),
        (1, -1, BoxPrompt(0, 11, 22, 31, 42)),
        (1, 0, BoxPrompt(0, 11, 22, 30, 40)),
        (1, 1, BoxPrompt(0, 11, 20, 30, 42)),
        (1, 2, BoxPrompt(0, 10, 20, 31, 42)),
        (1, 3, BoxPrompt(0, 10, 22, 31, 40)),
        (3, 4, Ellipse(0, 11, 20, 30, 40)),
        (3, 5, Ellipse(0, 10, 20, 30, 42)),
        (3, 6, Ellipse(0, 10, 20, 31, 40)),
        (3, 7, Ellipse(0, 10, 22, 30, 40)),
        (4, 1, Polygon(0, ((1, 2), (4, 6), (5, 0)))),
        (4, -1, Polygon(0, ((2, 4), (4, 6), (6, 2)))),
        (5, -1, Scribble(0, ((2, 4), (4, 6)), positive=False)),
    ],
)
def test_moving_and_reshaping(place, part, after):
    state = State(prompts=PROMPTS)
    (handle,) = [one for one in handles(state) if one.index == place]
    assert action_for(Shift(handle, part, 1, 2), state, label_at) == ReplacePrompt(place, after)
    assert action_for(Removal(handle), state, label_at) == RemovePrompt(place)


def test_a_prompt_that_is_no_longer_what_it_was_is_left_alone():
    state = State(prompts=PROMPTS)
    handle = handles(state)[1]
    moved = replace(state, prompts=(PROMPTS[0], BoxPrompt(0, 10, 21, 30, 40)))
    assert action_for(Shift(handle, -1, 1, 2), moved, label_at) is None
    assert action_for(Removal(handle), moved, label_at) is None
    # One before it has gone: it is found in its new place.
    fewer = replace(state, prompts=PROMPTS[1:])
    assert action_for(Removal(handle), fewer, label_at) == RemovePrompt(0)
    # Of equals, the nearest place in the list.
    twins = replace(state, prompts=(PROMPTS[1],) * 3)
    assert action_for(Removal(replace(handle, index=2)), twins, label_at) == RemovePrompt(2)


def test_a_lasso_without_area_says_what_to_do():
    with pytest.raises(PromptError, match="Draw further around"):
        action_for(Outline(LINE), State(), label_at)


def test_points_of_parts_must_be_on_one_object():
    state = State(browsing=Browsing(tool=Tool.PARTS))
    assert action_for(Parts(((2, 2), (3, 9))), state, label_at) == SplitAt(4, ((2, 2), (3, 9)), 0)
    for points in (((2, 2), (12, 2)), ((2, 2), (50, 2)), ((50, 2), (60, 2))):
        with pytest.raises(PromptError, match="same object"):
            action_for(Parts(points), state, label_at)


# Without the interaction layer.


def run(tool, *events):
    """What comes of raw events (kind, row, column) at twice the image's size."""
    made = gestures()
    next(made)
    out = [made.send(Press(kind, tool, *at, *(v / 2 for v in at))) for kind, *at in events]
    return [one for one in out if one is not None]


def test_a_press_and_release_is_a_click():
    assert run(Tool.POINT, ("down", 5, 5), ("move", 6, 6), ("up", 6, 7)) == [Click(2.5, 2.5)]


@pytest.mark.parametrize("end", ["up", "out"])
def test_a_far_release_is_a_drag_also_outside(end):
    assert run(Tool.BOX, ("down", 5, 5), (end, 50, 70)) == [Drag(2.5, 2.5, 25, 35)]
    assert run(Tool.SPLIT, ("down", 4, 4), ("move", 20, 4), ("move", 20, 4), (end, 40, 40)) == [
        Stroke(((2, 2), (10, 2), (20, 20)))
    ]
    assert run(Tool.LASSO, ("down", 4, 4), ("move", 40, 4), ("move", 40, 40), (end, 4, 4)) == [
        Outline(((2, 2), (20, 2), (20, 20), (2, 2)))
    ]


def test_a_drag_with_other_tools_moves_the_image():
    made = run(Tool.HAND, ("down", 5, 5), ("move", 6, 6), ("move", 10, 15), ("move", 20, 15), ("up", 21, 16))
    assert sum(one.rows for one in made) == 16
    assert sum(one.columns for one in made) == 11
    assert all(isinstance(one, Pan) for one in made)


def test_stray_events_mean_nothing():
    assert run(Tool.BRUSH, ("up", 1, 1), ("out", 2, 2), ("move", 9, 9), ("Enter",), ("Escape",), ("down", 3, 3)) == []
    # A right click sends a press without release; the next press begins anew.
    assert run(Tool.BOX, ("down", 5, 5), ("down", 80, 80), ("up", 80, 80)) == [Click(40, 40)]


def clicks(*places):
    return [(kind, *at) for at in places for kind in ("down", "up")]


CORNERS = ((10, 10), (10, 90), (90, 50))
CLOSED = Outline(((5, 5), (5, 45), (45, 25)))


@pytest.mark.parametrize("end", [[("Enter",)], clicks((12, 9)), clicks((92, 49))])
def test_a_polygon_by_clicks(end):
    assert run(Tool.POLYGON, *clicks(*CORNERS), *end) == [Corners(1), Corners(2), Corners(3), CLOSED]


def test_an_open_polygon_can_be_changed_and_left():
    made = run(Tool.POLYGON, *clicks(*CORNERS, (70, 5)), ("Backspace",), ("Enter",))
    assert made[-2:] == [Corners(3), CLOSED]
    assert run(Tool.POLYGON, *clicks(*CORNERS), ("Escape",), ("Enter",))[-1] == Corners(0)
    # Two corners are not enough.
    assert run(Tool.POLYGON, *clicks(*CORNERS[:2]), ("Enter",))[-1] == Corners(2)


def test_parts_are_clicked_until_enter():
    points = Parts(((5, 5), (5, 45)))
    assert run(Tool.PARTS, *clicks(*CORNERS[:2]), ("Enter",)) == [Corners(1), Corners(2), points]
    # One part is none, and a click in the same place is no end.
    assert run(Tool.PARTS, *clicks(CORNERS[0]), ("Enter",)) == [Corners(1), Corners(1)]
    made = run(Tool.PARTS, *clicks(*CORNERS), ("Backspace",), ("Enter",))
    assert made[-2:] == [Corners(2), points]
    assert run(Tool.DELETE_INSIDE, ("down", 4, 4), ("move", 40, 4), ("up", 40, 40)) == [
        Outline(((2, 2), (20, 2), (20, 20)))
    ]


def test_another_tool_leaves_the_polygon():
    made = gestures()
    next(made)
    for kind, *at in clicks(*CORNERS):
        made.send(Press(kind, Tool.POLYGON, *at))
    made.send(Press("down", Tool.POINT, 200, 200))
    made.send(Press("up", Tool.POINT, 200, 200))
    assert made.send(Press("Enter", Tool.POLYGON)) is None


def test_the_choose_tool_keeps_and_rejects_candidates():
    near = Candidate(Mask((0, 10, 10), np.ones((1, 4, 4), bool)), 0.5, "ais")
    wide = Candidate(Mask((0, 0, 0), np.ones((1, 30, 30), bool)), 0.9, "ais")
    state = replace(State(candidates=(wide, near)), browsing=Browsing(tool=Tool.CHOOSE))

    def nothing(*_):
        return 0

    assert action_for(Click(11, 11), state, nothing) == AcceptCandidates((1,)), "the smaller one is meant"
    assert action_for(Click(11, 11, button=2), state, nothing) == RejectCandidates((1,))
    assert action_for(Click(25, 25), state, nothing) == AcceptCandidates((0,))
    assert action_for(Click(50, 50), state, nothing) is None
    line = ((0.0, 0.0), (0.0, 20.0), (20.0, 20.0))
    assert action_for(Stroke(line), state, nothing) == AcceptCandidates((), line, 0)
    assert action_for(Stroke(line, button=2), state, nothing) == RejectCandidates((), line, 0)
