"""Automatic prompts: what is asked, what is asked again, and which answers become objects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from microsam_nb.core import BoxPrompt, Image, Mask, Point
from microsam_nb.engine import load_model, open_store
from microsam_nb.engine.automatic import PromptOf, PromptSettings, Segmenter, prompts, segmenter
from microsam_nb.engine.automatic.answers import Answers, Asked, Found, proposals_of
from microsam_nb.engine.automatic.batches import Batches
from microsam_nb.engine.automatic.distances import smooth
from microsam_nb.engine.automatic.maps import Scale
from microsam_nb.engine.automatic.prompts import ask, choose_masks, expected, proposals
from microsam_nb.engine.automatic.proposals import Proposals
from microsam_nb.engine.evaluation import mean_segmentation_accuracy
from microsam_nb.engine.tiling import Tiling, Window
from microsam_nb.engine.training.distances import distance_targets

PLAIN = {"smoothing_share": 0.0, "distance_smoothing": 0.0, "foreground_smoothing": 0.0}


@pytest.fixture(scope="module")
def nano():
    return load_model("nano", "cpu")


@pytest.fixture(scope="module")
def vit(random_nano):
    """Random weights in the habits of segment-anything's models."""
    spec = replace(random_nano.spec, name="vit_b", architecture="vit_b", hash="xxh128:0123")
    return replace(random_nano, spec=spec)


@pytest.fixture(scope="module")
def parts(drawn):
    """The four drawn discs as the decoder would see them at best, unsmoothed."""
    return smooth(distance_targets(drawn.labels), PromptSettings(**PLAIN), None)


def settings(prompt=PromptOf.POINT, **changes):
    return PromptSettings(**{**PLAIN, "prompt": prompt, "min_size": 0, **changes})


def labels_of(asked, truth):
    return [int(truth[int(one.middle[0]), int(one.middle[1])]) for one in asked]


# What is asked


def test_one_point_is_asked_for_each_object(parts, drawn):
    asked = expected(parts, settings(), plane=3)
    assert sorted(labels_of(asked, drawn.labels)) == [1, 2, 3, 4]
    assert all(one.point.positive and one.point.plane == one.plane == 3 for one in asked)
    assert all(one.box is None and one.region is None for one in asked)


def test_points_are_the_middles_of_pixels_deep_inside(parts):
    for one in expected(parts, settings(), 0):
        assert (one.point.y % 1, one.point.x % 1) == (0.5, 0.5)
        place = int(one.point.y), int(one.point.x)
        assert parts.centre[place] + parts.boundary[place] < 0.25


@pytest.mark.parametrize("prompt", [PromptOf.POINT, PromptOf.BOX, PromptOf.BOTH, PromptOf.REGION])
def test_prompts_stay_where_they_are_when_seeds_change_their_size(parts, prompt):
    first = expected(parts, settings(prompt), 0)
    others = [
        expected(parts, settings(prompt, center_distance=centre, boundary_distance=boundary), 0)
        for centre, boundary in ((0.3, 0.6), (0.8, 0.5), (0.5, 0.9))
    ]
    assert len(first) == 4
    for other in others:
        assert set(other) == set(first)


def test_boxes_and_regions_are_those_of_the_objects(parts, drawn):
    boxes = expected(parts, settings(PromptOf.BOX), 0)
    both = expected(parts, settings(PromptOf.BOTH), 0)
    regions = expected(parts, settings(PromptOf.REGION), 0)
    for number in range(1, 5):
        ys, xs = np.nonzero(drawn.labels == number)
        box = BoxPrompt(0, ys.min(), xs.min(), ys.max() + 1, xs.max() + 1)
        assert box in [one.box for one in boxes]
        assert box in [one.box for one in both]
        assert Mask.crop(drawn.labels == number) in [one.region for one in regions]
    assert all(one.point is None for one in boxes)
    assert all(one.point is not None for one in both)
    assert all(one.point is None and one.box is None for one in regions)


@pytest.mark.parametrize("prompt", [PromptOf.POINT, PromptOf.BOX, PromptOf.BOTH])
def test_how_it_is_answered_is_a_part_of_what_is_asked(parts, prompt):
    plain = expected(parts, settings(prompt), 0)
    several = expected(parts, settings(prompt, multimask=True), 0)
    again = expected(parts, settings(prompt, refine=True), 0)
    assert not set(plain) & set(several)
    assert not set(plain) & set(again)


def test_a_region_says_all_there_is(parts):
    regions = [expected(parts, settings(PromptOf.REGION, **one), 0) for one in ({}, {"refine": True})]
    assert set(regions[0]) == set(regions[1])


@pytest.mark.parametrize("prompt", list(PromptOf))
def test_nothing_is_asked_where_nothing_is(prompt):
    nothing = np.ones((3, 20, 30), np.float32)
    nothing[0] = 0
    assert expected(smooth(nothing, settings(prompt), None), settings(prompt), 0) == []


@pytest.mark.parametrize("prompt", list(PromptOf))
def test_an_object_of_one_pixel_is_asked_for(prompt):
    truth = np.zeros((20, 30), np.int32)
    truth[7, 9] = 1
    maps = np.stack([truth == 1, truth != 1, truth != 1]).astype(np.float32)
    (one,) = expected(smooth(maps, settings(prompt), None), settings(prompt), 0)
    assert one.middle == (7.5, 9.5)


# Only what is new is asked


@pytest.fixture
def spied(monkeypatch):
    """The prompts of every decoder call."""
    seen = []
    own, alone = prompts._answer, prompts._by_themselves

    def answer(model, store, view, some):
        seen.append(list(some))
        return own(model, store, view, some)

    monkeypatch.setattr(prompts, "_answer", answer)
    monkeypatch.setattr(prompts, "_by_themselves", alone)
    return seen


def points(*places):
    return [Asked(Point(0, y, x), None) for y, x in places]


def test_what_was_answered_is_not_asked_again(vit, drawn_image, spied):
    store, answers = open_store(None, vit, drawn_image), Answers()
    some = points((24.5, 26.5), (30.5, 70.5))
    assert list(ask(vit, store, 0, some, answers))[-1] == (2, 2)
    assert sum(map(len, spied)) == 2
    before = dict(answers.found)
    spied.clear()
    assert list(ask(vit, store, 0, some, answers)) == [(2, 2)]
    assert spied == []
    more = [*some, *points((70.5, 40.5))]
    assert list(ask(vit, store, 0, more, answers))[-1] == (3, 3)
    assert spied == [points((70.5, 40.5))]
    assert all(answers.found[one] is before[one] for one in some)


def test_the_same_prompt_is_asked_once(vit, drawn_image, spied):
    answers = Answers()
    steps = list(ask(vit, open_store(None, vit, drawn_image), 0, points((24.5, 26.5)) * 3, answers))
    assert steps == [(0, 1), (1, 1)]
    assert spied == [points((24.5, 26.5))]


def test_cancelled_work_is_gone_on_with(vit, drawn_image, spied):
    store, answers = open_store(None, vit, drawn_image), Answers()
    some = points(*((y + 0.5, 40.5) for y in range(10, 90, 10)))
    steps = ask(vit, store, 0, some, answers, batches=Batches(2))
    assert [next(steps) for _ in range(3)] == [(0, 8), (2, 8), (4, 8)]
    steps.close()
    assert len(answers.found) == 4
    spied.clear()
    assert list(ask(vit, store, 0, some, answers, batches=Batches(2))) == [(4, 8), (6, 8), (8, 8)]
    assert len(spied) == 2


def test_prompts_are_halved_when_memory_does_not_suffice(vit, drawn_image, monkeypatch):
    own = prompts._answer

    def small(model, store, view, some):
        if len(some) > 2:
            raise RuntimeError("CUDA out of memory")
        return own(model, store, view, some)

    monkeypatch.setattr(prompts, "_answer", small)
    answers, batches = Answers(), Batches(8)
    some = points(*((y + 0.5, 40.5) for y in range(10, 90, 10)))
    list(ask(vit, open_store(None, vit, drawn_image), 0, some, answers, batches=batches))
    assert set(answers.found) == set(some)
    assert batches.size == 2


def test_tiles_answer_what_lies_in_them(vit, drawn_image, spied):
    store = open_store(None, vit, drawn_image, Tiling((48, 96), (8, 0)))
    answers = Answers()
    list(ask(vit, store, 0, points((10.5, 9.5), (80.5, 9.5), (47.5, 50.5), (48.5, 50.5)), answers))
    windows = [answers.found[one].window for one in points((10.5, 9.5), (47.5, 50.5), (48.5, 50.5))]
    assert windows == [Window(0, 0, 56, 96), Window(0, 0, 56, 96), Window(40, 0, 96, 96)]
    assert len(spied) == 2


def test_a_box_that_no_tile_shows_is_looked_at_by_itself(vit, drawn_image):
    store = open_store(None, vit, drawn_image, Tiling((48, 48), (4, 4)))
    answers, wide = Answers(), Asked(None, BoxPrompt(0, 10, 10, 80, 80))
    list(ask(vit, store, 0, [wide], answers))
    assert answers.found[wide].window == Window(0, 0, 96, 96)


# nano on drawn discs


@pytest.fixture
def perfect(monkeypatch, drawn):
    """The decoder sees the drawn discs as they are."""

    def plane_maps(model, store, plane, zoom, region=None):
        yield 1, 1, distance_targets(drawn.labels)

    monkeypatch.setattr(segmenter, "plane_maps", plane_maps)
    monkeypatch.setattr(segmenter, "find_scale", lambda *_: iter([Scale(2.7, 20.0)]))


@pytest.mark.parametrize(
    ("prompt", "changes"),
    [
        (PromptOf.POINT, {}),
        (PromptOf.POINT, {"multimask": True}),
        (PromptOf.POINT, {"refine": True}),
        (PromptOf.BOX, {}),
        (PromptOf.BOTH, {"refine": True}),
        (PromptOf.REGION, {}),
    ],
    ids=str,
)
def test_discs_are_found_by_every_kind_of_prompt(nano, drawn, drawn_image, perfect, prompt, changes):
    own = Segmenter(nano, open_store(None, nano, drawn_image))
    wanted = settings(prompt, **changes)
    list(own.prepare(0, wanted))
    labels = own.labels(0, wanted)
    assert labels.max() == 4
    assert mean_segmentation_accuracy(drawn.labels, labels) > 0.8
    assert {one.origin for one in own.candidates(0, wanted)} == {"apg"}


def test_a_lone_point_may_be_answered_in_another_way(vit, drawn_image):
    """With random weights the single answer and the best of three have nothing in common."""
    store, answers = open_store(None, vit, drawn_image), Answers()
    single, best = (Asked(Point(0, 24.5, 26.5), None, flag) for flag in (False, True))
    for one in (single, best):
        list(ask(vit, store, 0, [one], answers))
    assert answers.found[single].mask != answers.found[best].mask


def test_the_second_look_has_the_box_of_the_first_answer(vit, drawn_image, monkeypatch):
    seen = []
    own = prompts._chosen

    def chosen(model, look, gathered, size, single):
        seen.append([one.box for one in gathered])
        return own(model, look, gathered, size, single)

    monkeypatch.setattr(prompts, "_chosen", chosen)
    store, answers = open_store(None, vit, drawn_image), Answers()
    first, again = (Asked(Point(0, 24.5, 26.5), None, False, flag) for flag in (False, True))
    list(ask(vit, store, 0, [first], answers))
    list(ask(vit, store, 0, [again], answers))
    (_, y0, x0), (_, y1, x1) = answers.found[first].mask.box.start, answers.found[first].mask.box.stop
    assert seen[:2] == [[None], [None]]
    (box,) = seen[2]
    assert (box.y0, box.x0, box.y1, box.x1) == pytest.approx((y0, x0, y1, x1), abs=2)
    # A box reaches a little beyond the answer, but not out of the plane.
    assert box.y0 <= y0
    assert box.x1 >= x1
    assert min(box.y0, box.x0) >= 0
    assert max(box.y1, box.x1) <= 96


# Arrays


def block(y, x, side, plane=0):
    return Mask((plane, y, x), np.ones((1, side, side), bool))


def test_answers_go_through_arrays():
    random = np.random.default_rng(0)
    kinds = [
        Asked(Point(2, 5.5, 6.5), None, True, False),
        Asked(None, BoxPrompt(2, 1, 2, 9, 12.5), False, True),
        Asked(Point(2, 5.5, 6.5), BoxPrompt(2, 1, 2, 9, 12)),
        Asked(None, None, region=Mask.crop(random.random((9, 13)) > 0.5, (2, 4, 5))),
    ]
    found = [Found(block(i, 3, 5, 2), 0.25 * i, 0.5, Window(0, i, 20, 30)) for i in range(4)]
    arrays = Answers(dict(zip(kinds, found, strict=True))).to_arrays((40, 50), 2)
    assert arrays["asked"].shape == (4, 8)
    again = Answers.from_arrays(arrays, 2)
    assert list(again.found) == kinds
    for one, other in zip(again.found.values(), found, strict=True):
        assert (one.mask, one.score, one.stability, one.window) == (
            other.mask, other.score, other.stability, other.window
        )  # fmt: skip


def test_an_empty_answer_goes_through_arrays_too():
    """A prompt that found nothing need not be asked again."""
    nothing = Found(Mask((0, 0, 0), np.zeros((0, 0, 0), bool)), 0.0, 0.0, Window(0, 0, 9, 9))
    asked = Asked(Point(0, 1.5, 1.5), None)
    again = Answers.from_arrays(Answers({asked: nothing}).to_arrays((9, 9), 0), 0)
    assert again.found[asked].mask.area == 0


def test_no_answers_go_through_arrays():
    assert Answers.from_arrays(Answers().to_arrays((9, 9), 0), 0).found == {}


@pytest.mark.parametrize("name", ["asked", "scores", "region_boxes", "bits"])
def test_damaged_arrays_of_answers_are_refused(name):
    arrays = Answers(dict.fromkeys(points((1.5, 1.5), (5.5, 5.5)), Found(block(1, 1, 5), 1, 1, Window(0, 0, 9, 9))))
    arrays = arrays.to_arrays((9, 9), 0)
    with pytest.raises((ValueError, KeyError)):
        Answers.from_arrays({**arrays, name: arrays[name][:-1]}, 0)
    with pytest.raises((ValueError, KeyError)):
        Answers.from_arrays({key: one for key, one in arrays.items() if key != name}, 0)


def test_memory_in_use_grows_with_the_answers():
    one = Answers({points((1.5, 1.5))[0]: Found(block(1, 1, 5), 1, 1, Window(0, 0, 9, 9))})
    large = Answers({points((1.5, 1.5))[0]: Found(block(1, 1, 100), 1, 1, Window(0, 0, 200, 200))})
    assert Answers().nbytes == 0 < one.nbytes < large.nbytes
    assert large.nbytes >= 10_000


# The choice


def found_masks(*blocks, scores=None, stability=None):
    masks, count = [block(*one) for one in blocks], len(blocks)
    windows = [Window(0, 0, 100, 100)] * count
    return Proposals.made((100, 100), masks, scores or [0.9] * count, stability or [1.0] * count, windows)


def sides(found):
    return [mask.bitmap.shape[1] for mask in found]


def test_masks_that_overlap_too_much_go_by_quality_times_stability():
    found = found_masks((0, 0, 20), (0, 0, 19), (50, 50, 10), scores=[0.9, 0.8, 0.5], stability=[0.5, 0.9, 1.0])
    assert sides(choose_masks(found, settings(nms=0.5))) == [19, 10]
    assert sides(choose_masks(found, settings(nms=0.95))) == [19, 10, 20]


def test_a_mask_inside_another_goes_by_the_smaller_area():
    found = found_masks((0, 0, 20), (5, 5, 5), scores=[0.9, 0.8])
    assert sides(choose_masks(found, settings(nms=0.9))) == [20, 5]
    assert sides(choose_masks(found, settings(nms=0.9, over_smaller=True))) == [20]


def test_limits_of_size_and_score_hold_before_masks_compete():
    """A large mask that is left out does not push out the small ones below it."""
    found = found_masks((0, 0, 20), (0, 0, 19), (50, 50, 3), scores=[0.9, 0.8, 0.4])
    assert sides(choose_masks(found, settings(nms=0.5, max_size=399))) == [19, 3]
    assert sides(choose_masks(found, settings(nms=0.5, min_size=10))) == [20]
    assert sides(choose_masks(found, settings(nms=0.5, min_score=0.5))) == [20]
    assert sides(choose_masks(found, settings(nms=0.5, min_size=9, max_size=9))) == [3]


def test_nothing_is_chosen_of_no_answers():
    assert len(choose_masks(Proposals.none((9, 9)), settings())) == 0
    assert len(choose_masks(found_masks((0, 0, 5)), settings(min_size=26))) == 0


def test_answers_become_proposals_once_and_empty_ones_never():
    one, other = points((1.5, 1.5), (5.5, 5.5))
    window = Window(0, 0, 9, 9)
    answers = Answers({
        one: Found(block(1, 1, 5), 0.5, 1, window),
        other: Found(Mask((0, 0, 0), np.zeros((0, 0, 0), bool)), 0.9, 0, window),
    })  # fmt: skip
    found = proposals(answers, [one, other, one], (9, 9), 0, settings(), np.ones((9, 9)))
    assert found.masks == (block(1, 1, 5),)
    assert found.scores.tolist() == [0.5]
    assert len(proposals_of(list(answers.found.values()), (9, 9), 0)) == 2


@pytest.mark.parametrize(
    ("mask", "score", "kept"),
    [
        (block(2, 2, 6), 0.9, block(2, 2, 6)),
        (block(2, 2, 6), 0.7, block(2, 2, 5)),
        (block(9, 9, 6), 0.9, block(2, 2, 5)),
        (Mask((0, 0, 0), np.zeros((0, 0, 0), bool)), 0.9, block(2, 2, 5)),
    ],
    ids=["trusted", "not trusted", "another object", "nothing"],
)
def test_a_region_stays_where_its_answer_is_not_trusted(mask, score, kept):
    """The score counts times the mean foreground of the region."""
    asked, foreground = Asked(None, None, region=block(2, 2, 5)), np.zeros((20, 20))
    foreground[2:7, 2:7] = 0.5
    answers = Answers({asked: Found(mask, score, 1.0, Window(0, 0, 20, 20))})
    found = proposals(answers, [asked], (20, 20), 0, settings(PromptOf.REGION, trust=0.8), foreground)
    assert found.masks == (kept,)
    assert found.scores.tolist() == pytest.approx([score / 2])


def test_colour_and_planes_of_a_volume_are_answered(vit):
    pixels = np.random.default_rng(0).integers(0, 255, (2, 40, 50, 3)).astype(np.uint8)
    store, answers = open_store(None, vit, Image(pixels)), Answers()
    asked = Asked(Point(1, 20.5, 20.5), None)
    list(ask(vit, store, 1, [asked], answers))
    assert answers.found[asked].mask.start[0] == 1
