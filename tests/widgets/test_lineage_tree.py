"""The panel of tracks: what is drawn, what a press does, which buttons are offered, and linking."""

from __future__ import annotations

import time

import numpy as np
import pytest

from microsam_nb.core import Lineage, Tracks
from microsam_nb.engine.linking.settings import LinkSettings
from microsam_nb.session import (
    AddPoint,
    Automatic,
    CutTrack,
    Delete,
    LinkAll,
    LoadTracks,
    Paint,
    Select,
    SetPlane,
    Setting,
    Suggested,
    Undo,
)
from microsam_nb.view import Command, colour_of
from microsam_nb.widgets.lineage_tree import TracksPanel
from microsam_nb.widgets.panels import EVERYTHING


def movie():
    """Track 1 in frames 0 to 3, its daughters 2 and 3 in 4 to 7; track 4 in 1, 2 and 5."""
    labels = np.zeros((8, 20, 20), np.uint32)
    labels[:4, 1:4, 1:4] = 1
    labels[4:, 1:4, 1:4], labels[4:, 6:9, 6:9] = 2, 3
    labels[[1, 2, 5], 12:15, 12:16] = 4
    return Tracks(labels, Lineage({1: (2, 3), 2: (), 3: (), 4: ()}))


@pytest.fixture
def panel(desk):
    def make(tracks=None, linking=None):
        one = desk((8, 20, 20) if tracks is None else tracks.labels.shape, movie=True)
        made = one.panel = TracksPanel(one.session, one.hands, linking)
        made.desk = one
        made.show(EVERYTHING)
        if tracks is not None:
            one.session.handle(LoadTracks.of(tracks))
        return made

    return make


@pytest.fixture
def filled(panel):
    return panel(movie())


def press(panel, frame, row, more=False):
    panel.layer._handle_custom_msg({"kind": "press", "x": frame, "y": row, "more": more}, [])


def offered(panel):
    return {command for command, button in panel.buttons.items() if not button.disabled}


def drawn(panel):
    """Tracks of the tree, in their order."""
    return [bar[0] for bar in panel.layer.bars]


def css(track):
    return "#{:02x}{:02x}{:02x}".format(*colour_of(track))


def test_without_tracks_it_says_how_to_get_one(panel):
    one = panel()
    assert "Shift-S follows" in one.caption.value
    assert offered(one) == set()
    assert one.lines.x.size == 0


def test_a_line_per_track_in_its_colour(filled):
    assert drawn(filled) == [1, 2, 3, 4]
    assert filled.lines.x.shape[0] == 4
    assert filled.lines.colors == [css(track) for track in (1, 2, 3, 4)]
    assert filled.lines.y[:, 0].tolist() == [0.5, 0, 1, 2]
    assert filled.gaps.x[:2].tolist() == [2.4, 4.6]
    assert filled.gaps.colors == [css(4)]
    assert np.isnan(filled.elbows.x).sum() == 1
    assert list(filled.numbers.text) == ["1", "2", "3", "4"]
    assert filled.caption.value == "4 tracks, 1 division. Nothing is picked."
    assert filled.layer.span[2:] == [filled._y.min, filled._y.max]


def test_picked_tracks_are_thick_and_described(filled):
    filled.desk.session.handle(Select((2, 4)))
    assert filled.thick.x.shape[0] == 2
    assert filled.thick.colors == [css(2), css(4)]
    assert "<b>Track 2</b>: frames 4–7; mother 1" in filled.caption.value
    assert "<b>Track 4</b>: frames 1–5; missing in 2 of them" in filled.caption.value
    assert filled.layer.reveal == [2.0, 1]
    filled.desk.session.handle(Select((1,)))
    assert filled.caption.value == "<b>Track 1</b>: frames 0–3; daughters 2, 3"
    filled.desk.session.handle(Select())
    assert filled.thick.x.size == 0


def test_a_press_picks_the_track_and_goes_there(filled):
    done = filled.desk.done
    press(filled, 5.2, 1.1)
    assert done == [Select((3,)), ("look at", 5, 7.5, 7.5)]
    press(filled, 2, 2, more=True)
    assert done[2:] == [Select((4,), more=True), ("look at", 2, 13.5, 14.0)]
    assert filled.desk.session.selected == (3, 4)


def test_a_press_in_a_gap_or_beside_all_tracks_goes_to_the_frame(filled):
    press(filled, 4.2, 2.0)
    assert filled.desk.done == [Select((4,)), ("look at", 4, None, None)]
    press(filled, 7, 2.0)
    press(filled, 99, -5)
    assert filled.desk.done[2:] == [("look at", 7, None, None), ("look at", 7, None, None)]


def test_only_the_picked_lineage(filled):
    filled.only.value = True
    assert drawn(filled) == [1, 2, 3, 4], "nothing is picked"
    filled.desk.session.handle(Select((3,)))
    assert drawn(filled) == [1, 2, 3]
    filled.desk.session.handle(Select((4,)))
    assert drawn(filled) == [4]
    filled.only.value = False
    assert drawn(filled) == [1, 2, 3, 4]


def test_what_changes_the_tracks_is_drawn(filled):
    session = filled.desk.session
    session.handle(CutTrack(1, 2))
    assert drawn(filled) == [1, 4, 5, 2, 3]
    session.handle(Undo())
    assert drawn(filled) == [1, 2, 3, 4]
    session.handle(Select((4,)))
    session.handle(Delete((4,)))
    assert drawn(filled) == [1, 2, 3]
    assert filled.thick.x.size == 0


def test_it_is_drawn_again_only_where_it_is_another(filled, monkeypatch):
    times = []
    monkeypatch.setattr(filled, "_draw", lambda: times.append("tree"))
    monkeypatch.setattr(filled, "_draw_picked", lambda picked: times.append("picked"))
    session = filled.desk.session
    session.handle(SetPlane(3))
    assert filled.now.x.tolist() == [3, 3]
    session.handle(Select((1,)))
    assert times == ["picked"]
    session.handle(Paint(((18.0, 18.0),), 2.0, 3))
    session.handle(AddPoint(2, 2, plane=3))
    assert times == ["picked"], "no track has other frames"


def test_what_was_done_while_it_was_closed_is_drawn_when_it_is_opened(filled):
    panel, filled.desk.panel = filled.desk.panel, None
    filled.desk.session.handle(Delete((4,)))
    filled.desk.session.handle(SetPlane(6))
    filled.desk.panel = panel
    panel.show(EVERYTHING)
    assert drawn(panel) == [1, 2, 3]
    assert panel.now.x.tolist() == [6, 6]


def test_buttons_are_commands_offered_where_they_can_do_something(filled):
    session = filled.desk.session
    assert offered(filled) == set()
    session.handle(SetPlane(5))
    session.handle(Select((2,)))
    assert offered(filled) == {
        Command.DIVIDE, Command.CUT_TRACK, Command.END_TRACK, Command.DELETE_HERE, Command.ORPHAN
    }  # fmt: skip
    session.handle(SetPlane(0))
    assert offered(filled) == {Command.ORPHAN}
    session.handle(Select((2, 4)))
    assert offered(filled) == set()
    session.handle(SetPlane(5))
    assert offered(filled) == {Command.SWAP}
    session.handle(Select((2, 1)))
    assert offered(filled) == {Command.JOIN}
    session.handle(Select())
    session.handle(AddPoint(18, 2, plane=5))
    assert offered(filled) == {Command.DIVIDE}, "the object in hand"
    for command, button in filled.buttons.items():
        button.click()
        assert filled.desk.done[-1] is command


def test_the_tooltip_says_who_becomes_the_mother(filled):
    button = filled.buttons[Command.REPARENT]
    assert button.tooltip.startswith("The second of two picked tracks becomes the mother of the first")
    filled.desk.session.handle(Select((3, 4)))
    assert button.tooltip == "Track 4 becomes the mother of track 3 [Shift-P]"


def test_five_hundred_tracks_are_a_few_marks_and_another_frame_costs_little(panel):
    labels = np.zeros((20, 100, 250), np.uint32)
    for track in range(500):
        y, x = 5 * (track // 25), 10 * (track % 25)
        labels[track % 7 : 8 + track % 12, y : y + 4, x : x + 4] = track + 1
    one = panel(Tracks(labels, Lineage(dict.fromkeys(range(1, 501), ()))))
    assert len(one.lines.x) < 200, "only those in sight"
    assert len(one.figure.marks) == 6
    assert list(one.numbers.text) == [], "so many numbers could not be read"
    one.desk.session.handle(Select((8,)))
    assert list(one.numbers.text) == ["8"]
    start = time.perf_counter()
    for frame in range(20):
        one.desk.session.handle(SetPlane(frame))
    assert time.perf_counter() - start < 1.0


def test_of_thousands_of_tracks_the_rows_in_sight_are_drawn(panel):
    labels = np.zeros((2, 100, 200), np.uint32)
    labels[:, ::2, ::2] = np.arange(1, 5001).reshape(50, 100)
    one = panel(Tracks(labels))
    assert one.layer.rows == 5000
    assert drawn(one) == list(range(1, 161))
    session = one.desk.session
    one.layer._handle_custom_msg({"kind": "scroll", "first": 3000.0, "last": 3040.0}, [])
    assert drawn(one) == list(range(2941, 3101)), "as many rows before as behind"
    top, bottom = one.layer.span[2:]
    assert (one.now.y.tolist(), top < 3000 < bottom) == ([top, bottom], True)
    press(one, 1, 2999)
    assert session.selected == (3000,)
    assert one.thick.y.tolist() == [[2999, 2999, 2999]] or np.nanmax(one.thick.y) == 2999
    one.layer._handle_custom_msg({"kind": "scroll", "first": 4990.0, "last": 4999.0}, [])
    assert drawn(one) == list(range(4841, 5001))
    assert one.thick.x.size == 0, "out of sight"
    session.handle(Select((4,)))
    assert one.layer.reveal[0] == 3, "the browser is told where it is"
    start = time.perf_counter()
    session.handle(CutTrack(4, 1))
    assert time.perf_counter() - start < 1.0


@pytest.fixture
def linking(panel):
    return panel(None, LinkSettings.describe)


def test_linking_with_the_settings_of_the_form(linking):
    form, done = linking.linking, linking.desk.done
    assert form.form is None, "made when it is asked for"
    form.link.click()
    assert done == [LinkAll((), True)]
    form.more.click()
    assert set(form.form.fields) == {one.name for one in LinkSettings.describe()}
    assert form._fields.layout.display == ""
    assert form.form.fields["distance"].value == 1.3
    form.form.fields["gap"].value = 3
    form.form.fields["linker"].value = "trackastra"
    form.link.click()
    assert done[-1] == LinkAll((Setting("gap", 3), Setting("linker", "trackastra")), True)
    form.more.click()
    assert form._fields.layout.display == "none"


def test_without_objects_there_is_nothing_to_link_but_what_is_found_first(linking):
    form = linking.linking
    form.segment.value = False
    linking.show(EVERYTHING)
    assert form.link.disabled
    linking.desk.session.handle(LoadTracks.of(movie()))
    assert not form.link.disabled
    form.link.click()
    assert linking.desk.done[-1] == LinkAll((), False)


def test_objects_are_found_as_those_of_one_frame_were(linking):
    session = linking.desk.session
    session.seek(0, "ais", ())
    session.handle(Suggested(session._searches, (), Automatic("ais", (Setting("min_score", 0.4),), session.model)))
    linking.linking.link.click()
    assert linking.desk.done[-1] == LinkAll((Setting("min_score", 0.4),), True, "ais")


def test_what_is_linked_can_be_chosen_and_what_is_kept_is_said(panel):
    one = panel(movie(), LinkSettings.describe)
    form, session, done = one.linking, one.desk.session, one.desk.done
    assert form.kept.value == "Nothing of the present tracks is kept."
    form.scope.value = "from this frame on"
    session.handle(SetPlane(3))
    assert form.kept.value.startswith("Kept: all before frame 3, 2 tracks. Linked anew from there on: 2 tracks")
    form.link.click()
    assert done[-1] == LinkAll((), True, first=3)
    form.scope.value = "only the chosen lineage"
    assert (form.kept.value, form.link.disabled) == ("Pick a track of the lineage first.", True)
    session.handle(Select((3,)))
    assert (form.kept.value, form.link.disabled) == ("Linked anew: tracks 1, 2, 3. Kept: 1 track.", False)
    form.segment.value = False
    form.link.click()
    assert done[-1] == LinkAll((), False, only=(1, 2, 3))
