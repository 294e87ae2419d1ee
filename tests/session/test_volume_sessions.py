"""Named scripts about objects of several planes: prompts, stops, what is carried from plane to plane."""

from __future__ import annotations

import numpy as np
import pytest
from loose import answer, found, square

from microsam_nb.core import (
    BoxPrompt,
    LabelError,
    Mask,
    MaskPrompt,
    Point,
    PromptError,
    Scribble,
    Section,
    SettingsError,
    Stop,
)
from microsam_nb.session import (
    AddBox,
    AddPoint,
    AddPrompt,
    Agreement,
    Cancel,
    Clear,
    Commit,
    DeleteIn,
    Describe,
    Embed,
    Erase,
    Extend,
    Extended,
    ExtendObject,
    Extension,
    Failed,
    Fill,
    Glimpsed,
    Improve,
    Paint,
    Predict,
    Predicted,
    Redo,
    RemovePrompt,
    ReplacePrompt,
    Runner,
    Segment,
    Session,
    SetBatched,
    SetLive,
    SetPlane,
    Setting,
    Suggest,
    TakeCandidate,
    Undo,
    Work,
    Working,
)

SHAPE = (8, 30, 30)
OPTIONS = (Setting("iou", 0.5),)


@pytest.fixture
def session():
    return Session(SHAPE)


def section(plane, y=5, side=4, agreement=0.75, place=0, x=5, score=0.5):
    """A square in a plane, nothing where ``side`` is 0."""
    mask = square(y, x, side, plane) if side else Mask.crop(np.zeros((3, 3)))
    return Section(place, plane, mask, agreement if side else 0.0, score)


def prompt(session, plane, y=5, side=4):
    """Click in a plane and get a square there; return what is asked then."""
    session.handle(AddPoint(y + 0.5, 6.5, plane=plane))
    return questions(answer(session, square(y, 5, side, plane)))


def questions(outcome):
    return [one for one in outcome.requests if isinstance(one, Predict | Extend)]


def carry(session, *sections, final=True):
    return session.handle(Extended(session.awaiting, sections, final))


def extended(session, planes=range(1, 6), at=3):
    """An object of squares in some planes, prompted in one of them."""
    prompt(session, at)
    session.handle(ExtendObject())
    carry(session, *(section(plane) for plane in planes if plane != at))


def planes(session, place=0):
    """The planes of an object in hand with the number of its pixels in each."""
    dense = session.state.proposals[place].mask.dense(SHAPE)
    return {int(p): int(dense[p].sum()) for p in np.flatnonzero(dense.any((1, 2)))}


def refused(session, action):
    """What to do instead; nothing has changed."""
    before, awaiting = session.state, session.awaiting
    with pytest.raises(PromptError) as error:
        session.handle(action)
    assert session.state is before
    assert session.awaiting == awaiting
    return error.value.remedy


# Planes.


def test_another_plane_is_shown_and_prepared(session):
    outcome = session.handle(SetPlane(5))
    assert session.state.browsing.plane == 5
    assert outcome.change.view
    assert outcome.requests == (Embed(5),)
    assert session.handle(SetPlane(5)).requests == ()
    assert not session.can_undo


@pytest.mark.parametrize("plane", [-1, 8])
def test_a_plane_that_is_not_there(session, plane):
    with pytest.raises(SettingsError) as error:
        session.handle(SetPlane(plane))
    assert error.value.remedy == "Choose one from 0 to 7."


def test_changing_the_plane_leaves_what_is_awaited(session):
    prompt(session, 2)
    session.handle(ExtendObject())
    ticket = session.awaiting
    session.handle(SetPlane(4))
    assert session.awaiting == ticket
    carry(session, section(3))
    assert planes(session) == {2: 16, 3: 16}


# Prompts in several planes.


def test_prompts_in_two_planes_give_both_slices(session):
    (request,) = questions(session.handle(AddPoint(5, 5, plane=2)))
    assert (request.plane, request.objects, request.base) == (2, ((Point(2, 5, 5),),), ())
    answer(session, square(4, 4, plane=2))
    (request,) = questions(session.handle(AddPoint(6, 6, plane=5)))
    assert (request.plane, request.objects) == (5, ((Point(5, 6, 6),),))
    assert planes(session) == {2: 16}
    answer(session, square(4, 4, 3, plane=5), score=0.25)
    assert planes(session) == {2: 16, 5: 9}
    assert session.state.proposal.score == 0.25
    assert session.state.answered


def test_planes_are_answered_one_after_the_other_the_newest_first(session):
    session.handle(AddPoint(5, 5, plane=2))
    session.handle(AddPoint(5, 5, plane=6))
    assert session.state.stale == (2, 6)
    (request,) = questions(answer(session, square(4, 4, plane=6)))
    assert (request.plane, session.awaiting) == (2, request.ticket)
    assert not session.state.answered
    assert refused(session, Commit()) == "Wait for the mask, then commit it."
    assert questions(answer(session, square(4, 4, plane=2))) == []
    assert planes(session) == {2: 16, 6: 16}
    session.handle(Undo())
    # The first click was never answered.
    assert session.state.stale == (2,)
    assert session.awaiting is not None


def test_without_live_s_asks_for_all_planes(session):
    session.handle(SetLive(False))
    session.handle(AddPoint(5, 5, plane=2))
    session.handle(AddPoint(5, 5, plane=6))
    assert session.awaiting is None
    session.handle(Segment())
    answer(session, square(4, 4, plane=6))
    answer(session, square(4, 4, plane=2))
    assert planes(session) == {2: 16, 6: 16}


def test_s_asks_again_about_the_plane_on_screen(session):
    prompt(session, 2)
    prompt(session, 6)
    session.handle(SetPlane(2))
    assert [one.plane for one in questions(session.handle(Segment()))] == [2]
    answer(session, square(4, 4, plane=2))
    session.handle(SetPlane(0))
    assert [one.plane for one in questions(session.handle(Segment()))] == [6]


def test_where_nothing_is_found_the_slice_goes(session):
    prompt(session, 2)
    prompt(session, 5)
    session.handle(AddPoint(20, 20, False, plane=5))
    answer(session, Mask.crop(np.zeros((3, 3))))
    assert planes(session) == {2: 16}
    assert session.notice.error
    assert "Nothing was found here" in session.notice.text


def test_removing_the_prompts_of_a_plane_takes_its_slice_away(session):
    prompt(session, 2)
    prompt(session, 5)
    assert questions(session.handle(RemovePrompt(0))) == []
    assert planes(session) == {5: 16}
    assert session.state.answered
    session.handle(RemovePrompt(0))
    assert session.state == session.state.emptied()


def test_moving_a_prompt_to_another_plane(session):
    prompt(session, 2)
    (request,) = questions(session.handle(ReplacePrompt(0, Point(4, 5, 5))))
    assert request.plane == 4
    assert session.state.proposals == ()


def test_prompts_in_the_last_plane_only(session):
    prompt(session, 7)
    (request,) = questions(session.handle(ExtendObject()))
    assert [mask.start[0] for mask in request.objects[0]] == [7]
    carry(session, section(6, side=0))
    assert "only in plane 7" in session.notice.text
    assert "prompt in another plane" in session.notice.text
    assert planes(session) == {7: 16}


def test_what_is_found_so_far_is_shown_with_the_other_planes(session):
    prompt(session, 2)
    session.handle(AddPoint(5, 5, plane=5))
    session.handle(Glimpsed(session.awaiting, found(square(4, 4, plane=5))))
    (shown,) = session.shown
    assert shown.mask.dense(SHAPE).any((1, 2)).nonzero()[0].tolist() == [2, 5]
    assert planes(session) == {2: 16}


# Several objects.


def test_several_objects_are_marked_in_one_plane(session):
    session.handle(AddBox(2, 2, 8, 8, plane=3))
    session.handle(AddBox(12, 12, 18, 18, plane=3))
    answer(session, square(3, 3, plane=3), square(13, 13, plane=3))
    assert "Commit or clear" in refused(session, AddBox(2, 2, 8, 8, plane=4))
    (request,) = questions(session.handle(ExtendObject()))
    assert [[mask.start for mask in one] for one in request.objects] == [[(3, 3, 3)], [(3, 13, 13)]]
    carry(session, section(4, 13, place=1, x=13), section(2, 3, place=0, x=3))
    assert planes(session, 0) == {2: 16, 3: 16}
    assert planes(session, 1) == {3: 16, 4: 16}
    assert session.notice.text.startswith("2 objects of 64 voxels in planes 2 to 4; least agreement 0.75")
    # A further object is carried too: all of them are computed again.
    session.handle(AddBox(20, 20, 26, 26, plane=3))
    masks = square(3, 3, plane=3), square(13, 13, plane=3), square(21, 21, plane=3)
    (request,) = questions(answer(session, *masks))
    assert (request.planes, len(request.objects)) == ((), 3)
    carry(session)
    session.handle(Commit())
    assert session.labels.count() == 3


def test_a_batch_in_two_planes_is_refused(session):
    session.handle(SetBatched(True))
    prompt(session, 2)
    assert "one object at a time" in refused(session, AddPoint(5, 5, plane=4))
    session.handle(AddPoint(25, 25, False, plane=4))
    session.handle(Clear())
    session.handle(SetBatched(False))
    prompt(session, 2)
    prompt(session, 4)
    assert "one object at a time" in refused(session, SetBatched(True))


def test_what_is_painted_in_two_planes_in_a_batch_can_be_stopped_and_taken_back(session):
    session.handle(SetBatched(True))
    session.handle(Paint(((5, 5), (5, 9)), 3.0, 2))
    session.handle(Paint(((5, 5), (5, 9)), 3.0, 4))
    session.handle(AddPrompt(Stop(6)))
    session.handle(RemovePrompt(0))
    assert list(planes(session)) == [4]
    assert session.state.prompts[1:] == (Stop(6),)


def test_boxes_in_two_planes_are_one_object(session):
    session.handle(AddBox(2, 2, 8, 8, plane=3))
    answer(session, square(3, 3, plane=3))
    (request,) = questions(session.handle(AddBox(2, 2, 8, 8, plane=6)))
    assert request.objects == ((BoxPrompt(6, 2, 2, 8, 8),),)


# Through the planes.


def test_an_object_grows_plane_by_plane(session):
    prompt(session, 3)
    (request,) = questions(session.handle(ExtendObject(OPTIONS)))
    fixed = square(5, 5, plane=3)
    assert request == Extend(request.ticket, ((fixed,),), (fixed,), (), (), OPTIONS)
    assert session.extending
    steps = session._history.nbytes, session.can_redo
    carry(session, section(2), section(4, agreement=0.625), final=False)
    assert session.awaiting == request.ticket
    assert planes(session) == {2: 16, 3: 16, 4: 16}
    carry(session, section(5, side=2), section(6, side=0))
    assert session.awaiting is None
    assert not session.extending
    assert planes(session) == {2: 16, 3: 16, 4: 16, 5: 4}
    assert session.state.extension == Extension(OPTIONS, (), True)
    assert session.state.answered
    assert session.state.proposal.origin == "extended"
    assert session.notice.text == "Object of 52 voxels in planes 2 to 5; least agreement 0.62 in plane 4."
    assert [(one.plane, one.agreement) for one in session.state.sections] == [(2, 0.75), (3, 1), (4, 0.625), (5, 0.75)]
    assert steps[0] < session._history.nbytes < 4096
    # All of it was one step.
    session.handle(Undo())
    assert planes(session) == {3: 16}
    assert session.state.extension is None
    session.handle(Redo())
    assert planes(session) == {2: 16, 3: 16, 4: 16, 5: 4}
    assert session.awaiting is None


def test_one_click_and_the_key_at_once(session):
    """The plane is answered first, then carried on by itself."""
    session.handle(AddPoint(5, 5, plane=3))
    (request,) = questions(session.handle(ExtendObject()))
    assert isinstance(request, Predict)
    (request,) = questions(answer(session, square(5, 5, plane=3)))
    assert isinstance(request, Extend)
    carry(session, section(4))
    assert planes(session) == {3: 16, 4: 16}


def test_the_same_without_live(session):
    session.handle(SetLive(False))
    session.handle(AddPoint(5, 5, plane=3))
    session.handle(ExtendObject())
    (request,) = questions(answer(session, square(5, 5, plane=3)))
    assert isinstance(request, Extend)


def test_without_an_object_there_is_nothing_to_carry(session):
    assert "Click on one" in refused(session, ExtendObject())
    session.handle(AddPoint(5, 5, plane=3))
    answer(session, Mask.crop(np.zeros((3, 3))))
    assert "positive point" in refused(session, ExtendObject())


def test_where_nothing_of_it_is_found_nothing_is_carried(session):
    session.handle(AddPoint(5, 5, plane=3))
    session.handle(ExtendObject())
    assert questions(answer(session, Mask.crop(np.zeros((3, 3))))) == []
    assert session.state.extension is None
    assert session.state.answered


def test_a_corrected_plane_is_asked_first_then_its_neighbourhood(session):
    extended(session)
    (request,) = questions(session.handle(AddPoint(9, 9, plane=5)))
    assert (request.plane, request.objects) == (5, ((Point(5, 9, 9),),))
    assert request.base == (square(5, 5, plane=5),)
    (request,) = questions(answer(session, square(5, 5, 6, plane=5)))
    assert request.planes == (5,)
    assert [mask.start[0] for mask in request.objects[0]] == [3, 5]
    assert request.current == (session.state.proposal.mask,)
    assert planes(session) == {1: 16, 2: 16, 3: 16, 4: 16, 5: 36}
    carry(session, section(4, side=5, agreement=0.5), section(6, side=6), section(3, side=1))
    # What was prompted stays, whatever is found.
    assert planes(session) == {1: 16, 2: 16, 3: 16, 4: 25, 5: 36, 6: 36}
    assert session.state.extension.done
    assert {one.plane: one.agreement for one in session.state.sections}[5] == 1
    session.handle(Undo())
    assert planes(session) == {1: 16, 2: 16, 3: 16, 4: 16, 5: 16}


def test_two_corrections_before_any_answer(session):
    extended(session)
    session.handle(AddPoint(9, 9, plane=5))
    session.handle(AddPoint(9, 9, plane=1))
    assert session.state.extension.planes == (5, 1)
    (request,) = questions(answer(session, square(5, 5, 6, plane=1)))
    assert request.plane == 5
    (request,) = questions(answer(session, square(5, 5, 6, plane=5)))
    assert request.planes == (5, 1)


def test_the_object_is_not_carried_from_painted_pixels_but_they_correct_it(session):
    """A plane whose prompt is a mask says all by itself."""
    extended(session)
    session.handle(Paint(((5, 5), (9, 9)), 2.0, 4))
    (request,) = questions(session.handle(AddPoint(12, 12, plane=4)))
    assert request.plane == 4
    assert request.base == ()


def test_removing_the_prompts_of_a_plane_computes_it_from_its_neighbours(session):
    extended(session)
    session.handle(AddPoint(9, 9, plane=5))
    answer(session, square(5, 5, 6, plane=5))
    carry(session)
    (request,) = questions(session.handle(RemovePrompt(1)))
    assert request.planes == (5,)
    assert [mask.start[0] for mask in request.objects[0]] == [3]
    carry(session, section(5))
    assert planes(session)[5] == 16
    session.handle(RemovePrompt(0))
    assert session.state == session.state.emptied()
    assert session.awaiting is None


def test_beginning_again_keeps_the_planes_with_prompts_only(session):
    extended(session)
    session.handle(AddPoint(9, 9, plane=5))
    answer(session, square(5, 5, 6, plane=5))
    (request,) = questions(session.handle(ExtendObject(OPTIONS)))
    assert planes(session) == {3: 16, 5: 36}
    assert request.planes == ()
    assert session.state.sections == (Agreement(0, 3, 1.0, 0.75), Agreement(0, 5, 1.0, 0.75))


def test_a_prompt_in_the_middle_of_it_goes_first(session):
    prompt(session, 3)
    session.handle(ExtendObject())
    first = session.awaiting
    carry(session, section(4), final=False)
    (request,) = questions(session.handle(AddPoint(9, 9, plane=4)))
    assert (request.plane, request.base) == (4, (square(5, 5, plane=4),))
    before = session.state
    session.handle(Extended(first, (section(5),), True))
    assert session.state is before
    (request,) = questions(answer(session, square(5, 5, 6, plane=4)))
    assert request.planes == ()


def test_undo_in_the_middle_of_it(session):
    prompt(session, 3)
    session.handle(ExtendObject())
    late = session.awaiting
    carry(session, section(4), final=False)
    session.handle(Undo())
    assert planes(session) == {3: 16}
    before = session.state
    session.handle(Extended(late, (section(5),), False))
    session.handle(Extended(late, (section(5),), True))
    assert session.state is before
    # What was found until then is there again, and the rest is asked for.
    (request,) = questions(session.handle(Redo()))
    assert planes(session) == {3: 16, 4: 16}
    assert isinstance(request, Extend)


def test_what_was_found_until_it_was_stopped_can_be_kept(session):
    prompt(session, 3)
    session.handle(ExtendObject())
    carry(session, section(4), final=False)
    session.handle(Cancel())
    assert session.notice.text == "Stopped. The object ends where it was stopped; Shift-S goes on."
    session.handle(Commit())
    assert session.labels.area(1) == 32
    assert session.awaiting is None


def test_what_was_stopped_does_not_begin_again_by_itself(session):
    prompt(session, 6, y=20)
    session.handle(Commit())
    prompt(session, 3)
    session.handle(ExtendObject())
    carry(session, section(4), final=False)
    session.handle(Cancel())
    assert questions(session.handle(Describe(1, "cell"))) == []
    assert session.awaiting is None
    assert isinstance(*questions(session.handle(Segment())), Extend)


def test_other_work_leaves_it_running(session):
    prompt(session, 6, y=20)
    session.handle(Commit())
    prompt(session, 3)
    session.handle(ExtendObject())
    ticket = session.awaiting
    assert questions(session.handle(Describe(1, "cell"))) == []
    assert session.awaiting == ticket
    carry(session, section(4))
    assert planes(session) == {3: 16, 4: 16}


def test_when_it_fails_it_can_be_asked_again(session):
    prompt(session, 3)
    session.handle(ExtendObject())
    session.handle(Failed("It broke. Try again.", session.awaiting))
    assert session.notice.error
    assert session.awaiting is None
    assert isinstance(*questions(session.handle(ExtendObject())), Extend)


def test_answers_to_another_question_are_ignored(session):
    session.handle(AddPoint(5, 5, plane=3))
    before, ticket = session.state, session.awaiting
    session.handle(Extended(ticket, (section(4),), True))
    assert (session.state, session.awaiting) == (before, ticket)
    answer(session, square(5, 5, plane=3))
    session.handle(ExtendObject())
    before, ticket = session.state, session.awaiting
    session.handle(Predicted(ticket, found(square(1, 1, plane=4))))
    assert (session.state, session.awaiting) == (before, ticket)


def test_the_planes_of_an_object_are_known_anew_after_every_change(session):
    extended(session)
    session.handle(Commit())
    before = session.frames(1)
    assert session.middle(1, before[0]) == (7.0, 7.0)
    session.handle(DeleteIn(1, before[1]))
    assert session.frames(1) == (before[0], *before[2:])
    with pytest.raises(LabelError, match="Go to a plane"):
        session.middle(1, before[1])
    session.handle(Undo())
    assert session.frames(1) == before


# Stops.


def test_an_object_ends_at_once_where_it_is_stopped(session):
    extended(session)
    outcome = session.handle(AddPrompt(Stop(5)))
    assert session.notice.text == "The object ends before plane 5."
    assert planes(session) == {1: 16, 2: 16, 3: 16, 4: 16}
    assert [one.plane for one in session.state.sections] == [1, 2, 3, 4]
    # What it looks like there is learned: its other end may change by that.
    (request,) = questions(outcome)
    assert (request.planes, request.stops) == ((5,), (5,))
    carry(session)
    assert session.state.answered
    session.handle(AddPrompt(Stop(1)))
    assert session.notice.text == "The object ends after plane 1."
    assert planes(session) == {2: 16, 3: 16, 4: 16}
    (request,) = questions(session.handle(ExtendObject()))
    assert request.stops == (1, 5)
    carry(session, section(4), section(5), section(0))
    assert planes(session) == {3: 16, 4: 16}


def test_one_stop_on_each_side(session):
    extended(session)
    session.handle(AddPrompt(Stop(4)))
    (request,) = questions(session.handle(AddPrompt(Stop(6))))
    assert [p for p in session.state.prompts if isinstance(p, Stop)] == [Stop(6)]
    # Where it was stopped it may go on now.
    assert (request.planes, request.stops) == ((4, 6), (6,))


def test_a_stop_nearer_to_the_object_takes_the_place_of_another(session):
    extended(session)
    session.handle(AddPrompt(Stop(6)))
    carry(session)
    (request,) = questions(session.handle(AddPrompt(Stop(4))))
    assert (request.planes, request.stops) == ((4,), (4,))
    assert planes(session) == {1: 16, 2: 16, 3: 16}


def test_a_stop_that_is_removed_lets_the_object_go_on(session):
    extended(session)
    session.handle(AddPrompt(Stop(5)))
    (request,) = questions(session.handle(RemovePrompt(-1)))
    assert (request.planes, request.stops) == ((5,), ())


def test_stops_that_make_no_sense(session):
    assert "Click on the object" in refused(session, AddPrompt(Stop(4)))
    prompt(session, 2)
    prompt(session, 5)
    assert "before plane 2 or after plane 5" in refused(session, AddPrompt(Stop(4)))
    assert "Remove those first" in refused(session, AddPrompt(Stop(5)))
    assert "from 0 to 7" in refused(session, AddPrompt(Stop(8)))


def test_a_stop_in_the_first_plane(session):
    prompt(session, 1)
    session.handle(AddPrompt(Stop(0)))
    (request,) = questions(session.handle(ExtendObject()))
    assert request.stops == (0,)
    carry(session, section(0), section(2))
    assert planes(session) == {1: 16, 2: 16}
    prompt(session, 6)
    assert session.state.prompts[1] == Stop(0)


def test_a_prompt_beyond_a_stop_takes_it_away(session):
    extended(session)
    session.handle(AddPrompt(Stop(5)))
    session.handle(AddPoint(9, 9, plane=6))
    assert session.state.prompts == (Point(3, 5.5, 6.5), Point(6, 9, 9))
    session.handle(Undo())
    # As well when the prompts move over to the other side of it.
    session.handle(ReplacePrompt(0, Point(7, 9, 9)))
    assert session.state.prompts == (Point(7, 9, 9),)


# By hand.


def test_painting_in_two_planes(session):
    session.handle(Paint(((5, 5), (5, 9)), 3.0, 2))
    session.handle(Paint(((5, 5), (5, 9)), 3.0, 4))
    assert list(planes(session)) == [2, 4]
    assert [p.plane for p in session.state.prompts] == [2, 4]
    assert all(isinstance(p, MaskPrompt) for p in session.state.prompts)
    (request,) = questions(session.handle(ExtendObject()))
    assert [mask.start[0] for mask in request.objects[0]] == [2, 4]


def test_painting_replaces_the_prompts_of_its_plane(session):
    prompt(session, 2)
    prompt(session, 4)
    assert questions(session.handle(Paint(((12, 6),), 4.0, 4))) == []
    first, second = session.state.prompts
    assert (first, second.plane, second.mask.area) == (Point(2, 5.5, 6.5), 4, planes(session)[4])
    session.handle(Erase(((12, 6), (5, 6)), 30.0, 4))
    assert session.state.prompts == (Point(2, 5.5, 6.5),)
    assert planes(session) == {2: 16}


def test_a_painted_plane_is_carried_on_when_it_is_asked_for(session):
    extended(session)
    assert questions(session.handle(Paint(((12, 6),), 4.0, 5))) == []
    assert session.state.extension == Extension((), (5,), True)
    assert session.state.answered
    (request,) = questions(session.handle(Segment()))
    assert request.planes == (5,)
    assert [mask.start[0] for mask in request.objects[0]] == [3, 5]
    carry(session, section(6))
    assert planes(session)[6] == 16


def test_holes_of_all_planes_are_filled(session):
    ring = np.ones((1, 5, 5), bool)
    ring[0, 2, 2] = False
    prompt(session, 3)
    session.handle(ExtendObject())
    carry(session, Section(0, 4, Mask((4, 5, 5), ring), 0.5, 0.5), section(5))
    session.handle(Fill(5.5, 5.5, 4))
    assert planes(session) == {3: 16, 4: 25, 5: 16}
    assert [p.plane for p in session.state.prompts] == [3, 4]


# Objects that are there already.


def test_a_committed_object_is_one_undo(session):
    extended(session)
    session.handle(Commit())
    assert session.labels.area(1) == 80
    assert session.state == session.state.emptied()
    session.handle(Undo())
    assert session.labels.count() == 0
    assert planes(session) == dict.fromkeys(range(1, 6), 16)
    assert session.state.extension.done
    session.handle(Redo())
    assert session.labels.area(1) == 80


def test_improving_an_object_of_several_planes(session):
    extended(session)
    session.handle(Commit())
    session.handle(SetPlane(7))
    outcome = session.handle(Improve(1))
    assert session.state.browsing.plane == 3
    assert Embed(3) in outcome.requests
    assert (session.state.prompts, session.state.target) == ((), 1)
    assert planes(session) == dict.fromkeys(range(1, 6), 16)
    (request,) = questions(session.handle(AddPoint(9, 9, plane=5)))
    assert request.base == (square(5, 5, plane=5),)
    (request,) = questions(answer(session, square(5, 5, 6, plane=5)))
    assert request.planes == (5,)
    carry(session, section(6, side=6))
    # Without prompts it is what it was, but for the plane that is computed again.
    (request,) = questions(session.handle(RemovePrompt()))
    assert session.state.target == 1
    assert [mask.start[0] for mask in request.objects[0]] == [1, 2, 3, 4, 6]
    carry(session, section(5, side=3))
    session.handle(Commit())
    assert sorted(session.labels) == [1]
    assert session.labels.area(1) == 16 * 4 + 9 + 36


def test_improving_an_object_of_one_plane_shows_it(session):
    prompt(session, 6)
    session.handle(Commit())
    session.handle(Improve(1))
    assert session.state.browsing.plane == 6
    assert session.state.prompts == (MaskPrompt(square(5, 5, plane=6)),)
    assert session.state.extension is None


def test_a_candidate_of_several_planes_can_be_carried_further(session):
    session.handle(Suggest(found(square(5, 5, plane=2, planes=2))))
    session.handle(TakeCandidate(0))
    assert session.state.extension.done
    (request,) = questions(session.handle(ExtendObject()))
    assert [mask.start[0] for mask in request.objects[0]] == [2, 3]
    carry(session, section(4))
    assert planes(session) == {2: 16, 3: 16, 4: 16}


# On disk.


def script(session):
    session.handle(AddPoint(5, 5, plane=3))
    session.handle(AddPrompt(Scribble(5, ((5, 5), (8, 8)), 2.0)))
    answer(session, square(5, 5, plane=5))
    answer(session, square(5, 5, plane=3), score=0.3)
    session.handle(AddPrompt(Stop(7)))
    session.handle(ExtendObject(OPTIONS))
    carry(session, section(4, agreement=1 / 3), section(2), final=False)


def test_killed_in_the_middle_of_partial_answers(reopen):
    session = reopen()
    script(session)
    again = reopen()
    assert again.state == session.state
    assert again.awaiting == session.awaiting is not None
    assert again.pending() == session.pending()
    again.handle(SetPlane(4))
    carry(again, section(1, score=0.1), section(6, side=0))
    third = reopen()
    assert third.state == again.state
    assert third.recovered == ""
    third.handle(Commit())
    fourth = reopen()
    assert np.array_equal(fourth.labels.volume, third.labels.volume)
    assert fourth.infos == third.infos
    fourth.handle(Undo())
    assert fourth.state.proposals == again.state.proposals


def test_a_stopped_object_is_the_same_in_the_journal(reopen):
    session = reopen()
    script(session)
    session.handle(Cancel())
    session.handle(Commit())
    again = reopen()
    assert again.state == session.state
    assert np.array_equal(again.labels.volume, session.labels.volume)


def test_a_damaged_line_before_the_answers(reopen, tmp_path):
    """The line that asked for all planes is lost: what was found is kept."""
    session = reopen()
    script(session)
    carry(session, section(1))
    journal = tmp_path / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    broken = [b"#" * (len(one) - 1) + b"\n" if b"ExtendObject" in one else one for one in lines]
    journal.write_bytes(b"".join(broken))
    again = reopen()
    assert "cannot be read" in again.recovered
    assert again.state.proposal.mask == session.state.proposal.mask
    assert again.state.answered


# The worker.


def test_a_newer_question_ends_the_older_after_the_step_in_hand(session):
    """Planes are answered one by one; a click in between is answered before the rest."""
    seen = []

    def service(request):
        if isinstance(request, Predict):
            yield Predicted(request.ticket, found(square(5, 5, plane=request.plane)))
        elif isinstance(request, Extend):
            seen.append(request)
            yield Working(Work("Carrying", 0, 8, "planes"))
            for plane in range(4, 8):
                if len(seen) == 1 and plane == 6:
                    session.handle(AddPoint(9, 9, plane=5))
                yield Extended(request.ticket, (section(plane),), False)
            yield Extended(request.ticket, (), True)

    runner = Runner(session, service)
    try:
        session.handle(AddPoint(5, 5, plane=3))
        session.handle(ExtendObject())
        runner.wait(20)
    finally:
        runner.close()
    assert len(seen) == 2
    assert [mask.start[0] for mask in seen[1].objects[0]] == [3, 5]
    assert planes(session) == dict.fromkeys(range(3, 8), 16)
    assert session.work is None
    assert session.state.answered


def test_a_failing_extension_is_a_sentence(session):
    def service(request):
        if isinstance(request, Predict):
            return [Predicted(request.ticket, found(square(5, 5, plane=request.plane)))]
        if isinstance(request, Extend):
            raise PromptError("The model is tired.", "Let it sleep.")
        return []

    runner = Runner(session, service)
    try:
        session.handle(AddPoint(5, 5, plane=3))
        session.handle(ExtendObject())
        runner.wait(20)
    finally:
        runner.close()
    assert "Let it sleep." in session.notice.text
    assert session.awaiting is None
    session.handle(Commit())
    assert session.labels.area(1) == 16
