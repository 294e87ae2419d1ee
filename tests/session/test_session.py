"""Named scripts: what was found with random ones, and the words the user reads."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from loose import answer, commit, found, opened, square

from microsam_nb.core import (
    Box,
    BoxPrompt,
    Candidate,
    Lineage,
    Mask,
    MaskPrompt,
    Note,
    ObjectInfo,
    Overlap,
    Point,
    Polygon,
    PromptError,
    Scribble,
    Section,
    Stop,
)
from microsam_nb.session import (
    AcceptCandidates,
    AcceptGuesses,
    AddBox,
    AddPoint,
    AddPrompt,
    Agreement,
    Automatic,
    BeginDaughters,
    Browsing,
    Cancel,
    Change,
    Channel,
    Check,
    ClassifyAlong,
    Clear,
    ColourByClass,
    Commit,
    CutTrack,
    Delete,
    DeleteIn,
    DeleteInside,
    Describe,
    Embedded,
    EndDaughters,
    EndTrack,
    Erase,
    Extended,
    ExtendObject,
    Extension,
    Failed,
    Fill,
    FillHoles,
    FindAll,
    FitAll,
    Glimpsed,
    Grow,
    Improve,
    JoinTracks,
    KeepLargest,
    Layer,
    LayerName,
    Layers,
    LinkAll,
    Linked,
    LoadLabels,
    LoadTracks,
    Merge,
    ModelLoaded,
    Notice,
    Orphan,
    Paint,
    Predict,
    Predicted,
    Redo,
    RejectCandidates,
    Relabel,
    RemovePrompt,
    Reparent,
    ReplacePrompt,
    Restored,
    Segment,
    Select,
    Session,
    SetBatched,
    SetBrush,
    SetChannels,
    SetClass,
    SetClasses,
    SetContours,
    SetLayer,
    SetLive,
    SetOverlap,
    SetPlane,
    SetPolarity,
    Setting,
    Settle,
    SetTool,
    SetView,
    ShowAsModel,
    Sketched,
    Smooth,
    Split,
    SplitAt,
    State,
    StopCarrying,
    Suggest,
    Suggested,
    Surveyed,
    SwapTracks,
    TakeCandidate,
    Tool,
    Undo,
    UseModel,
    View,
    Work,
    Working,
)
from microsam_nb.session.actions import Action, OnlyBox, from_json, to_json
from microsam_nb.session.actions.classifying import Guessed
from microsam_nb.session.actions.restoring import Described, LostStep
from microsam_nb.session.history import History, Step

SHAPE = (1, 20, 20)


@pytest.fixture
def session():
    return Session(SHAPE)


def journaled(folder):
    return opened(folder, SHAPE)


def test_finding_1_one_click_is_one_undo(session):
    session.handle(AddPoint(5, 5))
    answer(session, square(4, 4))
    session.handle(Undo())
    assert session.state == State()
    assert not session.can_undo
    session.handle(Redo())
    assert session.state.proposal.mask == square(4, 4)
    assert session.state.answered


def test_finding_2_an_answer_that_is_not_awaited_is_ignored(session):
    first = session.handle(AddPoint(5, 5)).requests[0].ticket
    second = session.handle(AddPoint(6, 6)).requests[0].ticket
    assert second != first
    outcome = session.handle(Predicted(first, found(square(1, 1), score=0.9)))
    assert outcome.change == Change()
    assert session.state.proposal is None
    assert session.awaiting == second
    session.handle(Predicted(second, found(square(2, 2), score=0.9)))
    session.handle(Predicted(second, found(square(3, 3), score=0.9)))
    assert session.state.proposal.mask == square(2, 2)


@pytest.mark.parametrize("move", [Undo(), Clear(), AddPoint(7, 7), AddBox(1, 1, 9, 9), RemovePrompt()])
def test_finding_2_any_move_cancels_the_wait(session, move):
    ticket = session.handle(AddPoint(5, 5)).requests[0].ticket
    session.handle(move)
    assert session.awaiting != ticket
    session.handle(Predicted(ticket, found(square(1, 1), score=0.9)))
    assert session.state.proposal is None


@pytest.mark.parametrize("look", [SetTool(Tool.BOX), SetView(1, 2, 3), SetPolarity()])
def test_looking_around_does_not_cancel_the_wait(session, look):
    session.handle(AddPoint(5, 5))
    session.handle(look)
    answer(session, square(1, 1))
    assert session.state.proposal.mask == square(1, 1)
    session.handle(Undo())
    assert not session.can_undo


def test_finding_3_undo_to_a_state_never_answered_asks_again(session):
    session.handle(AddPoint(5, 5))
    session.handle(AddPoint(6, 6))
    answer(session, square(1, 1))
    outcome = session.handle(Undo())
    (request,) = outcome.requests
    assert request.prompts == (Point(0, 5, 5),)
    answer(session, square(2, 2))
    # Both steps are answered now: walking between them asks for nothing.
    assert session.handle(Redo()).requests == ()
    assert session.state.proposal.mask == square(1, 1)
    assert session.handle(Undo()).requests == ()
    assert session.state.proposal.mask == square(2, 2)


def test_finding_4_a_new_edit_forgets_the_redo_branch(session):
    commit(session, square(1, 1))
    session.handle(Undo())
    session.handle(AddPoint(9, 9))
    assert not session.can_redo
    volume = session.labels.volume.copy()
    session.handle(Redo())
    assert session.notice == Notice("There is nothing to redo.")
    assert np.array_equal(session.labels.volume, volume)


def test_finding_4_a_commit_keeps_existing_objects(session):
    commit(session, square(1, 1))
    commit(session, square(3, 3))
    assert session.labels.volume[0, 3, 3] == 1
    assert (session.labels.volume == 1).sum() == 16
    assert (session.labels.volume == 2).sum() == 12


@pytest.mark.parametrize("overlap", [Overlap.REPLACE, "replace"])
def test_a_commit_replaces_when_told_to(session, overlap):
    commit(session, square(1, 1))
    commit(session, square(3, 3), overlap=overlap)
    assert session.labels.volume[0, 3, 3] == 2
    assert (session.labels.volume == 1).sum() == 12
    session.handle(Undo())
    assert (session.labels.volume == 1).sum() == 16


def test_finding_5_the_journal_replays_to_equal_labels_without_a_model(tmp_path):
    session = journaled(tmp_path)
    commit(session, square(1, 1))
    commit(session, square(3, 3), overlap=Overlap.REPLACE)
    session.handle(Undo())
    session.handle(AddBox(0, 0, 9, 9))
    answer(session, square(8, 8))
    again = journaled(tmp_path)
    assert np.array_equal(again.labels.volume, session.labels.volume)
    assert again.state == session.state
    assert again.awaiting is None
    again.handle(Commit())
    assert again.labels.count() == 2


def test_finding_6_a_full_history_forgets_its_oldest_steps_and_nothing_else(tmp_path):
    session = journaled(tmp_path)
    session._history = History(State(), capacity=100)
    random = np.random.default_rng(0)
    for _ in range(6):
        commit(session, Mask.crop(random.random((20, 20)) > 0.8))
    last = session.labels.volume.copy()
    undone = 0
    while session.can_undo:
        session.handle(Undo())
        undone += 1
    assert 1 <= undone < 12
    assert session.labels.volume.any()
    while session.can_redo:
        session.handle(Redo())
    assert np.array_equal(session.labels.volume, last)
    assert len((tmp_path / "journal.jsonl").read_text().splitlines()) == 18 + 2 * undone


def test_history_keeps_its_newest_step_however_large():
    labels = Session(SHAPE).labels
    delta, note = labels.paint(square(1, 1), 1), Note(1, None, ObjectInfo(0.5))
    history = History(State(), capacity=0)
    history.push(Step(State(next_id=2), (delta, note)))
    assert history.can_undo
    assert history.back() == ((note.reverse(), delta.reverse()), "")
    assert history.forward() == ((delta, note), "")


def test_commit_before_the_answer_says_to_wait(session):
    session.handle(AddPoint(5, 5))
    before = session.state
    with pytest.raises(PromptError) as error:
        session.handle(Commit())
    assert error.value.remedy == "Wait for the mask, then commit it."
    assert session.state is before
    assert session.awaiting is not None


def test_commit_of_an_old_proposal_with_a_new_prompt_says_to_wait(session):
    session.handle(AddPoint(5, 5))
    answer(session, square(4, 4))
    session.handle(AddPoint(6, 6))
    assert session.state.proposal.mask == square(4, 4)
    with pytest.raises(PromptError, match="Wait for the mask"):
        session.handle(Commit())


def test_commit_of_nothing_says_to_click(session):
    for _ in range(2):
        with pytest.raises(PromptError) as error:
            session.handle(Commit())
        assert error.value.remedy == "Click on an object first."
        session.handle(AddPoint(5, 5))
        answer(session, Mask.crop(np.zeros((20, 20), bool)))
    assert not session.labels.volume.any()


def test_commit_of_a_covered_object_says_how_to_replace(session):
    commit(session, square(1, 1, 8))
    session.handle(AddPoint(3, 3))
    answer(session, square(3, 3))
    before, volume = session.state, session.labels.volume.copy()
    with pytest.raises(PromptError) as error:
        session.handle(Commit())
    assert "choose to replace" in error.value.remedy
    assert session.state is before
    assert np.array_equal(session.labels.volume, volume)
    session.handle(Commit(Overlap.REPLACE))
    assert session.labels.count() == 2


def test_an_unknown_overlap_is_refused_at_once():
    with pytest.raises(ValueError, match="is not a valid Overlap"):
        Commit("merge")


def test_boxes_are_clipped_and_each_is_an_object(session):
    session.handle(AddPoint(5, 5))
    session.handle(AddBox(1, 1, 6, 6))
    (request,) = session.handle(AddBox(30, 8, -4, 2)).requests
    boxes = BoxPrompt(0, 1, 1, 6, 6), BoxPrompt(0, 0, 2, 20, 8)
    assert session.state.prompts == (Point(0, 5, 5), *boxes)
    # The point lies in both: it belongs to the smaller one.
    assert request.objects == ((boxes[0], Point(0, 5, 5)), (boxes[1],))


def test_a_box_with_too_little_of_it_inside_is_refused(session):
    with pytest.raises(PromptError) as error:
        session.handle(AddBox(-9, 2, 0.5, 8))
    assert "larger box" in error.value.remedy
    assert session.state.prompts == ()


def test_where_there_is_one_plane_nothing_ends_or_goes_on_in_others(session):
    session.handle(AddPoint(5, 5))
    answer(session, square(4, 4))
    for action, remedy in ((AddPrompt(Stop(0)), "points, boxes or regions"), (ExtendObject(), "S segments")):
        before = session.state
        with pytest.raises(PromptError) as error:
            session.handle(action)
        assert remedy in error.value.remedy
        assert session.state is before
    assert (before.stale, before.extension, before.sections) == ((), None, ())


def test_removing_the_last_prompt_takes_the_proposal_away(session):
    session.handle(AddPoint(5, 5))
    answer(session, square(4, 4))
    session.handle(RemovePrompt())
    assert session.state == State()
    session.handle(Undo())
    assert session.state.proposal.mask == square(4, 4)


def test_a_negative_point_alone_keeps_asking(session):
    (request,) = session.handle(AddPoint(5, 5, positive=False)).requests
    assert request == Predict(1, ((Point(0, 5, 5, positive=False),),))


def test_what_changed_is_said(session):
    assert session.handle(AddPoint(5, 5)).change == Change(prompts=True, notice=True)
    assert answer(session, square(4, 4)).change == Change(proposal=True, notice=True)
    committed = session.handle(Commit()).change
    assert committed == Change(prompts=True, proposal=True, objects=True, notice=True, labels=Box((0, 4, 4), (1, 8, 8)))
    assert session.handle(SetTool(Tool.BOX)).change == Change(tool=True, notice=True)
    assert session.handle(SetView(1, 2, 3)).change == Change(view=True, tool=True)
    assert session.state.browsing.view == View(1, 2, 3)
    assert session.handle(Undo()).change.labels == Box((0, 4, 4), (1, 8, 8))


def test_changes_add_up():
    one, two = (
        Change(prompts=True, labels=Box((0, 0, 0), (1, 2, 2))),
        Change(view=True, labels=Box((0, 4, 4), (1, 6, 6))),
    )
    assert one | two == Change(prompts=True, view=True, labels=Box((0, 0, 0), (1, 6, 6)))
    assert (Change() | two).labels == two.labels


def test_undo_leaves_the_way_of_looking_alone(session):
    session.handle(AddPoint(5, 5))
    session.handle(SetTool(Tool.BOX))
    session.handle(SetView(3, 4, 5))
    session.handle(Undo())
    assert session.state.browsing.tool is Tool.BOX
    assert session.state.browsing.view == View(3, 4, 5)


@pytest.mark.parametrize(("action", "words"), [(Undo(), "nothing to undo"), (Redo(), "nothing to redo")])
def test_nothing_to_undo_or_redo_is_said(session, action, words):
    outcome = session.handle(action)
    assert words in session.notice.text
    assert outcome.change.notice
    assert not outcome.requests


def test_answers_are_told_in_the_status_line(session):
    session.handle(Embedded(0, 0.25, "nano"))
    assert "Click on an object" in session.notice.text
    session.handle(AddPoint(5, 5))
    answer(session, square(4, 4), score=0.84)
    assert session.notice == Notice("Object of 16 pixels, score 0.84.")
    session.handle(AddPoint(6, 6))
    answer(session, Mask.crop(np.zeros((20, 20))))
    assert session.notice.error
    assert "Add a positive point on the object, or draw a box" in session.notice.text
    session.handle(AddPoint(6, 6))
    session.handle(Failed("It broke. Try again.", session.awaiting))
    assert session.notice == Notice("It broke. Try again.", error=True)
    session.handle(Failed("Too late.", 1))
    assert session.notice.text != "Too late."
    session.handle(Failed("No network. Plug it in."))
    assert session.notice.text == "No network. Plug it in."


def test_what_is_found_so_far_is_shown_and_never_kept(session):
    session.handle(AddPoint(5, 5))
    ticket = session.awaiting
    early, full = found(square(4, 4)), found(square(4, 4, 6))
    assert session.handle(Glimpsed(ticket, early)).change.proposal
    assert session.shown == early
    assert session.state.proposals == ()
    with pytest.raises(PromptError, match="Wait for the mask"):
        session.handle(Commit())
    assert session.handle(Predicted(ticket, full)).change.proposal
    assert session.shown == session.state.proposals == full
    assert not session.handle(Glimpsed(ticket, early)).change.proposal, "it comes too late"
    assert session.shown == full


@pytest.mark.parametrize("action", [Undo(), Clear(), Cancel(), AddPoint(9, 9)], ids=lambda a: type(a).__name__)
def test_what_is_found_so_far_goes_with_the_question(session, action):
    session.handle(AddPoint(5, 5))
    session.handle(Glimpsed(session.awaiting, found(square(4, 4))))
    assert session.handle(action).change.proposal
    assert session.shown == ()


def test_listeners_hear_changes_and_one_that_fails_is_logged(session, caplog):
    heard = []

    def broken(change):
        raise RuntimeError("listener")

    session.changed.connect(broken)
    session.changed.connect(heard.append)
    with caplog.at_level(logging.CRITICAL + 1):
        session.handle(AddPoint(5, 5))
    assert heard == [Change(prompts=True, notice=True)]
    session.changed.disconnect(broken)
    session.say("Hello.")
    session.say("Hello.")
    assert heard[1:] == [Change(notice=True)]


def test_requests_leave_by_the_signal_too(session):
    wanted = []
    session.wanted.connect(wanted.append)
    outcome = session.handle(AddPoint(5, 5))
    assert wanted == list(outcome.requests) != []


WHOLE_STATE = State(
    prompts=(Point(0, 1, 2), MaskPrompt(square(1, 1))),
    proposals=found(square(1, 1), square(5, 5)),
    candidates=found(square(2, 2)),
    answered=False,
    target=3,
    next_id=9,
    stale=(3, 1),
    extension=Extension((Setting("iou", 0.5),), (2, 4), taken=True),
    sections=(Agreement(0, 3, 0.5, 0.25), Agreement(1, 3, 1.0, 0.75)),
    lineage=Lineage({2: (5, 7), 3: ()}),
    mother=2,
    browsing=Browsing(
        1, Tool.LASSO, False, View(1, 2, 3), False, True, Overlap.WHOLE, (1, 2), 4.5,
        Layers(contours=True, objects=Layer(False, 0.25)), (Channel(), Channel(False, "#00ff00", 1.5, 3)), True,
    ),
)  # fmt: skip
ACTIONS = [
    AddPoint(1.5, 2.5, positive=False, plane=3),
    AddBox(1, 2, 3, 4),
    OnlyBox(1, 2, 3, 4, plane=1),
    AddPrompt(Polygon(1, ((1, 2), (3, 4.5), (5, 1)))),
    AddPrompt(MaskPrompt(square(2, 3))),
    ReplacePrompt(1, Scribble(0, ((1, 2), (3, 4)), 2, positive=False)),
    RemovePrompt(-2),
    Clear(),
    Check((3, 4), False),
    SetClass((3, 4), "A"),
    ColourByClass(True),
    SetClasses(("A", "B"), "B"),
    ClassifyAlong(((1, 2), (3, 4.5)), 0, "A"),
    AcceptGuesses((Guessed(3, "A", 0.75),)),
    Segment(),
    Improve(4),
    Suggest(found(square(2, 3), square(4, 4))),
    TakeCandidate(1),
    FindAll("ais", (Setting("min_size", 25.0), Setting("multimask", True), Setting("prompt", "box")), final=False),
    FitAll("amg", (Setting("pred_iou", 0.5),)),
    Suggested(3, found(square(2, 3)), Automatic("ais", (Setting("min_size", 25.0),)), "Fitted."),
    Sketched(3, found(square(2, 3))),
    Surveyed(3, "ais", (0.5, 0.75), (25, 400)),
    AcceptCandidates((1, 2), ((1.5, 2), (3, 4), (5, 1)), 0),
    RejectCandidates(),
    Commit(Overlap.REPLACE),
    Commit(),
    Merge((1, 2, 3)),
    Split(((1, 2), (3, 4.5)), 1),
    Delete((7,)),
    DeleteIn(7, 2),
    DeleteInside(((1.5, 2), (3, 4), (5, 1)), 1),
    SplitAt(7, ((1, 2), (3, 4.5)), 1),
    FillHoles((1, 2), 3),
    Smooth((1, 2), 2.5),
    Grow((1, 2), -1.5, 0),
    KeepLargest((1, 2)),
    Relabel(),
    Describe(3, "Zelle \u00e4", None),
    LoadLabels.of(np.eye(4, dtype=int), "there"),
    Paint(((1, 2), (3, 4.5)), 7.5),
    Erase(((1, 2),), 1, 2),
    Fill(1.5, 2),
    Undo(),
    Redo(),
    Settle(),
    LostStep(),
    SetTool(Tool.BOX),
    SetPolarity(None),
    SetView(1, 2, 3),
    SetView(),
    SetLive(False),
    SetBatched(),
    SetOverlap(Overlap.WHOLE),
    SetBrush(4),
    Select((1, 2), True),
    SetLayer(LayerName.OBJECTS, None, 0.5),
    SetContours(True),
    SetChannels((Channel(), Channel(False, "#ff0000", None, 7.5))),
    ShowAsModel(False),
    UseModel("nano"),
    Cancel(),
    StopCarrying(),
    SetPlane(3),
    AddPrompt(Stop(2)),
    ExtendObject(),
    ExtendObject((Setting("iou", 0.5),)),
    Extended(
        7, (Section(0, 2, square(2, 3, plane=2), 0.5, 0.75), Section(1, 4, Mask.crop(np.zeros((3, 3))), 0, 1)), False
    ),
    Predicted(7, found(square(2, 3), score=0.25)),
    Predicted(7, found(square(2, 3), Mask.crop(np.zeros((3, 3))))),
    Glimpsed(7, found(square(2, 3))),
    Failed("what", None),
    Embedded(1, 0.5, "nano"),
    Working(Work("Preparing", 1, 2, "tiles", 3.5)),
    ModelLoaded("nano", "cpu"),
    BeginDaughters(3, 4),
    EndDaughters(),
    CutTrack(3, 4),
    EndTrack(3, 4),
    JoinTracks(3, 4),
    SwapTracks(3, 4, 5),
    Reparent(3, 4),
    Orphan(3),
    LinkAll((Setting("gap", 2.0),), False, "ais"),
    Linked(7, "", SHAPE, Lineage({1: (2, 3)}), "about"),
    LoadTracks("", SHAPE, Lineage({1: (2, 3)}), "there"),
    Restored("ab", WHOLE_STATE, (Described(1, ObjectInfo(0.5, "a", "b")), Described(2, ObjectInfo())), "", SHAPE),
]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: type(a).__name__)
def test_every_action_has_a_line_and_comes_back(action):
    back = from_json(json.loads(json.dumps(to_json(action))))
    assert back == action
    assert type(back) is type(action)


def test_every_kind_of_action_is_listed_here():
    listed = {type(a).__name__ for a in ACTIONS}
    assert {c.__name__ for c in Action.__subclasses__() if c.journaled} <= listed


def test_every_step_says_what_it_is():
    told_with_numbers = {
        "Commit", "Delete", "DeleteIn", "DeleteInside", "Describe", "Improve", "LoadLabels", "LoadTracks", "Merge",
        "Split", "SplitAt", "AcceptCandidates", "RejectCandidates", "ExtendObject", "BeginDaughters", "CutTrack",
        "EndTrack", "JoinTracks", "SwapTracks", "Reparent", "Orphan",
    }  # fmt: skip
    steps = {type(a) for a in ACTIONS if type(a).step and type(a).journaled} - {Restored}
    assert {kind.__name__ for kind in steps if not kind.gist} == told_with_numbers


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.uint8])
def test_numbers_from_numpy_can_be_journaled(tmp_path, kind):
    session = journaled(tmp_path)
    session.handle(AddPoint(kind(5), kind(6), positive=np.bool_(True), plane=np.int64(0)))
    session.handle(AddBox(kind(1), kind(2), kind(9), kind(9)))
    session.handle(Predicted(session.awaiting, found(square(2, 3), score=np.float32(0.5))))
    session.handle(Commit())
    session.handle(SetView(kind(1), kind(2), kind(3)))
    session.handle(Select((kind(1),)) if np.issubdtype(kind, np.integer) else Select([1]))
    session.handle(Paint(np.array([[15, 15], [16, 16]], kind), kind(2)))
    session.handle(Suggest(list(found(Mask(tuple(np.array([0, 1, 1])), np.ones((1, 2, 2), bool))))))
    again = journaled(tmp_path)
    assert again.state == session.state
    assert np.array_equal(again.labels.volume, session.labels.volume)
    assert again.infos == session.infos


@pytest.mark.parametrize(
    "line", [{}, {"do": "Dance"}, {"do": "Undo", "twice": True}, {"do": "AddPoint"}, {"do": "SetTool", "tool": "axe"}]
)
def test_lines_that_are_no_action_are_refused(line):
    with pytest.raises((ValueError, KeyError, TypeError)):
        from_json(line)


def test_a_candidate_is_not_copied(session):
    session.handle(AddPoint(5, 5))
    mask = square(4, 4)
    answer(session, mask, score=0.8)
    assert session.state.proposal == Candidate(mask, 0.8, "points")
    assert session.state.proposal.mask is mask
