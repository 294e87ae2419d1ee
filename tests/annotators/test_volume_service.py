"""Volumes with the real engine: objects through planes, corrections, embeddings in the background."""

from __future__ import annotations

import copy
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from microsam_nb import annotate_2d, annotate_3d
from microsam_nb.annotators import answers as asking
from microsam_nb.annotators import service as module
from microsam_nb.annotators.service import EngineService
from microsam_nb.core import Image, ImageError, Mask, MaskPrompt, Point
from microsam_nb.engine import ModelSpec
from microsam_nb.session import (
    AcceptCandidates,
    AddPoint,
    Commit,
    Embed,
    Embedded,
    Extend,
    Extended,
    ExtendObject,
    FindAll,
    Predict,
    Predicted,
    Redo,
    SetPlane,
    Undo,
    Working,
)

SIZE = 96


@pytest.fixture(scope="module")
def ball():
    """A bright ball of radius 20 around (8, 48, 44) whose planes are 4 pixels apart, as an image and as truth."""
    rng = np.random.default_rng(0)
    z, y, x = np.ogrid[:16, :SIZE, :SIZE]
    truth = (4 * (z - 8)) ** 2 + (y - 48) ** 2 + (x - 44) ** 2 <= 20**2
    pixels = (rng.normal(30, 4, truth.shape) + 90 * truth).clip(0, 255).astype(np.uint8)
    return Image(pixels, "zyx", "ball"), truth


@pytest.fixture
def opened(ball):
    one = annotate_3d(ball[0], project=False)
    yield one
    one.close()


@pytest.fixture
def other(random_nano):
    """A model that encodes whole planes, as segment-anything's do."""
    return replace(random_nano, spec=ModelSpec("other", "vit_t", "xxh128:0123456789abcdef"))


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def in_hand(one, shape):
    return one.session.state.proposal.mask.dense(shape)


def test_one_click_becomes_an_object_and_can_be_corrected_committed_undone_and_redone(opened, ball):
    _, truth = ball
    handle = opened.session.handle
    handle(SetPlane(8))
    handle(AddPoint(48, 44, plane=8))
    opened.wait()
    assert iou(in_hand(opened, truth.shape)[8], truth[8]) > 0.8
    assert not in_hand(opened, truth.shape)[7].any()
    handle(ExtendObject())
    opened.wait()
    found = in_hand(opened, truth.shape)
    assert iou(found, truth) > 0.75
    assert "planes" in opened.session.notice.text
    handle(SetPlane(10))
    handle(AddPoint(48, 44, plane=10))
    opened.wait()
    assert iou(in_hand(opened, truth.shape), truth) > 0.75
    handle(Commit())
    assert iou(opened.labels == 1, truth) > 0.75
    handle(Undo())
    assert not opened.labels.any()
    handle(Redo())
    assert opened.labels.max() == 1
    assert opened.labels.shape == truth.shape


def test_what_is_found_comes_bit_by_bit_and_can_be_left(ball, random_nano, monkeypatch):
    image, truth = ball
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    service = EngineService(image, random_nano)
    seed = Mask.crop(truth[8][None], (8, 0, 0))
    request = Extend(3, ((seed,),), (seed,))
    answers = [one for one in service(request) if isinstance(one, Extended)]
    assert all(one.ticket == 3 for one in answers)
    assert [one.final for one in answers] == [False] * (len(answers) - 1) + [True]
    steps = service(request)
    next(one for one in steps if isinstance(one, Working))
    steps.close()


def test_a_correction_is_read_together_with_what_the_object_is_in_that_plane(ball, random_nano, monkeypatch):
    image, truth = ball
    seen = []
    real = asking.correct_many

    def spy(model, source, objects, masks, **more):
        seen.extend(zip(objects, masks, strict=True))
        return real(model, source, objects, masks, **more)

    monkeypatch.setattr(asking, "correct_many", spy)
    service = EngineService(image, random_nano)
    base, click = Mask.crop(truth[9][None], (9, 0, 0)), Point(9, 48.0, 44.0)
    list(service(Predict(1, ((click,),), None, 9, (base,))))
    assert seen == [((click,), base)]
    other = Mask.crop(truth[12][None], (9, 0, 0))
    list(service(Predict(2, ((click,),), None, 9, (other,))))
    assert seen[1] == ((click,), other)


def test_other_models_get_what_the_object_is_as_a_mask(ball, other, monkeypatch):
    image, truth = ball
    seen = []
    real = module.predict_stepwise

    def spy(model, source, prompts, **more):
        seen.append(tuple(prompts))
        return real(model, source, prompts, **more)

    monkeypatch.setattr(module, "predict_stepwise", spy)
    base, click = Mask.crop(truth[9][None], (9, 0, 0)), Point(9, 48.0, 44.0)
    list(EngineService(image, other)(Predict(1, ((click,),), None, 9, (base,))))
    assert seen == [(MaskPrompt(base), click)]


def test_other_planes_are_encoded_afterwards_the_nearest_first(ball, other, tmp_path):
    image, _ = ball
    service = EngineService(image, other, folder=tmp_path)
    list(service(Embed(5)))  # the model is announced
    steps = service(Embed(5))
    first = next(one for one in steps if isinstance(one, Embedded))
    store = service._ready()[1]
    assert first.plane == 5
    assert [store.has(plane) for plane in range(16)] == [plane == 5 for plane in range(16)]
    for _ in range(3):
        next(steps)
    assert {plane for plane in range(16) if store.has(plane)} <= {3, 4, 5, 6, 7}
    list(steps)
    assert all(store.has(plane) for plane in range(16))


@pytest.fixture
def by_blocks(other):
    """``other`` with an encoder that can be left three times; ``steps_taken`` says where it was."""
    sam = copy.copy(other.sam)
    sam._modules = dict(sam._modules)

    class Blocks(torch.nn.Module):
        img_size, steps_taken, then = sam.image_encoder.img_size, [], staticmethod(lambda number: None)

        def forward(self, x):
            return sam_encoder(x)

        def steps(self, x):
            for number in range(3):
                self.steps_taken.append(number)
                self.then(number)
                yield
            return self(x)

    sam_encoder, sam.image_encoder = sam.image_encoder, Blocks()
    return replace(other, sam=sam)


def test_a_click_is_answered_in_the_middle_of_an_encoding(ball, by_blocks, monkeypatch):
    service = EngineService(ball[0], by_blocks)
    list(service(Embed(5)))  # the model is announced
    work = service(Embed(5))
    next(one for one in work if isinstance(one, Embedded))
    store, order, clicks = service._ready()[1], [], []

    def click():
        found = list(service(Predict(1, ((Point(5, 48.0, 44.0),),))))
        order.append((type(found[-1]), [plane for plane in range(16) if store.has(plane)]))

    def then(number):
        order.append(number)
        if number == 1 and not clicks:
            clicks.append(threading.Thread(target=click))
            clicks[0].start()
            while not module.compute._urgent:
                pass

    monkeypatch.setattr(by_blocks.sam.image_encoder, "then", then, raising=False)
    for _ in work:
        if clicks:
            clicks[0].join(30)
    assert order[:4] == [0, 1, (Predicted, [5]), 2]
    assert all(store.has(plane) for plane in range(16))


def test_a_plane_that_is_left_in_the_middle_is_gone_on_with(ball, by_blocks, monkeypatch):
    monkeypatch.setattr("microsam_nb.annotators.compute._TOGETHER", 0)
    service = EngineService(ball[0], by_blocks)
    list(service(Embed(5)))  # the model is announced
    work, taken = service(Embed(5)), by_blocks.sam.image_encoder.steps_taken
    taken.clear()
    assert [type(next(work)) for _ in range(3)] == [Working] * 3
    store = service._ready()[1]
    work.close()
    module.compute.call(lambda: None)  # what was left is closed there
    assert taken == [0, 1]
    assert not any(store.has(plane) for plane in range(16))
    again = service(Embed(5))
    next(one for one in again if isinstance(one, Embedded))
    assert taken == [0, 1, 2]
    assert store.has(5)


def test_a_projection_is_left_between_the_blocks_of_a_plane(ball, by_blocks):
    image, truth = ball
    service = EngineService(image, by_blocks)
    list(service(Embed(8)))  # the model is announced
    seed = Mask.crop(truth[8][None], (8, 0, 0))
    taken = by_blocks.sam.image_encoder.steps_taken
    taken.clear()
    steps = service(Extend(3, ((seed,),), (seed,)))
    assert [next(steps).ticket for _ in range(2)] == [3, 3]
    assert taken == [0, 1]
    steps.close()
    module.compute.call(lambda: None)  # what was left is closed there
    assert not any(service._ready()[1].has(plane) for plane in (7, 9))


def test_ready_is_said_once_not_in_every_plane(ball, random_nano):
    service = EngineService(ball[0], random_nano)
    said = [one for plane in (5, 5, 6, 7) for one in service(Embed(plane)) if isinstance(one, Embedded)]
    assert len(said) == 1


def test_the_doors_send_images_to_each_other(ball):
    with pytest.raises(ImageError, match=r"Open it with annotate_2d\(image\)"):
        annotate_3d(np.zeros((8, 8), np.uint8))
    with pytest.raises(ImageError, match=r"annotate_3d\(image\)"):
        annotate_2d(ball[0])


def test_four_axes_are_refused_with_what_to_pick():
    with pytest.raises(ImageError, match=r"for example image\[0\] or image\[:, 0\]"):
        annotate_3d(np.zeros((5, 6, 7, 8), np.uint8))


def test_a_volume_of_one_plane_opens_without_planes():
    one = annotate_3d(np.zeros((1, 40, 40), np.uint8), axes="zyx", project=False)
    assert one.labels.shape == (1, 40, 40)
    one.close()


def test_all_objects_of_all_planes_become_candidates_through_the_planes():
    rng = np.random.default_rng(1)
    z, y, x = np.ogrid[:12, :SIZE, :SIZE]
    truth = np.zeros((12, SIZE, SIZE), np.uint32)
    for number, (a, b, c) in enumerate([(5, 24, 24), (6, 70, 30), (5, 50, 72)], start=1):
        truth[(3 * (z - a)) ** 2 + (y - b) ** 2 + (x - c) ** 2 <= 13**2] = number
    pixels = (rng.normal(30, 4, truth.shape) + 100 * (truth > 0)).clip(0, 255).astype(np.uint8)
    one = annotate_3d(Image(pixels, "zyx", "three"), project=False)
    one.session.handle(FindAll(volume=True))
    one.wait(120)
    state = one.session.state
    assert state.automatic.volume
    matched = 0
    for number in (1, 2, 3):
        known = truth == number
        best = max(state.candidates, key=lambda c: (c.mask.dense(truth.shape) & known).sum())
        matched += iou(best.mask.dense(truth.shape), known) > 0.6
        assert 0 < best.score <= 1
    assert matched == 3
    one.session.handle(AcceptCandidates())
    assert one.session.labels.count() == len(state.candidates)
    one.session.handle(Undo())
    assert one.session.labels.count() == 0
    one.close()


def test_a_volume_too_large_for_that_says_what_to_do(opened, monkeypatch):
    monkeypatch.setattr("microsam_nb.annotators.automatic._MOST", 1000)
    opened.session.handle(FindAll(volume=True))
    opened.wait(60)
    assert "open the result with labels=" in opened.session.notice.text
