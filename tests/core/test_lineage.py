"""Tracks and their daughters."""

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsam_nb.core import Lineage, LineageError

FAMILY = Lineage({1: (2, 3), 2: (4, 5, 6), 7: ()})


@st.composite
def lineages(draw):
    """A forest: every track may descend from one with a smaller rank."""
    ids = draw(st.lists(st.integers(1, 60), unique=True, max_size=12))
    daughters = {track: [] for track in ids}
    for rank, track in enumerate(ids[1:], start=1):
        mother = draw(st.one_of(st.none(), st.sampled_from(ids[:rank])))
        if mother is not None:
            daughters[mother].append(track)
    return Lineage(daughters)


def test_what_is_related_to_what():
    assert dict(FAMILY.daughters) == {1: (2, 3), 2: (4, 5, 6), 3: (), 4: (), 5: (), 6: (), 7: ()}
    assert FAMILY.parents == {2: 1, 3: 1, 4: 2, 5: 2, 6: 2}
    assert FAMILY.roots == (1, 7)
    assert FAMILY.children(2) == (4, 5, 6)
    assert FAMILY.parent(5) == 2
    assert FAMILY.parent(7) is None
    assert FAMILY.descendants(1) == (2, 3, 4, 5, 6)
    assert [FAMILY.generation(t) for t in (1, 3, 6)] == [0, 1, 2]
    assert FAMILY.free_id == 8
    assert 5 in FAMILY
    assert 9 not in FAMILY
    assert list(FAMILY) == [1, 2, 3, 4, 5, 6, 7]
    assert len(FAMILY) == 7


def test_an_empty_lineage():
    empty = Lineage()
    assert (len(empty), empty.roots, empty.free_id) == (0, (), 1)
    assert empty.add(4).roots == (4,)


def test_daughters_of_a_later_generation_get_ids_of_their_own():
    lineage = Lineage().add(1).divide(1)
    assert lineage.children(1) == (2, 3)
    again = lineage.divide(2)
    assert again.children(2) == (4, 5)
    assert again.parent(3) == 1
    assert lineage.children(2) == (), "the old lineage does not change"


def test_any_number_of_daughters_new_or_known():
    lineage = Lineage({1: (), 5: (6,)}).divide(1, [5]).divide(1, [8, 9])
    assert lineage.children(1) == (5, 8, 9)
    assert lineage.generation(6) == 2


def test_a_lineage_cannot_be_written():
    with pytest.raises(TypeError):
        FAMILY.daughters[1] = ()
    source = {1: [2]}
    lineage = Lineage(source)
    source[1].append(3)
    assert lineage.children(1) == (2,)


def test_cut_reparent_join_remove():
    assert FAMILY.cut(2).roots == (1, 2, 7)
    assert FAMILY.cut(2).children(2) == (4, 5, 6)
    assert FAMILY.reparent(2, 7).children(7) == (2,)
    assert FAMILY.reparent(2, 7).children(1) == (3,)
    assert FAMILY.reparent(7, 3).parent(7) == 3
    joined = FAMILY.join(7, 1)
    assert joined.children(7) == (2, 3)
    assert 1 not in joined
    alone = Lineage({1: (2,), 2: (3, 4)})
    assert alone.join(1, 2) == Lineage({1: (3, 4)}), "an only daughter is its mother's later part"
    removed = FAMILY.remove(2)
    assert removed.roots == (1, 4, 5, 6, 7)
    assert removed.children(1) == (3,)
    assert FAMILY.remove(2, 3).children(1) == ()


@pytest.mark.parametrize(
    ("broken", "remedy"),
    [
        (lambda: Lineage({1: (3,), 2: (3,)}), "cut(3)"),
        (lambda: Lineage({1: (1,)}), "no descendant"),
        (lambda: Lineage({1: (2,), 2: (3,), 3: (1,), 4: ()}), "no descendant"),
        (lambda: Lineage({0: ()}), "from 1 to 4294967295"),
        (lambda: Lineage({2**32: ()}), "from 1 to 4294967295"),
        (lambda: Lineage({1: (2.5,)}), "whole numbers"),
        (lambda: Lineage({True: ()}), "whole numbers"),
        (lambda: Lineage({"1": ()}), "whole numbers"),
        (lambda: FAMILY.add(2), "free id 8"),
        (lambda: FAMILY.divide(9), "add(9)"),
        (lambda: FAMILY.divide(3, []), "Name its daughters"),
        (lambda: FAMILY.divide(3, [4]), "free id 8, or reparent(4, 3)"),
        (lambda: FAMILY.divide(2, [1]), "no descendant"),
        (lambda: FAMILY.divide(7, [7]), "no descendant"),
        (lambda: FAMILY.cut(1), "nothing to cut"),
        (lambda: FAMILY.reparent(1, 4), "no descendant"),
        (lambda: FAMILY.join(1, 7), "Cut its daughters first"),
        (lambda: FAMILY.join(7, 2), "cut(2)"),
        (lambda: FAMILY.join(7, 7), "two tracks"),
        (lambda: FAMILY.join(7, 9), "add(9)"),
        (lambda: FAMILY.remove(9), "add(9)"),
        (lambda: FAMILY.generation(9), "add(9)"),
        (lambda: FAMILY.descendants(9), "add(9)"),
        (lambda: Lineage({2**32 - 1: ()}).divide(2**32 - 1), "Renumber"),
        (lambda: Lineage.from_json({"a": []}), '{"1": [2, 3]}'),
        (lambda: Lineage.from_json({"1": 2}), '{"1": [2, 3]}'),
        (lambda: Lineage.from_json([1]), '{"1": [2, 3]}'),
        (lambda: Lineage.from_json({"1": ["2"]}), "whole numbers"),
    ],
)
def test_what_cannot_be_says_what_can(broken, remedy):
    with pytest.raises(LineageError) as error:
        broken()
    assert remedy in error.value.remedy


@given(lineages())
def test_round_trips_and_copies(lineage):
    assert Lineage.from_json(json.loads(json.dumps(lineage.to_json()))) == lineage
    for other in (pickle.loads(pickle.dumps(lineage)), copy.deepcopy(lineage)):
        assert other == lineage
        assert hash(other) == hash(lineage)


@given(lineages(), st.data())
def test_cut_and_reparent_undo_each_other(lineage, data):
    if not lineage.parents:
        return
    track = data.draw(st.sampled_from(sorted(lineage.parents)))
    mother = lineage.parent(track)
    assert lineage.cut(track).reparent(track, mother) == lineage
    assert set(lineage.cut(track)) == set(lineage)


@given(lineages())
def test_every_track_descends_from_exactly_one_root(lineage):
    trees = [(root, *lineage.descendants(root)) for root in lineage.roots]
    assert sorted(track for tree in trees for track in tree) == sorted(lineage)


def test_a_long_chain_needs_no_recursion():
    chain = Lineage({i: (i + 1,) for i in range(1, 20_000)})
    assert chain.generation(20_000) == 19_999
    assert len(chain.descendants(1)) == 19_999


def test_numbers_of_numpy_are_ids():
    assert Lineage({np.uint32(1): (np.int64(2),)}) == Lineage({1: (2,)})
