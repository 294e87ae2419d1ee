import pytest

from microsam_nb.core import Candidate, Mask, Overlap
from microsam_nb.session import (
    AddPoint,
    Commit,
    Predicted,
    Select,
    SetBatched,
    SetBrush,
    SetLive,
    SetOverlap,
    SetTool,
    Tool,
    Working,
)
from microsam_nb.session.state import Work
from microsam_nb.view import MOVIE, PROOFREADING, SERIES, TOOLS, VOLUME, Command, key_of
from microsam_nb.widgets import Toolbar, close_tree

#: Commands whose controls are in the panel of layers.
LAYERS = {
    Command.SHOW_IMAGE, Command.SHOW_OBJECTS, Command.SHOW_CANDIDATES, Command.SHOW_PROPOSAL, Command.SHOW_PROMPTS,
    Command.CONTOURS, Command.FAINTER, Command.STRONGER, Command.AS_MODEL,
}  # fmt: skip
#: Tools whose buttons are in the panels of proofreading and of classes.
ELSEWHERE = {Command.PARTS, Command.DELETE_INSIDE, Command.CLASSIFY}


@pytest.fixture
def bar(desk):
    one = desk()
    toolbar = Toolbar(one.hands)
    toolbar.close = lambda: close_tree(toolbar.brushing)
    toolbar.show_session = toolbar.show
    toolbar.show = lambda _: toolbar.show_session(one.session)
    one.panel = toolbar
    toolbar.desk = one
    toolbar.show(None)
    return toolbar


def answer(session, area=9):
    side = int(area**0.5)
    mask = Mask((0, 10, 10), __import__("numpy").ones((1, side, side), bool))
    session.handle(Predicted(session.awaiting, (Candidate(mask, 0.9, "points"),)))


def test_every_command_has_a_button_here_or_in_a_panel(bar):
    elsewhere = LAYERS | VOLUME | MOVIE | PROOFREADING | SERIES | ELSEWHERE
    assert set(bar.buttons) == set(Command) - elsewhere - {Command.ACCEPT_ALL, Command.REJECT_ALL}


def test_a_volume_has_the_buttons_of_objects_in_several_planes(desk):
    one = desk((3, 96, 96))
    toolbar = Toolbar(one.hands, volume=True)
    toolbar.close = lambda: close_tree(toolbar.brushing)
    one.panel = toolbar
    toolbar.show, show = lambda _: None, toolbar.show
    more = (Command.SEGMENT_OBJECT, Command.STOP_HERE)
    show(one.session)
    assert all(toolbar.buttons[command].disabled for command in more)
    one.session.handle(AddPoint(11, 11, plane=1))
    show(one.session)
    for command in more:
        assert not toolbar.buttons[command].disabled
        toolbar.buttons[command].click()
    assert one.done == list(more)


def test_in_a_movie_objects_are_followed_through_frames(desk):
    one = desk((3, 96, 96), movie=True)
    toolbar = Toolbar(one.hands, volume=True, movie=True)
    toolbar.close = lambda: close_tree(toolbar.brushing)
    toolbar.show = lambda _: None
    one.panel = toolbar
    assert toolbar.buttons[Command.SEGMENT_OBJECT].tooltip == "Follow the cell through all frames [Shift-S]"
    assert not any("plane" in button.tooltip for button in toolbar.buttons.values())


def test_buttons_say_what_they_do_and_their_key(bar):
    for command, button in bar.buttons.items():
        assert button.tooltip.endswith(f"[{key_of(command)}]")
        assert len(button.tooltip) > len(key_of(command)) + 5
        assert button.icon
        button.click()
        assert bar.desk.done[-1] is command


@pytest.mark.parametrize("tool", list(Tool))
def test_the_chosen_tool_is_marked_and_no_other(bar, tool):
    bar.desk.session.handle(SetTool(tool))
    marked = {command for command in set(TOOLS) - ELSEWHERE if bar.buttons[command].button_style}
    assert [TOOLS[command] for command in marked] == [tool] * (tool not in {TOOLS[command] for command in ELSEWHERE})


def test_the_brush_size_is_there_with_brush_and_eraser_only(bar):
    shown = []
    for tool in Tool:
        bar.desk.session.handle(SetTool(tool))
        if bar.brushing.layout.display != "none":
            shown.append(tool)
    assert shown == [Tool.BRUSH, Tool.ERASER]


def test_the_brush_slider_sets_and_shows_the_size(bar):
    bar.brush.value = 42
    assert bar.desk.session.state.browsing.brush == 42
    bar.desk.session.handle(SetBrush(12.4))
    assert bar.brush.value == 12
    assert bar.desk.session.state.browsing.brush == 12.4, "what is shown is rounded, what is set is not"
    bar.desk.session.handle(SetBrush(900.0))
    assert bar.desk.session.state.browsing.brush == 900


def test_the_overlap_policy_sets_and_shows(bar):
    bar.overlap.value = Overlap.WHOLE
    assert bar.desk.session.state.browsing.overlap is Overlap.WHOLE
    bar.desk.session.handle(SetOverlap(Overlap.REPLACE))
    assert bar.overlap.value is Overlap.REPLACE
    assert sum(isinstance(one, SetOverlap) for one in bar.desk.done) == 1


def test_modes_are_marked(bar):
    session = bar.desk.session
    assert bar.buttons[Command.LIVE].button_style
    assert not bar.buttons[Command.BATCHED].button_style
    session.handle(SetLive(False))
    session.handle(SetBatched(True))
    assert not bar.buttons[Command.LIVE].button_style
    assert bar.buttons[Command.BATCHED].button_style


def enabled(bar):
    return {command for command, one in bar.buttons.items() if not one.disabled}


def test_what_can_do_nothing_is_disabled(bar):
    session = bar.desk.session
    depends = {
        Command.COMMIT, Command.SEGMENT, Command.REMOVE, Command.CLEAR, Command.ESCAPE, Command.UNDO, Command.REDO,
        Command.NEXT, Command.PREVIOUS, Command.IMPROVE, Command.DELETE,
    }  # fmt: skip
    assert enabled(bar) & depends == set()
    session.handle(AddPoint(11, 11))
    waiting = {Command.COMMIT, Command.SEGMENT, Command.REMOVE, Command.CLEAR, Command.UNDO}
    assert enabled(bar) & depends == waiting | {Command.ESCAPE}
    answer(session)
    assert enabled(bar) & depends == waiting
    session.handle(Commit())
    assert enabled(bar) & depends == {Command.UNDO, Command.NEXT, Command.PREVIOUS}
    session.handle(Select((1,)))
    picked = {Command.UNDO, Command.NEXT, Command.PREVIOUS, Command.IMPROVE, Command.DELETE, Command.ESCAPE}
    assert enabled(bar) & depends == picked
    session.handle(Select())
    session.handle(Working(Work("Encoding")))
    assert Command.ESCAPE in enabled(bar)
