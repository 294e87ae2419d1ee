"""Finding all objects and choosing among them: candidates, what they may change, and what undo brings back."""

from __future__ import annotations

import numpy as np
import pytest
from loose import opened, square

from microsam_nb.core import Candidate, LabelError, Mask, PromptError
from microsam_nb.session import (
    AcceptCandidates,
    AddPoint,
    Automatic,
    Cancel,
    Failed,
    FindAll,
    Fit,
    FitAll,
    Predicted,
    Redo,
    RejectCandidates,
    Segment,
    SegmentAll,
    Session,
    SetLive,
    Setting,
    SetTool,
    Sketched,
    StopSearch,
    StopWork,
    Suggested,
    Surveyed,
    TakeCandidate,
    Tool,
    Undo,
    Work,
    Working,
)

SHAPE = (1, 60, 60)
AIS = Automatic("ais", (Setting("min_size", 25.0), Setting("foreground", 0.5)))


@pytest.fixture
def session():
    return Session(SHAPE)


def some(*places, side=6):
    """Square candidates with their upper left corners at places."""
    return tuple(Candidate(square(y, x, side=side), 0.5 + i / 100, "ais") for i, (y, x) in enumerate(places))


def suggest(session, *candidates):
    """Let all objects be found."""
    (request,) = session.handle(FindAll()).requests
    session.handle(Suggested(request.ticket, candidates, AIS))
    return request


def test_what_is_found_becomes_candidates_and_the_choose_tool_is_taken(session):
    request = suggest(session, *some((0, 0), (20, 20)))
    assert request == SegmentAll(request.ticket, 0, "auto")
    assert len(session.state.candidates) == 2
    assert session.state.automatic == AIS
    assert session.state.browsing.tool is Tool.CHOOSE
    assert "2 objects are found" in session.notice.text
    session.handle(Undo())
    assert not session.state.candidates
    assert session.state.automatic is None
    session.handle(Redo())
    assert len(session.state.candidates) == 2


def test_a_tool_that_is_at_work_is_left_in_the_hand(session):
    session.handle(SetTool(Tool.POINT))
    session.handle(AddPoint(5, 5))
    suggest(session, *some((20, 20)))
    assert session.state.browsing.tool is Tool.POINT


def test_the_same_search_again_has_the_same_settings(session):
    suggest(session, *some((0, 0)))
    assert FindAll.again(session.state) == FindAll("ais", AIS.options)
    assert FindAll.again(Session(SHAPE).state) == FindAll()
    assert FindAll.again(session.state, "another model") == FindAll()


def test_of_two_searches_only_the_newest_answer_counts(session):
    (first,) = session.handle(FindAll()).requests
    (second,) = session.handle(FindAll("amg")).requests
    session.handle(Suggested(first.ticket, some((0, 0)), AIS))
    assert not session.state.candidates
    session.handle(Suggested(second.ticket, some((0, 0)), AIS))
    assert len(session.state.candidates) == 1
    session.handle(Suggested(second.ticket, some((0, 0), (20, 20)), AIS))
    assert len(session.state.candidates) == 1, "an answer counts once"


def test_a_search_that_was_cancelled_is_not_answered(session):
    (request,) = session.handle(FindAll()).requests
    assert session.handle(Cancel()).requests == (StopWork(),)
    session.handle(Suggested(request.ticket, some((0, 0)), AIS))
    assert not session.state.candidates


def test_clicks_go_on_while_everything_is_looked_for(session):
    (search,) = session.handle(FindAll()).requests
    (question,) = session.handle(AddPoint(5, 5)).requests
    session.handle(Predicted(question.ticket, some((3, 3))))
    assert len(session.state.proposals) == 1
    session.handle(Suggested(search.ticket, some((30, 30)), AIS))
    assert len(session.state.candidates) == 1
    assert len(session.state.proposals) == 1


def test_a_search_that_fails_says_why_and_leaves_prompts_alone(session):
    (search,) = session.handle(FindAll()).requests
    session.handle(AddPoint(5, 5))
    session.handle(Working(Work("Finding all objects", 1, 2)))
    session.handle(Failed("The model has no instance decoder. Use amg.", search.ticket))
    assert session.notice.error
    assert session.work is None
    assert session.awaiting is not None
    assert session.failure == ""


def test_nothing_found_says_what_helps(session):
    suggest(session)
    assert session.notice.error
    assert "Lower the thresholds" in session.notice.text


def test_sketches_are_shown_and_never_kept(tmp_path):
    session = opened(tmp_path, SHAPE)
    suggest(session, *some((0, 0)))
    (request,) = session.handle(FindAll("ais", AIS.options, final=False)).requests
    assert not request.final
    change = session.handle(Sketched(request.ticket, some((0, 0), (20, 20)))).change
    assert change.candidates
    assert len(session.suggested) == 2
    assert len(session.state.candidates) == 1
    with pytest.raises(PromptError, match="still changing"):
        session.handle(AcceptCandidates())
    session.close()
    again = opened(tmp_path, SHAPE)
    assert len(again.suggested) == 1
    again.close()


def test_undo_leaves_a_sketch(session):
    suggest(session, *some((0, 0)))
    (request,) = session.handle(FindAll("ais", AIS.options, final=False)).requests
    session.handle(Sketched(request.ticket, some((0, 0), (20, 20))))
    session.handle(Undo())
    assert session.suggested == ()


def test_one_some_and_all_are_accepted_each_as_one_step(session):
    suggest(session, *some((0, 0), (0, 20), (20, 0), (20, 20), (40, 40)))
    session.handle(AcceptCandidates((1,)))
    assert session.labels.volume[0, 0, 20] == 1
    assert session.infos[1].score == 0.51
    session.handle(AcceptCandidates(inside=((18, -1), (18, 30), (30, 30), (30, -1))))
    assert session.labels.count() == 3
    assert len(session.state.candidates) == 2
    session.handle(AcceptCandidates())
    assert session.labels.count() == 5
    assert not session.state.candidates
    assert session.state.next_id == 6
    session.handle(Undo())
    session.handle(Undo())
    assert session.labels.count() == 1
    assert len(session.state.candidates) == 4
    session.handle(Redo())
    assert session.labels.count() == 3


def test_committed_objects_are_never_overwritten(session):
    suggest(session, *some((0, 0), (20, 20)))
    session.handle(AcceptCandidates((0,)))
    before = session.snapshot()
    # One lies on it with a third of its pixels, one mostly, one not at all.
    suggest(session, *some((4, 0), (1, 1), (30, 30)))
    assert len(session.state.candidates) == 2, "what is mostly there is no candidate"
    assert "1 on committed objects is left out" in session.notice.text
    session.handle(AcceptCandidates())
    after = session.snapshot()
    assert np.array_equal(after[before > 0], before[before > 0])
    assert session.labels.count() == 3
    assert session.labels.area(2) == 36 - 12


def test_candidates_that_others_cover_stay_candidates(session):
    suggest(session, *some((0, 0), (1, 1), (30, 30)))
    session.handle(AcceptCandidates())
    assert session.labels.count() == 2
    assert len(session.state.candidates) == 1
    assert "stays a candidate" in session.notice.text
    with pytest.raises(PromptError, match="Delete or undo"):
        session.handle(AcceptCandidates())
    assert session.labels.count() == 2


def test_rejecting_is_a_step_too(session):
    suggest(session, *some((0, 0), (0, 20), (40, 40)))
    session.handle(RejectCandidates((0,)))
    session.handle(RejectCandidates(inside=((35, 35), (35, 55), (55, 55), (55, 35))))
    assert [one.mask.start for one in session.state.candidates] == [(0, 0, 20)]
    session.handle(Undo())
    assert len(session.state.candidates) == 2
    session.handle(RejectCandidates())
    assert not session.state.candidates
    assert session.labels.count() == 0


@pytest.mark.parametrize("action", [AcceptCandidates, RejectCandidates])
def test_what_is_not_there_cannot_be_chosen(session, action):
    with pytest.raises(PromptError, match="Find all objects first"):
        session.handle(action())
    suggest(session, *some((0, 0)))
    with pytest.raises(PromptError, match="Draw around"):
        session.handle(action(inside=((30, 30), (30, 40), (40, 40))))
    with pytest.raises(PromptError, match="There are 1"):
        session.handle(action((7,)))
    assert len(session.state.candidates) == 1


def test_a_candidate_is_corrected_before_it_is_kept(session):
    suggest(session, *some((0, 0), (20, 20)))
    session.handle(TakeCandidate(1))
    assert session.state.proposal.mask.start == (0, 20, 20)
    assert len(session.state.candidates) == 1


def test_settings_are_fitted_to_the_objects_of_the_plane(session):
    with pytest.raises(LabelError, match="Commit a few objects"):
        session.handle(FitAll())
    suggest(session, *some((0, 0), (20, 20)))
    session.handle(AcceptCandidates())
    (request,) = session.handle(FitAll("ais", AIS.options)).requests
    assert isinstance(request, Fit)
    assert np.array_equal(request.labels, session.labels.volume[0])
    session.handle(Suggested(request.ticket, some((40, 40)), AIS, "Fitted: mean IoU with your objects 0.90."))
    assert session.notice.text.startswith(
        "Fitted: mean IoU with your objects 0.90. 1 object is found, typically 7 px wide."
    )


def test_the_spread_of_scores_and_sizes_is_told(session):
    (request,) = session.handle(FindAll()).requests
    assert not session.handle(Surveyed(request.ticket + 1, "ais", (0.5,), (25,))).change.candidates
    assert session.spread is None, "of a search that nobody waits for"
    assert session.handle(Surveyed(request.ticket, "ais", (0.5, 0.9), (25, 400))).change.candidates
    assert session.spread.areas.tolist() == [25, 400]


def test_masks_that_reach_out_of_the_image_or_are_empty_are_left_out(session):
    outside = Candidate(Mask((0, 55, 55), np.ones((1, 9, 9), bool)), 0.5, "ais")
    empty = Candidate(Mask((0, 0, 0), np.zeros((1, 0, 0), bool)), 0.5, "ais")
    suggest(session, outside, empty, *some((0, 0)))
    assert len(session.state.candidates) == 1


def test_a_project_that_is_opened_again_has_the_candidates_and_what_was_chosen(tmp_path):
    session = opened(tmp_path, SHAPE)
    suggest(session, *some((0, 0), (0, 20), (20, 20), (40, 40)))
    session.handle(AcceptCandidates((0, 2)))
    session.handle(RejectCandidates((0,)))
    before = session.state, session.snapshot()
    session.close()
    again = opened(tmp_path, SHAPE)
    assert again.state == before[0]
    assert np.array_equal(again.snapshot(), before[1])
    assert again.infos[2].score == 0.52
    again.handle(Undo())
    assert len(again.state.candidates) == 2
    # Searches after opening have tickets of their own.
    (request,) = again.handle(FindAll()).requests
    again.handle(Suggested(request.ticket, some((30, 0)), AIS))
    assert len(again.state.candidates) == 1
    again.close()


def test_ten_thousand_candidates_are_accepted_at_once():
    session = Session((1, 600, 600))
    grid = [(y, x) for y in range(0, 600, 6) for x in range(0, 600, 6)]
    suggest(session, *(Candidate(square(y, x, side=5), 0.5, "ais") for y, x in grid))
    session.handle(AcceptCandidates())
    assert session.labels.count() == 10_000
    session.handle(Undo())
    assert session.labels.count() == 0
    assert len(session.state.candidates) == 10_000


def test_undo_stops_a_search_that_would_take_redo_away(session):
    suggest(session, *some((0, 0), (20, 20)))
    session.handle(AcceptCandidates((0,)))
    (search,) = session.handle(FindAll()).requests
    assert session.handle(Undo()).requests == (StopSearch(),), "planes are prepared on, and models loaded"
    session.handle(Suggested(search.ticket, some((40, 40)), AIS))
    assert len(session.state.candidates) == 2
    session.handle(Redo())
    assert session.labels.count() == 1


def test_an_answer_that_is_awaited_comes_after_all_objects_were_found(session):
    session.handle(SetLive(False))
    session.handle(AddPoint(5, 5))
    (search,) = session.handle(FindAll()).requests
    (question,) = session.handle(Segment()).requests
    session.handle(Suggested(search.ticket, some((40, 40)), AIS))
    session.handle(Predicted(question.ticket, some((3, 3))))
    assert len(session.state.proposals) == 1


def test_what_was_rejected_does_not_come_back_with_other_settings(session):
    suggest(session, *some((0, 0), (20, 20), (40, 40)))
    session.handle(RejectCandidates((1,)))
    suggest(session, *some((0, 0), (21, 20), (40, 40), (20, 40)))
    assert [one.mask.start[1:] for one in session.state.candidates] == [(0, 0), (40, 40), (20, 40)]
    assert "1 that you have rejected is left out" in session.notice.text
    session.handle(RejectCandidates())
    suggest(session, *some((21, 20)))
    assert len(session.state.candidates) == 1, "after all were rejected everything may come again"


def test_the_sentence_names_the_tool_that_is_needed(session):
    session.handle(AddPoint(5, 5))
    suggest(session, *some((20, 20)))
    assert "Take the choose tool (A)" in session.notice.text
