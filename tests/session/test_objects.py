"""Named scripts about objects: kept several at a time, painted, merged, cut, described, loaded."""

from __future__ import annotations

import numpy as np
import pytest
from loose import answer, check_index, commit, found, opened, square

from microsam_nb.core import (
    BoxPrompt,
    Candidate,
    LabelError,
    Mask,
    MaskPrompt,
    MicrosamError,
    ObjectInfo,
    Overlap,
    Point,
    PromptError,
    SettingsError,
)
from microsam_nb.session import (
    AddBox,
    AddPoint,
    Cancel,
    Clear,
    Commit,
    Delete,
    DeleteIn,
    Describe,
    Erase,
    Failed,
    Fill,
    Grow,
    Improve,
    LoadLabels,
    Merge,
    Paint,
    Predict,
    Predicted,
    Redo,
    RejectCandidates,
    RemovePrompt,
    Segment,
    Select,
    Session,
    SetBatched,
    SetBrush,
    SetClass,
    SetLayer,
    SetLive,
    SetOverlap,
    Settle,
    SetTool,
    SetView,
    Split,
    Suggest,
    TakeCandidate,
    Tool,
    Undo,
)
from microsam_nb.session.history import History, Step
from microsam_nb.session.state import State

SHAPE = (2, 40, 40)


@pytest.fixture
def session():
    made = Session(SHAPE)
    yield made
    check_index(made.labels)
    assert set(made.infos) <= set(made.labels)


def objects(session):
    return {label: session.labels.area(label) for label in sorted(session.labels)}


# Several at a time.


def test_several_proposals_are_several_objects_with_scores(session):
    session.handle(AddBox(0, 0, 9, 9))
    session.handle(AddBox(20, 20, 29, 29))
    session.handle(
        Predicted(session.awaiting, (*found(square(1, 1), score=0.51234), *found(square(21, 21), score=0.9)))
    )
    assert session.notice.text == "2 of 2 objects are found. C keeps all."
    session.handle(Commit())
    assert objects(session) == {1: 16, 2: 16}
    assert session.infos == {1: ObjectInfo(0.5123), 2: ObjectInfo(0.9)}
    assert session.state.next_id == 3
    assert session.notice.text == "Objects 1 to 2 are committed."
    session.handle(Undo())
    assert objects(session) == {}
    assert session.infos == {}
    assert len(session.state.proposals) == 2


def test_proposals_that_overlap_share_their_pixels_in_order(session):
    for overlap in Overlap:
        session.handle(AddPoint(1, 1))
        answer(session, square(0, 0, 6), square(3, 3, 6))
        session.handle(Commit(overlap))
        assert sorted(objects(session).values()) == [27, 36]
        session.handle(Delete(tuple(session.labels)))


def test_what_has_no_free_pixel_is_left_out_and_said(session):
    commit(session, square(0, 0, 8))
    session.handle(AddPoint(1, 1))
    answer(session, square(2, 2), square(20, 20), square(20, 20))
    session.handle(Commit())
    assert objects(session) == {1: 64, 2: 16}
    assert session.notice.text == "Object 2 is committed. 2 had no free pixel and were left out."


def test_the_policies_of_overlap(session):
    sizes = {}
    for overlap in Overlap:
        commit(session, square(0, 0, 6))
        first = max(session.labels)
        commit(session, square(4, 4, 6), overlap=overlap)
        sizes[overlap] = session.labels.area(first), session.labels.area(first + 1)
        session.handle(Delete(tuple(session.labels)))
    assert sizes == {Overlap.KEEP: (36, 32), Overlap.REPLACE: (32, 36), Overlap.WHOLE: (0, 36)}


def test_the_chosen_policy_holds_where_none_is_given(session):
    commit(session, square(0, 0, 6))
    session.handle(SetOverlap("replace"))
    commit(session, square(4, 4, 6))
    assert objects(session) == {1: 32, 2: 36}
    assert session.infos[1] == ObjectInfo(0.75)


def test_an_object_removed_whole_is_forgotten_and_comes_back_described(session):
    commit(session, square(0, 0, 6))
    session.handle(Describe(1, "nucleus", "A"))
    before = dict(session.infos)
    commit(session, square(4, 4, 6), overlap=Overlap.WHOLE)
    assert sorted(session.infos) == [2]
    session.handle(Undo())
    assert session.infos == before
    session.handle(Redo())
    assert sorted(session.infos) == [2]


def test_objects_through_several_planes(session):
    session.handle(AddPoint(1, 1))
    answer(session, square(3, 3, planes=2))
    session.handle(Commit())
    assert objects(session) == {1: 32}
    session.handle(Improve(1))
    assert session.state.proposal.mask == square(3, 3, planes=2)
    assert session.state.prompts == ()
    session.handle(Commit())
    assert objects(session) == {1: 32}
    session.handle(Suggest(found(square(20, 20, planes=2))))
    session.handle(TakeCandidate(0))
    assert session.state.prompts == ()
    session.handle(Commit())
    assert objects(session) == {1: 32, 2: 32}


# Taking up again.


def test_improving_keeps_the_number_the_name_and_gets_the_new_score(session):
    commit(session, square(0, 0), square(10, 10))
    session.handle(Describe(2, "mine", "B"))
    session.handle(Improve(2))
    assert session.state.prompts == (MaskPrompt(square(10, 10)),)
    assert session.state.target == 2
    session.handle(AddPoint(15, 15))
    answer(session, square(10, 10, 6), score=0.6)
    session.handle(Commit())
    assert objects(session) == {1: 16, 2: 36}
    assert session.infos[2] == ObjectInfo(0.6, "mine", "B")
    assert session.state.next_id == 3
    session.handle(Undo())
    assert objects(session) == {1: 16, 2: 16}
    assert session.infos[2] == ObjectInfo(0.75, "mine", "B")


def test_improving_and_keeping_it_as_it_was_changes_nothing(session):
    commit(session, square(0, 0))
    session.handle(Select((1,)))
    session.handle(Paint(((6, 6),), 2))
    volume, infos = session.labels.volume.copy(), dict(session.infos)
    assert infos == {1: ObjectInfo(None)}
    session.handle(Improve(1))
    session.handle(Commit())
    assert np.array_equal(session.labels.volume, volume)
    assert session.infos == infos


def test_improving_leaves_the_object_when_cleared(session):
    commit(session, square(0, 0))
    session.handle(Improve(1))
    session.handle(Clear())
    assert objects(session) == {1: 16}
    assert session.state.target == 0


def test_an_object_improved_while_it_is_deleted_keeps_its_number(session):
    commit(session, square(0, 0))
    session.handle(Improve(1))
    session.handle(Delete((1,)))
    session.handle(Commit())
    assert objects(session) == {1: 16}
    commit(session, square(10, 10))
    assert objects(session) == {1: 16, 2: 16}


def test_an_improved_object_that_nothing_is_left_of_stays(session):
    commit(session, square(0, 0))
    commit(session, square(10, 10))
    session.handle(Improve(2))
    session.handle(AddPoint(1, 1))
    answer(session, square(0, 0))
    with pytest.raises(PromptError, match="choose to replace"):
        session.handle(Commit(Overlap.KEEP))
    assert objects(session) == {1: 16, 2: 16}


@pytest.mark.parametrize("action", [Improve(1), TakeCandidate(0)])
def test_one_object_at_a_time_is_worked_on(session, action):
    commit(session, square(0, 0))
    session.handle(Suggest(found(square(5, 5))))
    session.handle(AddPoint(30, 30))
    with pytest.raises(PromptError, match="Commit it with C, or clear it"):
        session.handle(action)


# By hand.


def test_a_painted_object_has_no_score(session):
    session.handle(Paint(((5, 5), (5, 20)), 4))
    assert session.awaiting is None
    session.handle(Paint(((8, 5), (8, 20)), 4))
    assert len(session.state.proposals) == 1
    session.handle(Erase(((5, 12),), 3))
    session.handle(Commit())
    assert session.infos == {1: ObjectInfo(None)}


def test_a_corrected_proposal_has_no_score(session):
    session.handle(AddPoint(5, 5))
    answer(session, square(3, 3))
    session.handle(Erase(((3, 3),), 1))
    session.handle(Commit())
    assert objects(session) == {1: 15}
    assert session.infos == {1: ObjectInfo(None)}


def test_painting_on_the_picked_object(session):
    commit(session, square(5, 5))
    commit(session, square(5, 9))
    session.handle(Select((1,)))
    session.handle(Paint(((7.5, 3.2), (7.5, 11.8)), 1))
    assert objects(session) == {1: 18, 2: 16}, "the neighbour is kept"
    session.handle(SetOverlap(Overlap.REPLACE))
    session.handle(Paint(((7.5, 3.2), (7.5, 11.8)), 1))
    assert objects(session) == {1: 21, 2: 13}
    assert session.infos[1].score is None
    assert session.infos[2].score == 0.75


@pytest.mark.parametrize("overlap", Overlap)
def test_painting_where_nothing_can_be_won_is_said(session, overlap):
    commit(session, square(5, 5, 10))
    session.handle(Select((1,)))
    session.handle(SetOverlap(overlap))
    with pytest.raises(PromptError) as error:
        session.handle(Paint(((8, 8), (9, 9)), 2))
    assert "Paint beside it" in error.value.remedy
    assert session.infos[1].score == 0.75


@pytest.mark.parametrize("stroke", [Paint, Erase])
def test_a_stroke_over_the_border_is_clipped_and_one_outside_is_refused(session, stroke):
    commit(session, square(0, 0, 8))
    before = objects(session)
    with pytest.raises(PromptError, match="Draw inside the image"):
        session.handle(stroke(((-9, -9), (-9, 50)), 4))
    assert objects(session) == before
    session.handle(stroke(((-2, 3), (5, -3), (60, 70)), 6))
    if stroke is Erase:
        assert 0 < objects(session)[1] < 64
    else:
        box = session.state.proposal.mask.box
        assert min(box.start) >= 0
        assert max(box.stop) <= 40


def test_erasing_all_of_an_object_removes_it(session):
    commit(session, square(5, 5))
    session.handle(Erase(((7, 7),), 20))
    assert objects(session) == {}
    assert session.infos == {}
    session.handle(Undo())
    assert objects(session) == {1: 16}
    assert session.infos == {1: ObjectInfo(0.75)}


def test_the_eraser_spares_what_is_not_picked(session):
    commit(session, square(5, 5), square(5, 9))
    session.handle(Select((2,)))
    session.handle(Erase(((7, 5), (7, 20)), 10))
    assert objects(session) == {1: 16}


@pytest.mark.parametrize("picked", [(), (1,)])
def test_the_eraser_says_when_there_is_nothing(session, picked):
    commit(session, square(5, 5))
    session.handle(Select(picked))
    with pytest.raises(PromptError, match="Rub over an object"):
        session.handle(Erase(((30, 30),), 2))
    session.handle(Paint(((20, 20),), 4)) if not picked else session.handle(AddPoint(20, 20))
    if not picked:
        with pytest.raises(PromptError, match="Rub over the yellow area"):
            session.handle(Erase(((7, 7),), 2))


def ring(session, label_of=1):
    bitmap = np.ones((1, 10, 10), bool)
    bitmap[0, 3:6, 3:6] = False
    commit(session, Mask((0, 10, 10), bitmap))


def test_a_hole_is_filled_from_the_object_and_from_the_hole(session):
    ring(session)
    for place in ((10.5, 10.5), (14.5, 14.5)):
        session.handle(Fill(*place))
        assert objects(session) == {1: 100}
        assert session.infos[1].score is None
        assert "9 pixels" in session.notice.text
        session.handle(Undo())
        assert objects(session) == {1: 91}


def test_what_lies_in_the_hole_stays(session):
    ring(session)
    commit(session, Mask((0, 14, 14), np.ones((1, 1, 1), bool)))
    session.handle(Fill(10.5, 10.5))
    assert objects(session) == {1: 99, 2: 1}
    with pytest.raises(PromptError, match="merge it with the object"):
        session.handle(Fill(10.5, 10.5))


def test_holes_of_the_proposal(session):
    session.handle(AddPoint(1, 1))
    bitmap = np.ones((1, 10, 10), bool)
    bitmap[0, 3:6, 3:6] = False
    answer(session, Mask((0, 10, 10), bitmap))
    session.handle(Fill(14.5, 14.5))
    assert session.state.proposal.mask.area == 100
    assert session.state.answered
    with pytest.raises(PromptError, match="Click into a gap"):
        session.handle(Fill(11, 11))


@pytest.mark.parametrize("place", [(-1, 5, 0), (5, 99, 0), (5, 5, 2), (5, 5, -1), (float("nan"), 5, 0)])
def test_filling_outside_is_refused(session, place):
    y, x, plane = place
    with pytest.raises(PromptError, match="Click into a hole or on an object"):
        session.handle(Fill(y, x, plane))


def test_filling_what_is_open_or_borders_nothing_is_refused(session):
    with pytest.raises(PromptError, match="close the gap first"):
        session.handle(Fill(5, 5))
    commit(session, square(5, 5))
    with pytest.raises(PromptError, match="Click into a gap that objects enclose"):
        session.handle(Fill(6, 6))


# Merging, cutting, deleting, describing.


def test_objects_that_touch_are_merged_without_a_warning(session):
    commit(session, square(0, 0), square(4, 4), square(0, 8))
    session.handle(Merge((1, 2, 3)))
    assert session.notice.text == "Objects 2, 3 are now part of object 1."


def test_picking_is_told(session):
    session.handle(SetTool(Tool.PICK))
    session.handle(Select())
    assert session.notice.text == "There is no object here. Click on one to pick it."
    commit(session, square(0, 0), square(10, 10))
    session.handle(Select((2,)))
    assert session.notice.text == "Picked: object 2."
    session.handle(Select((1,), more=True))
    assert session.notice.text == "Picked: objects 2, 1."
    session.handle(Select())
    assert session.notice.text == "Nothing is picked."


def test_merged_objects_are_one_without_score(session):
    commit(session, square(0, 0), square(10, 10), square(20, 20))
    session.handle(Describe(2, "kept"))
    session.handle(Merge((2, 1, 3, 1)))
    assert objects(session) == {2: 48}
    assert session.infos == {2: ObjectInfo(None, "kept")}
    assert session.notice.text == "Objects 1, 3 are now part of object 2. They do not all touch: Ctrl-Z takes it back."
    session.handle(Undo())
    assert objects(session) == {1: 16, 2: 16, 3: 16}
    assert session.infos[1].score == 0.75


@pytest.mark.parametrize("labels", [(), (1,), (1, 1), (1, 9), (0, 1)])
def test_a_merge_needs_two_objects(session, labels):
    commit(session, square(0, 0), square(10, 10))
    with pytest.raises(LabelError) as error:
        session.handle(Merge(labels))
    assert "two objects" in error.value.remedy or "committed object" in error.value.remedy
    assert objects(session) == {1: 16, 2: 16}


def test_a_split_gives_the_smaller_part_a_new_number(session):
    commit(session, square(10, 10, 10))
    session.handle(Describe(1, "one", "A"))
    session.handle(Split(((5, 13.5), (25, 13.5))))
    assert objects(session) in ({1: 60, 2: 40}, {1: 70, 2: 30})
    assert session.infos == {1: ObjectInfo(None, "one", "A"), 2: ObjectInfo(None, "", "A")}
    assert session.state.next_id == 3
    session.handle(Undo())
    assert objects(session) == {1: 100}
    session.handle(Redo())
    assert session.labels.count() == 2


def test_a_split_cuts_only_what_is_picked(session):
    commit(session, square(10, 10, 10), square(22, 10, 10))
    session.handle(Select((2,)))
    session.handle(Split(((5, 15.5), (39, 15.5))))
    assert objects(session)[1] == 100
    assert session.labels.count() == 3
    with pytest.raises(PromptError, match="from one side of an object to the other"):
        session.handle(Split(((5, 15.5), (15, 15.5))))


@pytest.mark.parametrize("labels", [(), (5,), (1, 5), (0,)])
def test_deleting_what_is_not_there(session, labels):
    commit(session, square(0, 0))
    with pytest.raises(LabelError) as error:
        session.handle(Delete(labels))
    assert error.value.remedy
    assert objects(session) == {1: 16}
    assert session.infos == {1: ObjectInfo(0.75)}


def test_a_number_is_not_given_twice(session):
    commit(session, square(0, 0))
    session.handle(Delete((1,)))
    commit(session, square(0, 0))
    assert objects(session) == {2: 16}


def test_describing(session):
    commit(session, square(0, 0))
    assert session.handle(Describe(1, "  a  ", "x" * 300)).change.objects
    assert session.infos[1] == ObjectInfo(0.75, "a", "x" * 200)
    assert not session.handle(Describe(1, "a")).change.objects
    session.handle(Undo())
    assert session.infos[1] == ObjectInfo(0.75)
    with pytest.raises(LabelError, match="committed object"):
        session.handle(Describe(4, "a"))


def test_picked_objects_that_are_gone_are_not_picked(session):
    commit(session, square(0, 0), square(10, 10))
    session.handle(Select((2, 1, 7, 2)))
    assert session.selected == (2, 1)
    session.handle(Select((1,), more=True))
    assert session.selected == (2,)
    session.handle(Delete((2,)))
    assert session.selected == ()
    session.handle(Undo())
    assert session.selected == (2,)


def test_rows_are_the_table(session):
    commit(session, square(0, 0), square(10, 10, 5))
    rows = session.rows()
    assert [(row.label, row.area, row.info.score) for row in rows] == [(1, 16, 0.75), (2, 25, 0.75)]
    assert rows[1].box == square(10, 10, 5).box


# From elsewhere.


def test_loaded_labels_take_the_place_of_all_objects_in_one_step(session):
    commit(session, square(0, 0))
    session.handle(AddPoint(30, 30))
    volume = np.zeros(SHAPE, np.uint16)
    volume[0, 5:9, 5:9], volume[1, 0:2, 0:2] = 1, 700
    session.handle(LoadLabels.of(volume, "cells.tif"))
    assert objects(session) == {1: 16, 700: 4}
    assert session.infos == {}
    assert session.state.next_id == 701
    assert session.notice.text == "2 objects are loaded from cells.tif."
    session.handle(Undo())
    assert objects(session) == {1: 16}
    assert session.infos == {1: ObjectInfo(0.75)}
    assert len(session.state.prompts) == 1
    assert session.notice.text == "Undone: loading 2 objects."
    session.handle(Redo())
    assert session.notice.text == "Redone: loading 2 objects."


def test_what_was_loaded_last_is_undone_with_the_loading(session):
    one, two = np.zeros(SHAPE, np.uint32), np.zeros(SHAPE, np.uint32)
    one[0, 5:9, 5:9] = two[1, 0:2, 0:2] = 1
    session.handle(LoadLabels.of(one))
    first = session.loaded
    session.handle(LoadLabels.of(two))
    second = session.loaded
    session.handle(Delete((1,)))
    assert first != second == session.loaded
    session.handle(Undo())
    session.handle(Undo())
    assert session.loaded == first
    session.handle(Undo())
    assert session.loaded == ""
    session.handle(Redo())
    session.handle(Redo())
    assert session.loaded == second


@pytest.mark.parametrize(
    ("count", "there"), [(1, "1 object that the image was opened with stays"), (2, "2 objects that")]
)
def test_what_an_image_was_opened_with_is_no_step(tmp_path, count, there):
    given = np.zeros(SHAPE, np.uint32)
    given[0, 5:9, 5:9], given[0, 20:24, 20:24] = 1, count
    session = opened(tmp_path, SHAPE)
    session.handle(LoadLabels.of(given))
    session.handle(Settle())
    assert session.notice.text.startswith(f"{count} object"), "how many they are stays to be read"
    commit(session, square(12, 12))
    session.handle(Undo())
    for now in (session, opened(tmp_path, SHAPE)):
        while now.can_undo:
            now.handle(Undo())
        now.handle(Undo())
        assert now.notice.text.startswith(f"Nothing left to undo: the {there}")
        assert np.array_equal(now.labels.volume, given)
        assert now.loaded == session.loaded != ""


def test_without_anything_picked_or_clicked_there_is_nothing_to_change(session):
    with pytest.raises(LabelError, match=r"No object is picked\. Click on one"):
        session.handle(Improve(0))
    with pytest.raises(PromptError, match=r"There is no prompt to change\. Click on an object"):
        session.handle(RemovePrompt())


@pytest.mark.parametrize("count", [1, 2])
def test_one_object_is_said_as_one(session, count):
    few = np.zeros(SHAPE, np.uint32)
    few[0, 0], few[0, 4] = 1, count
    session.handle(LoadLabels.of(few))
    assert session.notice.text == ("1 object is loaded." if count == 1 else "2 objects are loaded.")
    session.handle(Delete(tuple(session.labels)))
    assert session.notice.text.startswith("Object 1 is deleted" if count == 1 else "2 objects are deleted")
    session.handle(Undo())
    session.handle(Grow((1,), count))
    assert f"up to {count} pixel{'' if count == 1 else 's'} wider" in session.notice.text
    session.handle(Suggest(found(square(20, 20), square(30, 30))[:count]))
    session.handle(RejectCandidates())
    assert session.notice.text.startswith("1 candidate is rejected" if count == 1 else "2 candidates are rejected")


def test_undo_without_anything_before_says_so(session):
    session.handle(Undo())
    assert session.notice.text == "There is nothing to undo."


def test_steps_that_are_no_longer_kept_are_not_called_the_beginning(session):
    commit(session, square(0, 0))
    session._history._capacity = 0
    for place in (5, 10, 15):
        commit(session, square(place, place))
    while session.can_undo:
        session.handle(Undo())
    session.handle(Undo())
    assert "too much memory" in session.notice.text


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (AddPoint(30, 30), "adding a point"),
        (Delete((1,)), "deleting object 1"),
        (Delete((1, 2)), "deleting 2 objects"),
        (Merge((1, 2)), "merging objects 1, 2"),
        (Describe(2, "a"), "changing the name of object 2"),
        (Improve(2), "taking up object 2"),
        (Paint(((30, 30),), 3), "painting"),
        (SetClass((2,), "A"), "giving a class"),
        (Grow((1,), -1), "shrinking"),
        (DeleteIn(1, 0), "deleting object 1 in plane 0"),
    ],
    ids=lambda one: type(one).__name__ if not isinstance(one, str) else one.split()[0],
)
def test_undo_and_redo_say_what(session, action, told):
    commit(session, square(0, 0, 6), square(10, 10, 6))
    session.handle(action)
    session.handle(Undo())
    assert session.notice.text == f"Undone: {told}."
    session.handle(Redo())
    assert session.notice.text == f"Redone: {told}."
    session.handle(Undo())
    session.handle(Undo())
    assert session.notice.text == "Undone: committing objects 1, 2."


def test_labels_of_another_shape_or_type_are_refused(session):
    with pytest.raises(LabelError, match="made for this image"):
        session.handle(LoadLabels.of(np.zeros((40, 40), int)))
    with pytest.raises(LabelError, match="such as uint32"):
        LoadLabels.of(np.zeros((40, 40)))
    with pytest.raises(LabelError, match="Renumber"):
        session.handle(LoadLabels.of(np.full(SHAPE, 2**32 - 1)))
    assert objects(session) == {}


def test_damaged_labels_are_refused(session):
    whole = LoadLabels.of(np.eye(40, dtype=int)[None].repeat(2, 0))
    numbers, lengths = whole.data.split(" ")
    for data in ("", numbers, f"{numbers} {numbers}", f"{numbers} {lengths[:-8]}", f"{numbers} !{lengths}"):
        with pytest.raises(ValueError, match=r"damaged|values to unpack"):
            session.handle(LoadLabels(data, SHAPE))
    assert objects(session) == {}


def test_candidates_are_taken_one_by_one(session):
    with pytest.raises(PromptError, match="There are 0"):
        session.handle(TakeCandidate(0))
    with pytest.raises(PromptError, match="made for this image"):
        session.handle(Suggest(found(square(38, 38))))
    session.handle(Suggest(found(square(0, 0), Mask.crop(np.zeros((4, 4))), square(9, 9))))
    assert len(session.state.candidates) == 2
    session.handle(TakeCandidate(1))
    session.handle(Commit())
    assert objects(session) == {1: 16}
    assert [one.mask.start for one in session.state.candidates] == [(0, 0, 0)]
    for _ in range(2):
        session.handle(Undo())
    assert len(session.state.candidates) == 2


# Answers, live and asked for.


def test_without_live_the_model_waits_for_s(session):
    session.handle(SetLive(False))
    assert session.handle(AddPoint(5, 5)).requests == ()
    with pytest.raises(PromptError, match="Press S for the mask"):
        session.handle(Commit())
    (request,) = session.handle(Segment()).requests
    assert request.objects == ((Point(0, 5, 5),),)
    answer(session, square(5, 5))
    session.handle(Commit())
    with pytest.raises(PromptError, match="Click on an object"):
        session.handle(Segment())


def test_live_asks_for_what_was_not_answered(session):
    session.handle(SetLive(False))
    session.handle(AddPoint(5, 5))
    (request,) = session.handle(SetLive()).requests
    assert session.awaiting == request.ticket
    assert session.handle(SetLive(True)).requests == ()


@pytest.mark.parametrize("end", [lambda ticket: Failed("Broken. Repair it.", ticket), lambda ticket: Cancel()])
def test_an_answer_that_never_came_does_not_confuse_the_replay(tmp_path, end):
    """Failures and cancels are not written: what follows must not depend on them."""
    session = opened(tmp_path, SHAPE)
    session.handle(AddPoint(5, 5))
    session.handle(end(session.awaiting))
    assert session.awaiting is None
    session.handle(SetLive(False))
    session.handle(SetLive(True))
    answer(session, square(5, 5))
    session.handle(Commit())
    session.close()
    again = opened(tmp_path, SHAPE)
    assert again.recovered == ""
    assert again.state == session.state
    assert objects(again) == {1: 16}
    again.close()


def test_an_old_failure_is_not_blamed_for_prompts_that_nobody_asked_about(session):
    session.handle(AddPoint(5, 5))
    session.handle(Failed("Broken. Repair it.", session.awaiting))
    with pytest.raises(PromptError, match=r"Broken\. Repair it\. Undo the last prompt"):
        session.handle(Commit())
    session.handle(SetLive(False))
    session.handle(AddPoint(6, 6))
    with pytest.raises(PromptError, match="Press S for the mask"):
        session.handle(Commit())


def test_batched_every_point_is_an_object(session):
    session.handle(AddPoint(5, 5))
    session.handle(AddPoint(20, 20))
    session.handle(AddPoint(30, 30, positive=False))
    away = Point(0, 30, 30, positive=False)
    (request,) = session.handle(SetBatched(True)).requests
    assert request == Predict(session.awaiting, ((Point(0, 5, 5), away), (Point(0, 20, 20), away)))
    answer(session, square(4, 4), square(18, 18))
    session.handle(Commit())
    assert objects(session) == {1: 16, 2: 16}


def test_the_usual_size_goes_with_the_question(session):
    """The median of the newest objects, in one plane; none while there are few."""
    sizes = []
    for i, side in enumerate((4, 6, 6, 6, 9)):
        (request,) = session.handle(AddPoint(1, 1)).requests
        sizes.append(request.size)
        answer(session, square(10 * i % 40, 0 if i < 4 else 20, side, planes=1 + (i == 3)))
        session.handle(Commit())
    assert sizes[:3] == [None, None, None]
    assert sizes[3:] == pytest.approx([(4 * 36 / np.pi) ** 0.5] * 2)


def test_points_belong_to_the_nearest_box(session):
    session.handle(AddBox(0, 0, 9, 9))
    session.handle(AddBox(20, 20, 29, 29))
    session.handle(AddPoint(18, 18))
    (request,) = session.handle(AddPoint(5, 5, positive=False)).requests
    assert request.objects == (
        (BoxPrompt(0, 0, 0, 9, 9), Point(0, 5, 5, positive=False)),
        (BoxPrompt(0, 20, 20, 29, 29), Point(0, 18, 18)),
    )


@pytest.mark.parametrize(
    ("action", "remedy"),
    [
        (SetBrush(0.5), "from 1 to 1000"),
        (SetBrush(float("nan")), "from 1 to 1000"),
        (SetLayer("objects", opacity=1.5), "from 0 to 1"),
        (SetView(1, 2, 0), "zoom above 0"),
        (SetView(float("nan"), 2, 1), "finite place"),
        (SetView(1, 2, float("inf")), "zoom above 0"),
    ],
)
def test_settings_of_the_screen_have_bounds(session, action, remedy):
    before = session.state
    with pytest.raises(SettingsError) as error:
        session.handle(action)
    assert remedy in error.value.remedy
    assert session.state is before


# The history's memory.


def test_the_history_counts_every_mask_once_and_forgets_what_it_lets_go():
    history, big = History(State()), square(0, 0, 30)
    first = found(big)
    history.push(Step(State(proposals=first, prompts=(MaskPrompt(big),))))
    assert history.nbytes == 900
    history.push(Step(State(proposals=first, candidates=found(big, square(1, 1)))))
    assert history.nbytes == 916
    history.amend(State())
    assert history.nbytes == 900
    history.back()
    history.back()
    history.push(Step(State()))
    assert history.nbytes == 0


def test_candidates_count_towards_the_memory(session):
    session._history = History(State(), capacity=6000)
    for i in range(9):
        session.handle(Suggest(tuple(Candidate(square(i, i + k, 30), 0.5, "grid") for k in range(2))))
    assert session._history.nbytes <= 6000
    steps = 0
    while session.can_undo:
        session.handle(Undo())
        steps += 1
    assert steps == 2


def test_whatever_is_refused_takes_back_what_it_wrote(session, monkeypatch):
    commit(session, square(0, 0), square(10, 10))
    volume, infos, state = session.labels.volume.copy(), dict(session.infos), session.state
    with pytest.raises(MicrosamError):
        session.handle(Delete((1, 2, 3)))
    monkeypatch.setattr("microsam_nb.session.actions.objects.ObjectInfo", None)
    with pytest.raises(TypeError):
        session.handle(Split(((0, 2), (30, 2))))
    assert np.array_equal(session.labels.volume, volume)
    assert session.infos == infos
    assert session.state is state


@pytest.mark.parametrize(("tool", "after"), [(Tool.PICK, Tool.POINT), (Tool.BRUSH, Tool.BRUSH), (Tool.BOX, Tool.BOX)])
def test_an_object_that_is_taken_up_can_be_clicked_at(session, tool, after):
    commit(session, square(5, 5))
    session.handle(SetTool(tool))
    session.handle(Improve(1))
    assert session.state.browsing.tool is after
    assert "right-click" in session.notice.text
