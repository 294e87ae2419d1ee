"""Requests for all objects with the real engine, as an annotator makes them."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from microsam_nb.annotators import automatic as module
from microsam_nb.annotators.automatic import AutomaticService
from microsam_nb.annotators.service import EngineService
from microsam_nb.core import Image, ModelError, SettingsError
from microsam_nb.engine import open_store
from microsam_nb.engine.automatic import Segmenter
from microsam_nb.session import (
    AcceptCandidates,
    Automatic,
    Cancel,
    FindAll,
    Fit,
    FitAll,
    Runner,
    SegmentAll,
    Session,
    Setting,
    Sketched,
    Suggested,
    Surveyed,
    Undo,
    Working,
)


@pytest.fixture(scope="module")
def discs():
    """Bright discs on noise, uint8 (140, 180), and how many."""
    y, x = np.indices((140, 180)) + 0.5
    pixels = np.random.default_rng(0).normal(40, 6, (140, 180))
    places = [(25, 25), (30, 80), (28, 140), (80, 40), (85, 100), (110, 150)]
    for cy, cx in places:
        pixels[np.hypot(y - cy, x - cx) < 13] += 120
    return pixels.clip(0, 255).astype(np.uint8), len(places)


@pytest.fixture
def asked(nano, discs):
    """``asked(request)`` lists the actions that answer it; one service for all."""
    service, store = AutomaticService(None), open_store(None, nano, Image(discs[0]))

    def ask(request):
        work = service.segment if isinstance(request, SegmentAll) else service.fit
        return [one for one in work(nano, store, request) if not isinstance(one, Working)]

    ask.service, ask.store = service, store
    return ask


@pytest.fixture
def annotating(nano, discs, tmp_path):
    """A session and its runner."""
    session = Session((1, *discs[0].shape))
    runner = Runner(session, EngineService(Image(discs[0]), nano, folder=tmp_path))
    yield session, runner
    runner.close()


def test_all_objects_are_found_with_the_settings_that_suit_the_model(asked, discs):
    survey, found = asked(SegmentAll(3, 0, "auto"))
    assert isinstance(survey, Surveyed)
    assert isinstance(found, Suggested)
    assert found.ticket == 3
    assert len(found.candidates) == discs[1] == len(survey.areas)
    assert found.automatic.mode == "ais"
    assert Setting("center_distance", 0.6) in found.automatic.options
    assert all(0.5 < one.score <= 1 for one in found.candidates)


def test_another_threshold_needs_no_model(asked, nano, discs, monkeypatch):
    asked(SegmentAll(1, 0, "ais"))
    from microsam_nb.engine.automatic import maps

    monkeypatch.setattr(maps, "look_at", None)
    (sketch,) = asked(SegmentAll(2, 0, "ais", (Setting("min_size", 5000.0),), final=False))
    assert sketch == Sketched(2, ())
    _, found = asked(SegmentAll(3, 0, "ais", (Setting("min_size", 100.0),)))
    assert len(found.candidates) == discs[1]


def test_a_search_that_was_left_goes_on_where_it_was(asked, nano, monkeypatch):
    from microsam_nb.engine.automatic import maps

    looks = []
    real = maps.look_at
    monkeypatch.setattr(maps, "look_at", lambda *given: looks.append(1) or real(*given))
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    whole = AutomaticService(None)
    list(whole.segment(nano, open_store(None, nano, asked.store._source.image), SegmentAll(1, 0, "ais")))
    needed, looks[:] = len(looks), []
    steps = asked.service.segment(nano, asked.store, SegmentAll(1, 0, "ais"))
    for _ in range(3):
        next(steps)
    steps.close()
    assert 0 < len(looks) < needed
    asked(SegmentAll(2, 0, "ais", (Setting("min_size", 100.0),)))
    assert len(looks) == needed


def test_settings_of_another_method_are_no_mistake(asked):
    *_, found = asked(SegmentAll(1, 0, "ais", (Setting("pred_iou", 0.9), Setting("min_size", 30.0))))
    assert Setting("min_size", 30.0) in found.automatic.options


@pytest.mark.parametrize(
    ("options", "remedy"),
    [((Setting("foreground", 7.0),), "from 0.0 to 1.0"), ((Setting("min_size", -1.0),), "from 0")],
)
def test_impossible_settings_say_what_is_possible(asked, options, remedy):
    with pytest.raises(SettingsError, match=remedy):
        asked(SegmentAll(1, 0, "ais", options))


def test_a_model_without_decoder_names_those_that_have_one(asked, nano, discs):
    blind = replace(nano, distances=None)
    with pytest.raises(ModelError, match="vit_b_lm"):
        list(asked.service.segment(blind, open_store(None, blind, Image(discs[0])), SegmentAll(1, 0, "ais")))


def test_settings_are_fitted_to_some_of_the_objects(asked, discs):
    *_, first = asked(SegmentAll(1, 0, "ais"))
    labels = np.zeros(discs[0].shape, np.uint32)
    for number, one in enumerate(first.candidates[:2], start=1):
        labels[one.mask.dense((1, *labels.shape))[0]] = number
    bad = (Setting("foreground", 0.95), Setting("center_distance", 0.1), Setting("boundary_distance", 0.1))
    _, found = asked(Fit(2, 0, "ais", bad, labels))
    assert found.about.startswith("Fitted: mean IoU with your objects")
    options = {one.name: one.value for one in found.automatic.options}
    assert options["foreground"] < 0.95
    assert len(found.candidates) == discs[1]


def test_a_session_finds_sketches_accepts_and_undoes(annotating, discs):
    session, runner = annotating
    session.handle(FindAll())
    runner.wait()
    assert len(session.state.candidates) == discs[1]
    session.handle(FindAll("ais", (Setting("max_size", 10.0),), final=False))
    runner.wait()
    assert session.suggested == ()
    session.handle(FindAll.again(session.state))
    runner.wait()
    session.handle(AcceptCandidates((0, 1)))
    session.handle(FitAll())
    runner.wait()
    assert len(session.state.candidates) == discs[1] - 2
    assert session.work is None
    for _ in range(4):
        session.handle(Undo())
    assert session.labels.count() == 0
    assert session.state.automatic is None


def test_a_search_is_cancelled_between_two_windows(annotating, monkeypatch):
    from microsam_nb.engine.automatic import maps

    session, runner = annotating
    runner.wait()
    looks = []
    real = maps.look_at

    def slow(*given):
        looks.append(time.sleep(0.05))
        return real(*given)

    monkeypatch.setattr(maps, "look_at", slow)
    session.handle(FindAll())
    while not looks:
        time.sleep(0.01)
    session.handle(Cancel())
    runner.wait()
    count = len(looks)
    time.sleep(0.2)
    assert len(looks) == count
    assert not session.state.candidates
    assert session.work is None


def test_a_failure_is_said_and_the_next_search_works(annotating, monkeypatch, discs):
    session, runner = annotating
    session.handle(FindAll("dance"))
    runner.wait()
    assert session.notice.error
    assert "amg" in session.notice.text
    monkeypatch.setattr(Segmenter, "labels", lambda *_: 1 / 0)
    session.handle(FindAll())
    runner.wait()
    assert session.notice.error
    monkeypatch.undo()
    session.handle(FindAll())
    runner.wait()
    assert len(session.state.candidates) == discs[1]


def test_results_of_the_model_lie_in_the_project(annotating, tmp_path):
    session, runner = annotating
    session.handle(FindAll())
    runner.wait()
    (folder,) = tmp_path.glob("automatic-nano-*.zarr")
    assert list((folder / "automatic" / "maps").iterdir())
    assert session.state.automatic == Automatic("ais", session.state.automatic.options, "nano")
    assert FindAll.again(session.state, "vit_b_lm (v4)") == FindAll(), "another model, other settings"
    assert FindAll.again(session.state, "nano").options == session.state.automatic.options
