"""How much a history remembers: all that its steps hold counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from microsam_nb.core import Lineage, Mask
from microsam_nb.session.history import History, Step
from microsam_nb.session.state import Agreement, State


def lineage(number):
    return Lineage({**dict.fromkeys(range(1, 2000), ()), 2000 + number: ()})


def sections(number):
    return tuple(Agreement(number, plane, 0.9, 0.9) for plane in range(2000))


def rejected(number):
    bitmap = np.ones((1, 500, 500), bool)
    bitmap[0, 0, number] = False
    return (Mask((0, 0, 0), bitmap),)


@pytest.mark.parametrize("make", [lineage, sections, rejected])
def test_what_steps_hold_is_counted_once_and_the_oldest_are_forgotten(make):
    name, state = make.__name__, State()
    history = History(state, capacity=1_200_000)
    history.push(Step(replace(state, **{name: make(0)})))
    once = history.nbytes
    assert once > 200_000
    # An equal one, as a journal that is read again makes it.
    history.push(Step(replace(state, **{name: make(0)})))
    assert history.nbytes == once
    for number in range(1, 20):
        history.push(Step(replace(state, **{name: make(number)})))
    assert history.nbytes <= 1_200_000
    steps = 0
    while history.can_undo:
        history.back()
        steps += 1
    assert 1 <= steps < 10
    history.push(Step(state))
    assert history.nbytes in (0, once * 1), "what was undone is forgotten"
