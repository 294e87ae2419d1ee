import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsam_nb.core import Box, Delta, LabelError, Labels, Mask, Overlap, PromptError

SHAPE = (2, 6, 7)


def square(y0, x0, y1, x1, plane=0):
    return Mask((plane, y0, x0), np.ones((1, y1 - y0, x1 - x0), bool))


def known(labels):
    """What the labels know without looking is what is there."""
    there = [int(n) for n in np.unique(labels.volume) if n]
    assert sorted(labels) == there
    assert labels.count() == len(there)
    assert labels.covered() == np.count_nonzero(labels.volume)
    for n in there:
        mask = Mask.crop(labels.volume == n)
        assert (labels.area(n), labels.box(n), labels.mask(n)) == (mask.area, mask.box, mask)
        assert n in labels


@st.composite
def masks(draw):
    volume = draw(st.lists(st.booleans(), min_size=84, max_size=84))
    return Mask.crop(np.array(volume).reshape(SHAPE))


def test_new_labels_are_background_and_read_only():
    labels = Labels(SHAPE)
    assert labels.shape == SHAPE
    assert labels.volume.dtype == np.uint32
    assert not labels.volume.any()
    with pytest.raises(ValueError, match="read-only"):
        labels.volume[0, 0, 0] = 1


def test_paint_only_decides_and_apply_writes():
    labels = Labels(SHAPE)
    delta = labels.paint(square(1, 1, 3, 4), 5)
    assert not labels.volume.any()
    labels.apply(delta)
    assert (labels.volume == 5).sum() == 6
    assert labels.count() == 1
    assert delta.where == Box((0, 1, 1), (1, 3, 4))


def test_existing_objects_are_kept_unless_said_otherwise():
    labels = Labels(SHAPE)
    labels.apply(labels.paint(square(0, 0, 3, 3), 1))
    kept = labels.paint(square(2, 2, 5, 5), 2)
    replaced = labels.paint(square(2, 2, 5, 5), 2, Overlap.REPLACE)
    labels.apply(kept)
    assert labels.volume[0, 2, 2] == 1
    assert (labels.volume == 1).sum() == 9
    labels.apply(kept.reverse())
    labels.apply(replaced)
    assert labels.volume[0, 2, 2] == 2
    assert (labels.volume == 1).sum() == 8


def test_a_covered_object_is_refused_with_the_way_out():
    labels = Labels(SHAPE)
    labels.apply(labels.paint(square(0, 0, 4, 4), 1))
    with pytest.raises(PromptError) as error:
        labels.paint(square(1, 1, 3, 3), 2)
    assert "choose to replace" in error.value.remedy
    labels.apply(labels.paint(square(1, 1, 3, 3), 2, Overlap.REPLACE))
    assert labels.count() == 2


def test_an_empty_mask_paints_nothing():
    with pytest.raises(PromptError):
        Labels(SHAPE).paint(Mask.crop(np.zeros((6, 7), bool)), 1)


@pytest.mark.parametrize("start", [(0, 5, 5), (2, 0, 0), (0, -1, 0), (0, -4, -4), (-1, 0, 0)])
def test_a_mask_beyond_the_image_is_refused(start):
    labels = Labels(SHAPE)
    with pytest.raises(PromptError) as error:
        labels.paint(Mask(start, np.ones((1, 3, 3), bool)), 1)
    assert "made for this image" in error.value.remedy


def test_a_write_from_another_state_is_refused_and_changes_nothing():
    labels = Labels(SHAPE)
    delta = labels.paint(square(0, 0, 3, 3), 1)
    labels.apply(delta)
    before = labels.volume.copy()
    with pytest.raises(ValueError, match="replay the journal"):
        labels.apply(delta)
    assert np.array_equal(labels.volume, before)


@given(st.lists(st.tuples(masks(), st.sampled_from(Overlap)), max_size=6))
def test_writes_reverse_in_order_and_run_again(paints):
    labels, done, seen = Labels(SHAPE), [], []
    for number, (mask, overlap) in enumerate(paints, start=1):
        old, dense = labels.volume.copy(), mask.dense(SHAPE)
        try:
            delta = labels.paint(mask, number, overlap)
        except PromptError:
            assert not (dense & (old == 0)).any()
            continue
        labels.apply(delta)
        wanted = dense & (old == 0) if overlap is Overlap.KEEP else dense
        left = np.where(np.isin(old, np.setdiff1d(old[dense], [0])), 0, old) if overlap is Overlap.WHOLE else old
        assert np.array_equal(labels.volume, np.where(wanted, number, left))
        known(labels)
        done.append(delta)
        seen.append(old)
    last = labels.volume.copy()
    for delta, old in zip(reversed(done), reversed(seen), strict=True):
        labels.apply(delta.reverse())
        assert np.array_equal(labels.volume, old)
        known(labels)
    assert not labels.volume.any()
    for delta in done:
        labels.apply(delta)
    assert np.array_equal(labels.volume, last)


def test_a_delta_is_packed():
    crop = np.zeros((1, 500, 500), np.uint32)
    delta = Delta.between(Box((0, 0, 0), crop.shape), crop, crop + 1)
    assert 0 < delta.nbytes < crop.nbytes / 50
    assert delta.reverse().reverse() == delta


@pytest.mark.parametrize("label", [1, 2**16, 2**31, 2**32 - 1])
def test_huge_numbers_are_kept_and_undone(label):
    labels = Labels(SHAPE)
    delta = labels.paint(square(1, 1, 3, 4), label)
    labels.apply(delta)
    assert labels.volume.max() == label
    assert labels.mask(label) == square(1, 1, 3, 4)
    labels.apply(delta.reverse())
    assert not labels.volume.any()


@pytest.mark.parametrize("label", [0, -1, 2**32, 2**40])
def test_a_number_that_no_pixel_can_hold_is_refused(label):
    labels = Labels(SHAPE)
    with pytest.raises(LabelError) as error:
        labels.paint(square(1, 1, 3, 4), label)
    assert error.value.remedy == "Use a number from 1 to 4294967295."
    for verb in (labels.mask, labels.erase):
        with pytest.raises(LabelError) as error:
            verb(label)
        assert "committed object" in error.value.remedy


def test_free_numbers():
    assert Labels(SHAPE).free_id == 1
    assert Labels.of(np.array([[0, 7], [3, 0]])).free_id == 8
    with pytest.raises(LabelError) as error:
        Labels.of(np.full((2, 2), 2**32 - 1)).free_id  # noqa: B018
    assert "Renumber" in error.value.remedy


@given(st.lists(masks(), min_size=1, max_size=4))
def test_erasing_takes_one_object_and_can_be_undone(paints):
    labels = Labels(SHAPE)
    for number, mask in enumerate(paints, start=1):
        if mask.area:
            labels.apply(labels.paint(mask, number, Overlap.REPLACE))
    for number in np.unique(labels.volume)[1:] if not labels.volume.all() else np.unique(labels.volume):
        before = labels.volume.copy()
        delta = labels.erase(int(number))
        labels.apply(delta)
        assert np.array_equal(labels.volume, np.where(before == number, 0, before))
        labels.apply(delta.reverse())
        assert np.array_equal(labels.volume, before)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, ">u4", np.uint64, np.int64])
def test_labels_of_an_array(dtype):
    array = (np.arange(12).reshape(3, 4) % 2).astype(dtype)
    array.flags.writeable = False
    labels = Labels.of(array[:, ::-1])
    assert labels.shape == (1, 3, 4)
    assert labels.volume.dtype == np.uint32
    assert np.array_equal(labels.volume[0], array[:, ::-1])
    assert Labels.of(np.zeros((2, 3, 4), int)).shape == (2, 3, 4)


@pytest.mark.parametrize(
    ("array", "remedy"),
    [
        (np.zeros(4, int), "(plane, y, x)"),
        (np.zeros((1, 2, 3, 4), int), "(plane, y, x)"),
        (np.zeros((3, 4)), "such as uint32"),
        (np.full((3, 4), -1), "from 0 to 4294967295"),
        (np.full((3, 4), 2**32), "from 0 to 4294967295"),
    ],
)
def test_what_are_no_labels(array, remedy):
    with pytest.raises(LabelError) as error:
        Labels.of(array)
    assert remedy in error.value.remedy


@pytest.mark.parametrize("largest", [3, 40, 5000, 2**31, 2**32 - 1])
@pytest.mark.parametrize("background", [True, False])
def test_the_index_of_an_array(largest, background):
    random = np.random.default_rng(largest)
    array = random.integers(1, largest, (3, 40, 50), endpoint=True).astype(np.uint32)
    array[0, 0, 0] = largest
    if background:
        array[random.random(array.shape) < 0.7] = 0
    known(Labels.of(array))


@pytest.mark.parametrize("largest", [3, 12, 2**32 - 1])
def test_a_write_of_everything_is_indexed_and_undone(largest):
    random = np.random.default_rng(0)
    labels = Labels.of(random.integers(0, 5, (2, 40, 50)))
    before = labels.volume.copy()
    after = random.integers(0, largest, before.shape, endpoint=True).astype(np.uint32)
    delta = labels.change(Box((0, 0, 0), before.shape), after)
    labels.apply(delta)
    assert np.array_equal(labels.volume, after)
    known(labels)
    labels.apply(delta.reverse())
    assert np.array_equal(labels.volume, before)
    known(labels)


def test_few_objects_in_a_wide_write_get_their_own_boxes():
    after = np.zeros((2, 1024, 1024), np.uint32)
    after[1, 10:20, 30:40], after[0, 900:1000, 5:9] = 1, 2
    labels = Labels(after.shape)
    labels.apply(labels.change(Box((0, 0, 0), after.shape), after))
    assert all(labels._known[n].exact for n in (1, 2))  # no look at the whole volume is left to do
    known(labels)


def test_a_write_that_changes_nothing_is_empty():
    labels = Labels.of(np.eye(4, dtype=int))
    same = labels.change(Box((0, 0, 0), (1, 4, 4)), labels.volume)
    assert same.empty
    assert not labels.erase(1).empty
    labels.apply(same)
    assert same.numbers(before=True) == same.numbers(before=False) == []
    known(labels)


def test_whole_objects_go_and_come_back():
    labels = Labels(SHAPE)
    labels.apply(labels.paint(square(0, 0, 3, 3), 1))
    labels.apply(labels.paint(square(0, 4, 3, 7), 2))
    labels.apply(labels.paint(square(5, 0, 6, 2), 3))
    before = labels.volume.copy()
    delta = labels.paint(square(2, 2, 5, 5), 9, Overlap.WHOLE)
    labels.apply(delta)
    assert sorted(labels) == [3, 9]
    assert delta.numbers(before=True) == [1, 2]
    assert delta.numbers(before=False) == [9]
    known(labels)
    labels.apply(delta.reverse())
    assert np.array_equal(labels.volume, before)
    known(labels)


def test_an_overlap_may_be_given_by_its_name():
    labels = Labels(SHAPE)
    labels.apply(labels.paint(square(0, 0, 3, 3), 1))
    assert labels.paint(square(2, 2, 5, 5), 2, "keep existing") == labels.paint(square(2, 2, 5, 5), 2)
    with pytest.raises(ValueError, match="merge"):
        labels.paint(square(2, 2, 5, 5), 2, "merge")


def test_objects_join():
    labels = Labels.of(np.array([[1, 1, 0, 2], [0, 0, 0, 2], [3, 0, 0, 0]]))
    labels.apply(labels.renumber(2, 1))
    assert labels.area(1) == 4
    known(labels)
    with pytest.raises(LabelError, match="committed object"):
        labels.renumber(2, 1)


@pytest.mark.parametrize(
    ("y", "x", "plane", "label"), [(1.9, 0.0, 0, 4), (-0.1, 0, 0, 0), (0, 2.0, 0, 0), (1, 0, 1, 0)]
)
def test_what_lies_at_a_place(y, x, plane, label):
    assert Labels.of(np.array([[0, 1], [4, 0]])).at(plane, y, x) == label


def test_an_index_is_not_asked_for_the_volume(monkeypatch):
    """A commit must not cost more in a larger volume."""
    labels = Labels((40, 300, 300))
    labels.apply(labels.paint(Mask((3, 5, 5), np.ones((2, 9, 9), bool)), 1))
    looked = []
    real = Mask.crop
    monkeypatch.setattr(
        Mask, "crop", classmethod(lambda cls, a, start=(0, 0, 0): looked.append(a.size) or real(a, start))
    )
    labels.apply(labels.paint(Mask((3, 8, 8), np.ones((2, 9, 9), bool)), 2, Overlap.REPLACE))
    assert labels.box(1) == Box((3, 5, 5), (5, 14, 14))
    labels.apply(labels.erase(1))
    assert max(looked) <= 2 * 12 * 12
