"""Closer looks: which windows are looked at, and that answers come back to the right place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from microsam_nb.core import BoxPrompt, Mask, Point, PromptError
from microsam_nb.engine import closer, encode, load_model, predict, predict_many
from microsam_nb.engine.embedding import Embedding
from microsam_nb.engine.looks import MARGIN, Look, around, ladder, look, plausible, window_at
from microsam_nb.engine.tiling import Window

pytestmark = pytest.mark.usefixtures("exact")

SIZE = (300, 400)


@pytest.mark.parametrize("middle", [(150, 200), (0, 0), (299.9, 399.9), (5, 395)])
@pytest.mark.parametrize("side", [0.2, 10, 99.5, 300, 350, 5000])
def test_windows_lie_in_the_plane_and_hold_their_middle(middle, side):
    window = window_at(SIZE, middle, side)
    assert 0 <= window.y0 < window.y1 <= 300
    assert 0 <= window.x0 < window.x1 <= 400
    assert window.y0 <= middle[0] <= window.y1
    assert window.x0 <= middle[1] <= window.x1
    assert window.shape == (min(300, max(1, int(np.ceil(side)))), min(400, max(1, int(np.ceil(side)))))


def test_a_window_around_a_box_shows_it_with_a_margin():
    window = around(SIZE, BoxPrompt(0, 100, 100, 120, 140), 1)
    assert window.shape == (40 * MARGIN, 40 * MARGIN)
    assert (window.y0 + window.y1) / 2 == pytest.approx(110, abs=1)
    assert (window.x0 + window.x1) / 2 == pytest.approx(120, abs=1)
    assert around(SIZE, BoxPrompt(0, 100, 100, 102, 102), 26).shape == (26, 26)


def test_the_ladder_climbs_to_the_whole_plane():
    windows = ladder(SIZE, [Point(0, 10, 20)])
    sides = [max(w.shape) for w in windows]
    assert sides == sorted(set(sides))
    assert sides[0] == 40
    assert windows[-1] == Window(0, 0, 300, 400)
    for window in windows:
        assert window.y0 <= 10 < window.y1
        assert window.x0 <= 20 < window.x1


def test_every_rung_holds_all_positive_clicks():
    clicks = [Point(0, 50, 60), Point(0, 150, 90), Point(0, 299, 399, positive=False)]
    for window in ladder(SIZE, clicks):
        for p in clicks[:2]:
            assert window.y0 <= p.y < window.y1
            assert window.x0 <= p.x < window.x1


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (20, 20), (40, 40), (41, 41)])
def test_small_planes_have_short_ladders(size):
    windows = ladder(size, [Point(0, size[0] / 2, size[1] / 2)])
    assert windows[-1] == Window(0, 0, *size)
    assert len(windows) == len(set(windows))


def test_looks_are_encoded_once_and_the_oldest_forgotten(random_nano):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400)).astype(np.uint8)
    embedding = encode(random_nano, pixels)
    (first,) = look(random_nano, embedding, [Window(0, 0, 50, 50)])
    assert look(random_nano, embedding, [Window(0, 0, 50, 50)])[0].embedding is first.embedding
    torch.testing.assert_close(first.embedding.features, encode(random_nano, pixels[:50, :50]).features)
    for i in range(70):
        embedding.remember(Window(0, 0, 1 + i, 1), first.embedding)
    assert len(embedding.looks) == 64
    assert Window(0, 0, 50, 50) not in embedding.looks
    assert Window(0, 0, 70, 1) in embedding.looks


def test_masks_of_a_window_come_back_to_their_place():
    own = Look(Window(30, 40, 60, 80), Embedding(torch.zeros(1), (30, 40), (30, 40)))
    assert own.back(Mask((0, 1, 2), np.ones((1, 3, 4), bool)), 7).start == (7, 31, 42)


def drawn_logits(place):
    logits = torch.full((128, 128), -8.0)
    logits[place] = 8.0
    return logits


def test_what_speaks_for_a_mask():
    inner = Look(Window(10, 10, 74, 74), Embedding(torch.zeros(1), (64, 64), (256, 256)))
    fair = plausible(inner, SIZE, 256, drawn_logits(np.s_[40:90, 40:90]))
    assert fair == pytest.approx(0.5)
    blurred = drawn_logits(np.s_[40:90, 40:90])
    blurred[35:95, 35:40] = 0.5
    assert 0.4 < plausible(inner, SIZE, 256, blurred) < fair
    assert plausible(inner, SIZE, 256, drawn_logits(np.s_[0:50, 40:90])) < 0  # cut by the window
    assert plausible(inner, SIZE, 256, drawn_logits(np.s_[60:64, 60:64])) < 0  # tiny in it
    assert plausible(inner, SIZE, 256, drawn_logits(np.s_[4:124, 4:124])) < 0  # fills it
    assert plausible(inner, SIZE, 256, torch.full((128, 128), -8.0)) == -np.inf
    corner = Look(Window(0, 0, 64, 64), Embedding(torch.zeros(1), (64, 64), (256, 256)))
    assert plausible(corner, SIZE, 256, drawn_logits(np.s_[0:50, 0:50])) == pytest.approx(0.5)


def test_a_box_is_answered_in_its_window(random_nano):
    """The same as encoding the window oneself, and asking there."""
    pixels = np.random.default_rng(1).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    box = BoxPrompt(2, 100, 120, 140, 150)
    window = around(SIZE, box, random_nano.frame / random_nano.enlargement)
    found = predict(random_nano, encode(random_nano, pixels), [box])
    inside = replace(encode(random_nano, pixels[window.slices]), pixels=None)
    moved = BoxPrompt(0, box.y0 - window.y0, box.x0 - window.x0, box.y1 - window.y0, box.x1 - window.x0)
    alone = predict(random_nano, inside, [moved])
    assert found.mask.area > 0
    assert found.score == pytest.approx(alone.score, abs=1e-4)
    _, y, x = alone.mask.start
    assert found.mask == Mask((2, y + window.y0, x + window.x0), alone.mask.bitmap)


def test_a_correction_is_looked_for_where_the_answer_was(random_nano, monkeypatch):
    pixels = np.random.default_rng(1).integers(0, 256, (300, 400)).astype(np.uint8)
    embedding = encode(random_nano, pixels)
    seen = []
    monkeypatch.setattr(closer, "look", lambda model, e, windows: seen.extend(windows) or look(model, e, windows))
    previous = Mask((0, 200, 300), np.ones((1, 20, 20), bool))
    predict(random_nano, embedding, [Point(0, 210, 310), Point(0, 215, 318, False)], previous=previous)
    # One window that fits what is corrected, and a larger one: it may have been only a part.
    assert [w.shape for w in seen] == [(46, 46), (79, 79)]
    seen.clear()
    predict(random_nano, embedding, [Point(0, 210, 310), Point(0, 215, 318, False)])
    assert len(seen) > 3


def test_a_mask_that_does_not_obey_the_clicks_loses():
    from microsam_nb.engine.answer import Answer, _missed
    from microsam_nb.engine.prompting import gather

    own = Look(Window(10, 10, 74, 74), Embedding(torch.zeros(1), (64, 64), (256, 256)))
    masks = torch.stack([drawn_logits(np.s_[40:90, 40:90]), drawn_logits(np.s_[0:20, 0:20])])
    asked = gather([Point(0, 42, 42), Point(0, 15, 15, False), Point(0, 299, 399, False)], SIZE)
    one = Answer(own, masks, torch.zeros(2))
    assert _missed(one, 256, 0, asked) == 0
    assert _missed(one, 256, 1, asked) == 2


def test_many_objects_equal_one_by_one(random_nano):
    pixels = np.random.default_rng(4).integers(0, 256, (200, 260)).astype(np.uint8)
    embedding = encode(random_nano, pixels)
    random = np.random.default_rng(5)
    objects = []
    for i in range(11):
        y, x = random.uniform(20, 180), random.uniform(20, 240)
        objects.append([[Point(0, y, x)], [BoxPrompt(0, y - 9, x - 9, y + 9, x + 9)]][i % 2])
    together = predict_many(random_nano, embedding, objects)
    for one, prompts in zip(together, objects, strict=True):
        alone = predict(random_nano, embedding, prompts)
        assert alone.score == pytest.approx(one.score, abs=1e-4)
        assert alone.mask.box == one.mask.box


def test_threads_may_share_an_embedding():
    embedding = Embedding(torch.zeros(1), (300, 400), (192, 256))

    def work(thread):
        for i in range(3000):
            embedding.remember(Window(thread, 0, 300, 1 + i), embedding)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(embedding.looks) == 64


def test_the_whole_plane_is_encoded_once(random_nano):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80)).astype(np.uint8)
    embedding, whole = encode(random_nano, pixels), Window(0, 0, 60, 80)
    assert look(random_nano, embedding, [whole])[0].embedding is embedding
    bare = replace(embedding, features=torch.zeros(0), looks={})
    torch.testing.assert_close(look(random_nano, bare, [whole])[0].embedding.features, embedding.features)


def test_islands_without_a_click_are_left_out():
    from microsam_nb.engine.answer import _connected
    from microsam_nb.engine.prompting import gather

    bitmap = np.zeros((1, 20, 30), bool)
    bitmap[0, 2:8, 2:8] = bitmap[0, 12:18, 20:28] = True
    mask = Mask((0, 100, 200), bitmap)
    one = _connected(mask, gather([Point(0, 105, 205)], SIZE))
    assert one == Mask((0, 102, 202), np.ones((1, 6, 6), bool))
    assert _connected(mask, gather([Point(0, 105, 205), Point(0, 115, 225)], SIZE)) is mask
    assert _connected(mask, gather([Point(0, 105, 205), Point(0, 115, 225, False)], SIZE)) == one
    assert _connected(mask, gather([Point(0, 10, 10)], SIZE)) is mask
    assert _connected(mask, gather([Point(0, 105, 205), BoxPrompt(0, 100, 200, 120, 230)], SIZE)) is mask


@pytest.fixture(scope="module")
def nano():
    return load_model("nano", "cpu")


@pytest.fixture(scope="module")
def discs():
    """Two bright discs, of 12 and of 90 pixels, on a dark ground (256, 320)."""
    yy, xx = np.indices((256, 320)) + 0.5
    inside = (np.hypot(yy - 40, xx - 40) < 6) | (np.hypot(yy - 150, xx - 200) < 45)
    return np.where(inside, 180, 30).astype(np.uint8) + np.random.default_rng(0).integers(0, 12, (256, 320), np.uint8)


def looked_at(monkeypatch, model, pixels, point, size):
    """What a click finds, and the windows that were looked at for it."""
    seen = []
    real = closer.look
    monkeypatch.setattr(closer, "look", lambda m, e, windows: (seen.append(list(windows)), real(m, e, windows))[1])
    found = predict(model, encode(model, pixels), [point], size=size)
    return found.mask, seen


def test_a_usual_size_spares_windows(monkeypatch, nano, discs):
    everything, all_windows = looked_at(monkeypatch, nano, discs, Point(0, 40, 40), None)
    mask, windows = looked_at(monkeypatch, nano, discs, Point(0, 40, 40), 12.0)
    assert len(windows) == 1
    assert len(windows[0]) == 2 < len(all_windows[0])
    assert set(windows[0]) < set(all_windows[0])
    assert 60 < mask.area < 200
    assert 60 < everything.area < 200


def test_an_object_of_another_size_is_found_nevertheless(monkeypatch, nano, discs):
    mask, windows = looked_at(monkeypatch, nano, discs, Point(0, 150, 200), 12.0)
    _, everything = looked_at(monkeypatch, nano, discs, Point(0, 150, 200), None)
    assert len(windows) > 1, "what is found close by is not usual: the next windows are looked at"
    assert {one for some in windows for one in some} == set(everything[0])
    expected = np.pi * 45**2
    assert 0.7 * expected < mask.area < 1.3 * expected


def test_objects_are_found_together_as_they_are_alone(nano, discs):
    """Of one the usual window will do, the other is looked for further."""
    embedding = encode(nano, discs)
    clicks = [[Point(0, 40, 40)], [Point(0, 150, 200)], [BoxPrompt(0, 100, 150, 200, 250)]]
    together = predict_many(nano, embedding, clicks, size=12.0)
    alone = [predict(nano, embedding, one, size=12.0) for one in clicks]
    for one, other in zip(together, alone, strict=True):
        assert one.mask.box == other.mask.box
    assert together[0].mask.area < 200 < 4000 < together[1].mask.area


@pytest.mark.parametrize("size", [0.0, -3.0, float("nan"), float("inf")])
def test_no_object_has_such_a_size(nano, discs, size):
    with pytest.raises(PromptError, match="above 0"):
        predict(nano, encode(nano, discs), [Point(0, 40, 40)], size=size)
