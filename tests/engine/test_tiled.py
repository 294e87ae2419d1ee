"""Answers from tiles: which tile answers, and that an object larger than a tile is segmented whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import zarr

from microsam_nb.core import BoxPrompt, Candidate, Image, Mask, MaskPrompt, Point, PromptError, StoreError
from microsam_nb.engine import encode, open_store, predict, predict_many, tiled
from microsam_nb.engine.models import ModelSpec
from microsam_nb.engine.store import EmbeddingStore
from microsam_nb.engine.tiled import best_tile
from microsam_nb.engine.tiling import Tiling, Window

pytestmark = pytest.mark.usefixtures("exact")

TILING = Tiling((64, 64), (16, 16))
SIZE = (200, 260)
NANO = ModelSpec("nano", "nano", "xxh128:nano")


def point(y, x):
    return BoxPrompt(0, y, x, y, x)


@pytest.mark.parametrize(
    ("extent", "expected"),
    [
        (point(10, 10), 0),
        (point(32, 32), 0),
        (point(62, 32), 0),
        (point(66, 32), 5),
        (point(199.9, 259.9), 13),  # reaches the corner too, and shows more around it
        (BoxPrompt(0, 50, 20, 75, 40), 0),  # across the border of two inner tiles: fits into the halo of the first
        (BoxPrompt(0, 60, 20, 78, 40), 5),  # only the second has room on both sides
        (BoxPrompt(0, 0, 0, 70, 70), 0),
    ],
)
def test_the_tile_with_most_room_answers(extent, expected):
    assert best_tile(TILING, SIZE, extent).index == expected


def test_every_small_object_fits_into_some_tile():
    random = np.random.default_rng(0)
    for _ in range(300):
        y, x = random.uniform(0, SIZE[0] - 30), random.uniform(0, SIZE[1] - 30)
        outer = best_tile(TILING, SIZE, BoxPrompt(0, y, x, y + 30, x + 30)).outer
        assert outer.y0 <= y
        assert outer.x0 <= x
        assert outer.y1 >= y + 30
        assert outer.x1 >= x + 30


@pytest.fixture(scope="module")
def plain(random_nano):
    """nano's weights under the rules of segment-anything's models, which do not look closer."""
    return replace(random_nano, spec=replace(random_nano.spec, architecture="vit_b"))


@pytest.fixture(scope="module")
def image():
    return Image(np.random.default_rng(1).integers(0, 256, (2, *SIZE)).astype(np.uint8), "zyx")


def test_a_prompt_is_answered_by_its_tile(plain, image):
    store = open_store(None, plain, image, TILING)
    box = BoxPrompt(1, 90, 100, 105, 118)
    tile = best_tile(TILING, SIZE, box)
    outer = tile.outer
    alone = predict(
        plain,
        replace(encode(plain, image.shown(1)[outer.slices]), pixels=None),
        [BoxPrompt(0, 90 - outer.y0, 100 - outer.x0, 105 - outer.y0, 118 - outer.x0)],
    )
    # Random weights fill the tile to its borders: only the first look is compared.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiled, "_outgrows", lambda *_: False)
        found = predict(plain, store, [box])
    assert [store.has(1, i) for i in range(20)] == [i == tile.index for i in range(20)]
    _, y, x = alone.mask.start
    assert found.mask == Mask((1, y + outer.y0, x + outer.x0), alone.mask.bitmap)
    assert found.score == pytest.approx(alone.score, abs=1e-4)


def thing(size, window):
    """A best() that finds a rectangle, as much of it as a window shows."""

    def best(model, asked, answers, plane_size):
        inner = answers[0].look.window
        canvas = np.zeros((1, *size), bool)
        canvas[0][window.slices] = True
        seen = np.zeros_like(canvas)
        seen[0][inner.slices] = True
        return Candidate(Mask.crop(canvas & seen), 0.5, f"{max(inner.shape)}")

    return best


@pytest.mark.parametrize("large", [Window(70, 70, 130, 120), Window(20, 30, 180, 240), Window(0, 0, 200, 260)])
def test_an_object_larger_than_a_tile_is_segmented_whole(plain, image, monkeypatch, large):
    monkeypatch.setattr(tiled, "best", thing(SIZE, large))
    store = open_store(None, plain, image, TILING)
    found = predict(plain, store, [Point(0, 100, 100)])
    assert found.mask.area == large.shape[0] * large.shape[1]


def test_prompts_wider_than_a_tile_get_a_window_of_their_own(plain, image, monkeypatch):
    monkeypatch.setattr(tiled, "best", thing(SIZE, Window(10, 10, 30, 250)))
    store = open_store(None, plain, image, TILING)
    found = predict(plain, store, [Point(0, 20, 15), Point(0, 20, 245)])
    assert found.mask.area == 20 * 240


def test_a_small_object_needs_one_look(plain, image, monkeypatch):
    monkeypatch.setattr(tiled, "best", thing(SIZE, Window(98, 98, 104, 104)))
    monkeypatch.setattr(EmbeddingStore, "window", lambda *_: pytest.fail("encoded again"))
    assert predict(plain, open_store(None, plain, image, TILING), [Point(0, 100, 100)]).mask.area == 36


def test_without_the_image_the_tile_has_to_do(plain, image, monkeypatch, tmp_path):
    from microsam_nb.engine import embed

    place = tmp_path / "a.zarr"
    for _ in embed(plain, image, open_store(place, plain, image, TILING)):
        pass
    monkeypatch.setattr(tiled, "best", thing(SIZE, Window(0, 0, 200, 260)))
    found = predict(plain, open_store(place), [Point(0, 100, 100)])
    assert found.mask.box.shape == (1, 96, 96)
    with pytest.raises(StoreError) as error:
        predict(plain, open_store(place), [Point(0, 20, 15), Point(0, 20, 245)])
    assert error.value.remedy.startswith("Open the store with the model and the image")


def test_many_objects_in_several_planes_keep_their_order(plain, image, monkeypatch):
    monkeypatch.setattr(tiled, "_outgrows", lambda *_: False)
    store = open_store(None, plain, image, TILING)
    random = np.random.default_rng(3)
    objects = [[Point(int(random.integers(2)), random.uniform(5, 195), random.uniform(5, 255))] for _ in range(40)]
    together = predict_many(plain, store, objects)
    for i in (0, 7, 21, 39):
        alone = predict(plain, store, objects[i])
        assert together[i].mask.start[0] == objects[i][0].plane
        assert together[i].mask.box == alone.mask.box


@pytest.mark.parametrize("tiling", [None, TILING])
def test_nano_looks_closer_whatever_the_tiling(random_nano, image, tiling):
    """nano needs the pixels, not the tiles: a tiled store answers as an untiled one."""
    store = open_store(None, random_nano, image, tiling)
    prompts = [BoxPrompt(1, 90, 100, 115, 128)]
    expected = predict(random_nano, encode(random_nano, image.shown(1)), prompts)
    found = predict(random_nano, store, prompts)
    assert found.mask == expected.mask
    assert found.score == pytest.approx(expected.score, abs=1e-4)


@pytest.mark.parametrize("tiling", [None, TILING])
def test_masks_are_prompts_in_stores_too(plain, image, tiling):
    mask = Mask((1, 40, 50), np.ones((1, 20, 30), bool))
    found = predict(plain, open_store(None, plain, image, tiling), [MaskPrompt(mask)])
    assert found.origin == "region"
    assert found.mask.start[0] == 1


@pytest.mark.parametrize("tiling", [None, TILING])
def test_a_plane_that_is_not_there(plain, image, tiling):
    with pytest.raises(PromptError) as error:
        predict(plain, open_store(None, plain, image, tiling), [Point(2, 5, 5)])
    assert error.value.remedy == "Prompt in one of the planes 0 to 1."


@pytest.mark.parametrize("tiling", [None, TILING])
def test_a_store_of_another_model_is_refused(plain, image, tiling):
    store = open_store(None, plain, image, tiling)
    for other in (replace(plain, spec=replace(plain.spec, hash="xxh128:other")), replace(plain, spec=NANO)):
        with pytest.raises(StoreError) as error:
            predict(other, store, [Point(0, 100, 100)])
        assert error.value.remedy == "Load that model, or choose another store."
    # An old cache of micro-sam only knows the architecture.
    store.key = replace(store.key, model="vit_b")
    assert predict(plain, store, [Point(0, 100, 100)]).mask.start[0] == 0


@pytest.mark.parametrize(
    ("prompt", "tile"),
    [
        (Point(0, 0.5, 149.95), 0),
        (Point(0, 150, 75), 2),
        (Point(0, 150, 150), 3),
        (BoxPrompt(0, 150, 150, 300, 300), 3),
        (BoxPrompt(0, 0, 0, 150, 150), 0),
    ],
)
def test_prompts_at_the_border_of_a_tile_fit(plain, tmp_path, prompt, tile):
    image = Image(np.random.default_rng(2).integers(0, 256, (300, 300)).astype(np.uint8))
    place, tiling = tmp_path / "a.zarr", Tiling((150, 150), (0, 0))
    open_store(place, plain, image, tiling).tile(0, tile)
    found = predict(plain, open_store(place), [prompt])
    _, y, x = found.mask.start
    assert found.mask.area == 0 or (y // 150, x // 150) == divmod(tile, 2)


def test_windows_around_large_objects_are_encoded_once(plain, image, monkeypatch):
    from microsam_nb.engine.store import source

    seen = []
    encode = source.encode_window
    monkeypatch.setattr(source, "encode_window", lambda *args: seen.append(args) or encode(*args))
    monkeypatch.setattr(tiled, "best", thing(SIZE, Window(20, 30, 180, 240)))
    store = open_store(None, plain, image, TILING)
    first = predict(plain, store, [Point(0, 100, 100)])
    count = len(seen)
    assert predict(plain, store, [Point(0, 100, 100)]).mask == first.mask
    assert 0 < count == len(seen)


def test_objects_of_one_tile_share_its_embedding(plain, image, monkeypatch):
    asked = []
    answer = tiled.answer
    monkeypatch.setattr(tiled, "answer", lambda model, some: asked.extend(some) or answer(model, some))
    monkeypatch.setattr(tiled, "_outgrows", lambda *_: False)
    store = open_store(None, plain, image, TILING, budget=0)
    predict_many(plain, store, [[Point(0, 20, 20)], [Point(0, 25, 30)], [Point(0, 190, 30)]])
    assert len({id(one.embedding) for one, _ in asked}) == 2


def test_features_move_to_the_model(plain, image):
    """Those of a store without its model are on the processor; 'meta' plays another device here."""
    embedding = encode(plain, image.shown(0))
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        predict(plain, replace(embedding, features=embedding.features.to("meta")), [Point(0, 5, 5)])


@pytest.mark.parametrize("tiling", [None, TILING])
def test_stored_features_of_a_wrong_shape_are_refused(plain, image, tmp_path, tiling):
    place = tmp_path / "a.zarr"
    open_store(place, plain, image, tiling).tile(0, 0)
    name = "features" if tiling is None else "features/0"
    zarr.open_group(place).create_array(name, data=np.ones((2, 1, 3, 8, 8), np.float32), overwrite=True)
    with pytest.raises(StoreError) as error:
        predict(plain, open_store(place), [Point(0, 20, 20)])
    assert error.value.remedy.startswith("Open the store with the model and the image")


def test_nano_encodes_no_plane_to_answer_from_windows(random_nano, image, monkeypatch):
    store = open_store(None, random_nano, image)
    predict(random_nano, store, [BoxPrompt(1, 90, 100, 115, 128)])
    assert not store.has(1)
    store.plane(1)
    monkeypatch.setattr(store, "pixels_only", lambda _: pytest.fail("what is stored has been forgotten"))
    predict(random_nano, store, [BoxPrompt(1, 90, 100, 115, 128)])
