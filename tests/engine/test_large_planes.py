"""Clicks in planes of any size: only windows are read, they are bounded, and answers are those of the whole plane."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import zarr

from microsam_nb.core import BoxPrompt, Image, Mask, Point, image
from microsam_nb.engine import closer, embed, encode, open_store, predict, tiled
from microsam_nb.engine.embedding import Embedding
from microsam_nb.engine.encode import encode_window
from microsam_nb.engine.looks import ladder, look
from microsam_nb.engine.pixels import LargePlane, farthest, thinned
from microsam_nb.engine.plan import choose_tiling
from microsam_nb.engine.store import key
from microsam_nb.engine.store.key import EmbeddingKey, fingerprint, signature
from microsam_nb.engine.store.recent import Recent
from microsam_nb.engine.store.shelf import Item
from microsam_nb.engine.tiling import Tiling, Window

pytestmark = pytest.mark.usefixtures("exact")

SIDE = 20_000


class Virtual:
    """Discs of 60 pixels at every 100, made on demand; one reading may span at most ``limit`` pixels of the plane.

    Counts spans, not values: a file has to unpack what lies between the pixels asked for too.
    """

    def __init__(self, side=SIDE, limit=6144**2, dtype=np.uint16, channels=0):
        self.shape = (side, side, channels) if channels else (side, side)
        self.dtype = np.dtype(dtype)
        self.limit, self.largest, self.total = limit, 0, 0

    def __getitem__(self, where):
        assert isinstance(where, tuple), "a whole plane is read"
        rows, columns = (np.arange(side)[one] for one, side in zip(where[:2], self.shape[:2], strict=True))
        span = int((rows[-1] + 1 - rows[0]) * (columns[-1] + 1 - columns[0]))
        assert span <= self.limit, f"{span} pixels are read at once"
        self.largest, self.total = max(self.largest, span), self.total + span
        near = ((rows % 100 - 50) ** 2)[:, None] + (columns % 100 - 50) ** 2 < 30**2
        noise = (rows[:, None] * 7919 + columns * 104_729) % 251
        plane = (1000 + 3000 * near + noise).astype(self.dtype)
        return np.repeat(plane[..., None], self.shape[2], 2)[..., where[2]] if len(self.shape) > 2 else plane


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 60000, shape).astype(np.uint16)


@pytest.fixture
def all_large(monkeypatch):
    """Every plane counts as a large one."""
    monkeypatch.setattr(image, "LARGE", 0)


@pytest.fixture(scope="module")
def plain(random_nano):
    """nano's weights under the rules of segment-anything's models, which do not look closer."""
    return replace(random_nano, spec=replace(random_nano.spec, architecture="vit_b"))


# What is read


@pytest.mark.parametrize("channels", [0, 3])
@pytest.mark.parametrize("place", [(10_050.5, 9_950.5), (0.5, 0.5), (19_999.5, 19_999.5)])
def test_a_click_reads_windows_only(random_nano, channels, place):
    virtual = Virtual(channels=channels)
    store = open_store(None, random_nano, Image(virtual))
    predict(random_nano, store, [Point(0, *place)])
    assert virtual.total < SIDE**2 / 6
    first = virtual.total
    predict(random_nano, store, [Point(0, *(p + 8 if p < 100 else p - 8 for p in place))])
    assert virtual.total - first < first / 2, "what is near has been read"
    assert store.shown(0).nbytes <= 48 << 20
    assert not store.has(0)


def test_a_correction_and_a_box_read_little(random_nano):
    virtual = Virtual()
    store = open_store(None, random_nano, Image(virtual))
    store.check(random_nano, Image(virtual))
    before = virtual.total
    found = predict(random_nano, store, [BoxPrompt(0, 5020, 7020, 5080, 7080)])
    predict(
        random_nano, store, [Point(0, 5050, 7050), Point(0, 5010, 7010, False)],
        previous=found.mask if found.mask.area else Mask((0, 5020, 7020), np.ones((1, 60, 60), bool)),
    )  # fmt: skip
    assert virtual.total - before <= 4 * 1024**2


def test_an_object_of_thousands_of_pixels_can_be_boxed(random_nano):
    virtual = Virtual(limit=9300**2)
    store = open_store(None, random_nano, Image(virtual))
    found = predict(random_nano, store, [BoxPrompt(0, 4000, 4000, 8000, 7000)])
    assert found.mask.start[0] == 0
    assert store.shown(0).nbytes == 0


def test_tiles_are_read_window_by_window(plain):
    virtual = Virtual(limit=3 * 1024 * 3072)
    whole = Image(virtual)
    tiling = choose_tiling(whole.shape, plain)
    assert tiling is not None
    store = open_store(None, plain, whole, tiling)
    before = virtual.total
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiled, "_outgrows", lambda *_: False)
        predict(plain, store, [BoxPrompt(0, 10_020, 10_020, 10_080, 10_080)])
    assert virtual.total - before <= 4 * 1024**2
    assert sum(store.has(0, tile) for tile in range(store.tiles)) == 1


def test_an_object_that_outgrows_everything_ends(plain):
    """Random weights fill every window: the windows grow to a few thousand pixels, not to the whole plane."""
    virtual = Virtual()
    store = open_store(None, plain, Image(virtual), Tiling((512, 512), (64, 64)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiled, "_outgrows", lambda *_: True)
        predict(plain, store, [Point(0, 10_000, 10_000)])
    assert virtual.total < SIDE**2 / 4


def test_a_few_tiles_are_embedded_without_the_whole_plane(plain, tmp_path):
    virtual = Virtual(limit=4 * 1024**2)
    whole = Image(virtual)
    store = open_store(tmp_path / "a.zarr", plain, whole, Tiling((512, 512), (64, 64)))
    for done, _ in enumerate(embed(plain, whole, store, first_tile=700), start=1):
        if done == 4:
            break
    again = open_store(tmp_path / "a.zarr", plain, Image(Virtual(limit=80 * 80)), Tiling((512, 512), (64, 64)))
    assert again.has(0, 700)
    assert not again.has(0, 0)
    assert virtual.total < SIDE**2 / 10


def test_a_whole_large_plane_is_encoded_thinned(plain):
    virtual = Virtual(limit=SIDE**2)
    embedding = open_store(None, plain, Image(virtual)).plane(0)
    assert embedding.original_size == (SIDE, SIDE)
    assert embedding.input_size == (plain.frame, plain.frame)
    assert tuple(embedding.features.shape) == plain.features_shape


# That it is the same


@pytest.mark.usefixtures("all_large")
@pytest.mark.parametrize("channels", [(), (2,), (3,)])
def test_a_large_plane_is_indexed_like_an_array(channels):
    found = Image(noise(2500, 3100, *channels), "yxc" if channels else "yx")
    plane, whole = LargePlane(found, 0), found.shown()
    assert plane.shape == whole.shape
    for rows, columns, step in [
        ((0, 2500), (0, 3100), 1),
        ((1020, 1030), (5, 3000), 1),
        ((2499, 2500), (3099, 3100), 1),
        ((4, 2500), (8, 3100), 4),
        ((3, 2000), (5, 3000), 4),
        ((0, 2500), (1024, 3100), 8),
        ((0, 2500), (0, 3100), 1024),
    ]:
        key_ = slice(*rows, step), slice(*columns, step)
        for _ in range(2):
            assert np.array_equal(plane[key_], whole[key_])


@pytest.mark.usefixtures("all_large")
def test_blocks_are_kept_up_to_a_limit():
    class Asked(Image):
        def shown_region(self, *where):
            asked.append(where)
            return Image.shown_region(self, *where)

    asked = []
    plane = LargePlane(Asked(noise(4000, 4000)), 0, kept=3 << 20)
    near = plane[0:2000, 0:1000]
    assert len(asked) == 1, "read together"
    assert np.array_equal(plane[5:1900, 6:900], near[5:1900, 6:900])
    assert len(asked) == 1
    plane[0:1000, 0:4000]
    assert len(asked) == 2
    assert plane.nbytes <= 3 << 20
    plane[0:10, 0:10]
    assert len(asked) == 3, "the oldest are forgotten"
    plane[0:10, 3990:4000]
    assert len(asked) == 3


def test_the_answer_is_that_of_the_whole_plane(random_nano, monkeypatch):
    """Where no window is thinned, a plane read in windows gives exactly what one in memory does."""
    pixels = noise(900, 1000)
    prompts = [[Point(0, 400, 500)], [BoxPrompt(0, 300, 300, 420, 390)], [Point(0, 10, 10), Point(0, 50, 40, False)]]
    plane = encode(random_nano, Image(pixels).shown())
    usual = [predict(random_nano, plane, one) for one in prompts]
    whole_plane = Image(pixels).contrast_of(0)
    monkeypatch.setattr(image, "LARGE", 0)
    monkeypatch.setattr(Image, "contrast_of", lambda self, index: whole_plane)
    store = open_store(None, random_nano, Image(zarr.array(pixels, chunks=(256, 256))))
    for one, expected in zip(prompts, usual, strict=True):
        found = predict(random_nano, store, one)
        assert found.mask == expected.mask
        assert found.score == pytest.approx(expected.score, abs=1e-4)


def test_a_window_is_encoded_at_its_full_size(random_nano):
    pixels = np.broadcast_to(np.arange(9000, dtype=np.uint8), (9000, 9000))
    found = encode_window(random_nano, pixels, Window(0, 1000, 4096, 3048))
    assert found.original_size == (4096, 2048)
    assert found.input_size == (random_nano.frame, random_nano.frame // 2)
    assert found.pixels is None


@pytest.mark.parametrize("frame", [256, 1024])
def test_windows_of_large_planes_are_thinned(frame):
    usual, large = (8000, 8000), (SIDE, SIDE)
    most = max(1024, 2 * frame)
    for window in (Window(0, 0, 8000, 8000), Window(3, 5, 5003, 6000)):
        assert thinned(window, usual, frame) == (window, 1)
    assert thinned(Window(7, 9, 7 + most, 9 + most), large, frame) == (Window(7, 9, 7 + most, 9 + most), 1)
    window, step = thinned(Window(7, 9, 8 + most, 9 + most), large, frame)
    assert (window, step) == (Window(6, 8, 8 + most, 10 + most), 2)
    window, step = thinned(Window(1, 1, SIDE, SIDE), large, frame)
    assert window == Window(0, 0, SIDE, SIDE)
    assert SIDE / step <= most < 2 * SIDE / step


def test_the_ladder_of_a_large_plane_ends():
    windows = ladder((SIDE, SIDE), [Point(0, 5000, 6000)], farthest((SIDE, SIDE)))
    assert windows[-1].shape == (4096, 4096)
    assert windows[:-1] == [w for w in ladder((SIDE, SIDE), [Point(0, 5000, 6000)]) if max(w.shape) < 4096]
    wide = ladder((SIDE, SIDE), [Point(0, 1000, 1000), Point(0, 9000, 9000)], farthest((SIDE, SIDE)))
    assert len(wide) == 1
    assert wide[0].shape == (12_000, 12_000)
    assert farthest((8000, 8000)) == 8000
    assert farthest((5000, 5000, 3)) == 4096


def test_a_look_is_the_window_that_was_read(random_nano, monkeypatch):
    """Its place must be that of the thinned pixels, or masks would be shifted."""
    plane = LargePlane(Image(Virtual()), 0)
    bare = Embedding(encode(random_nano, np.zeros((9, 9), np.uint8)).features[:0], (SIDE, SIDE), (SIDE, SIDE), plane)
    (one,) = look(random_nano, bare, [Window(1001, 2003, 4001, 5003)])
    assert one.window == Window(1000, 2000, 4004, 5004)
    assert one.embedding.original_size == one.window.shape
    assert look(random_nano, bare, [Window(1001, 2003, 4001, 5003)])[0].embedding is one.embedding
    seen = []
    monkeypatch.setattr(closer, "look", lambda model, e, windows: seen.extend(windows) or look(model, e, windows))
    predict(random_nano, bare, [Point(0, 3000, 3000)])
    assert max(max(w.shape) for w in seen) == 4096


def test_memory_counts_the_blocks_of_a_large_plane(random_nano):
    plane = LargePlane(Image(Virtual()), 0)
    size = (SIDE, SIDE)
    recent = Recent(10 << 20)
    recent.put(Item(0), Embedding(encode(random_nano, np.zeros((9, 9), np.uint8)).features, size, size, plane))
    before = recent.bytes
    plane[0:1024, 0:1024]
    assert recent.bytes == before + (1 << 20)


# Hashes


def test_the_key_of_a_large_image_reads_a_sample_once(random_nano):
    virtual = Virtual(limit=80 * 80)
    whole = Image(virtual)
    first = EmbeddingKey.of(whole, random_nano, None)
    assert virtual.total <= 960**2
    read = virtual.total
    assert EmbeddingKey.of(whole, random_nano, None) == first
    assert (whole.fingerprint(), whole.contrast_of(0)) == (whole.fingerprint(), whole.contrast_of(0))
    assert virtual.total == read, "contrast, name and key share it"
    assert fingerprint(Image(Virtual(limit=80 * 80))) == first.image
    assert fingerprint(Image(Virtual(dtype=np.int32))) != first.image


def test_the_fingerprint_of_an_image_is_found_once(monkeypatch):
    found = Image(noise(4, 30, 40), "zyx")
    first = fingerprint(found)
    monkeypatch.setattr(key, "_fingerprint", lambda _: pytest.fail("found again"))
    assert fingerprint(found) == first


@pytest.mark.parametrize("masked", [False, True])
def test_the_signature_of_a_large_plane_is_that_of_its_bytes(monkeypatch, masked):
    pixels = noise(3000, 200)
    given = np.ma.masked_less(pixels, 500) if masked else pixels
    expected = hashlib.sha1(np.ma.filled(given, 0).tobytes()).hexdigest()
    assert signature(Image(given)) == expected
    monkeypatch.setattr(image, "LARGE", 0)
    monkeypatch.setattr(key, "_ROWS", 1000)
    monkeypatch.setattr(Image, "plane", lambda *_: pytest.fail("read as a whole"))
    assert signature(Image(given)) == expected
