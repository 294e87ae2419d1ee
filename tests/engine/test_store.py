from __future__ import annotations

import errno
import json
import math
import shutil
import threading
import zipfile
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr
from fake_encoder import FEATURES, features, volume
from filelock import FileLock
from zarr.storage import LocalStore

from microsam_nb.core import Contrast, Image, SettingsError, StoreError
from microsam_nb.engine import embed, encode, open_store
from microsam_nb.engine.encode import scaled_size
from microsam_nb.engine.stepwise import finish
from microsam_nb.engine.store import EmbeddingKey, Item
from microsam_nb.engine.store.key import fingerprint, signature
from microsam_nb.engine.tiling import Tiling, Window

pytestmark = pytest.mark.usefixtures("encoder")
TILING = Tiling((16, 16), (4, 6))


def fill(store, model, image):
    return list(embed(model, image, store))


@pytest.fixture(params=["memory", "folder", "zip", "address"])
def where(request, tmp_path):
    """Every kind of place."""
    return {
        "memory": None,
        "folder": tmp_path / "a.zarr",
        "zip": tmp_path / "a.zip",
        "address": f"memory://stores/{tmp_path.name}.zarr",
    }[request.param]


@pytest.mark.parametrize("tiling", [None, TILING], ids=["whole", "tiled"])
def test_what_is_stored_comes_back_exactly(where, tiling, random_nano, encoder):
    image = volume()
    store = open_store(where, random_nano, image, tiling)
    fill(store, random_nano, image)
    assert store.complete
    if where is not None:
        store = open_store(where, random_nano, image, tiling)
    encoder.items.clear()
    for plane, tile in store.items():
        found = store.plane(plane) if tiling is None else store.tile(plane, tile)
        assert torch.equal(found.features, features(image, random_nano, plane, tiling, tile))
        outer = (40, 50) if tiling is None else tiling.tile_at((40, 50), tile).outer.shape
        assert found.original_size == outer
        assert found.input_size == scaled_size(outer, random_nano.frame, random_nano.enlargement)
    assert encoder.items == []


def test_a_store_knows_what_it_holds(random_nano):
    store = open_store(None, random_nano, volume(), TILING)
    assert (store.shape, store.tiles, store.tiling) == ((3, 40, 50), 3 * 4, TILING)
    assert not store.has(1, 5)
    store.tile(1, 5)
    assert store.has(1, 5)
    assert not store.complete


def test_planes_are_computed_when_they_are_asked_for(where, random_nano, encoder):
    image = volume(planes=5)
    store = open_store(where, random_nano, image)
    assert torch.equal(store.plane(3).features, features(image, random_nano, 3))
    store.plane(3)
    assert encoder.items == [(3, 0)]
    if where is not None:
        again = open_store(where, random_nano, image)
        assert again.has(3)
        assert not again.has(2)
        assert torch.equal(again.plane(3).features, features(image, random_nano, 3))
        assert encoder.items == [(3, 0)]


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((20, 30), np.uint8), np.zeros((20, 30, 3), np.uint8), np.zeros((1, 20, 30), np.float32)],
    ids=["yx", "yxc", "zyx"],
)
@pytest.mark.parametrize("tiling", [None, Tiling((16, 16), (0, 0))], ids=["whole", "tiled"])
def test_single_planes(tmp_path, random_nano, pixels, tiling):
    image = Image(pixels)
    fill(open_store(tmp_path / "a", random_nano, image, tiling), random_nano, image)
    store = open_store(tmp_path / "a", random_nano, image, tiling)
    assert store.complete
    assert store.tile(0, 0).features.shape == FEATURES


def test_tiles_share_the_contrast_of_their_plane(random_nano, encoder, monkeypatch):
    image = volume(planes=1)
    seen = []
    monkeypatch.setattr(encoder, "one", lambda pixels, model: seen.append(pixels) or FakeEmbedding)
    store = open_store(None, random_nano, image, TILING)
    finish(store._source.encode_stepwise([Item(0, 5)]))
    window = TILING.tile_at((40, 50), 5).outer
    assert np.array_equal(seen[0], image.shown()[window.slices])


FakeEmbedding = object()


def test_the_real_encoder_gives_what_encode_gives(tmp_path, random_nano, monkeypatch, exact):
    monkeypatch.undo()
    image = volume(planes=2)
    store = open_store(tmp_path / "a", random_nano, image)
    made = store.plane(1)
    read = open_store(tmp_path / "a", random_nano, image).plane(1)
    truth = encode(random_nano, image.shown(1))
    for one in (made, read):
        torch.testing.assert_close(one.features, truth.features)
        assert (one.original_size, one.input_size) == (truth.original_size, truth.input_size)


def test_half_takes_half_the_room(tmp_path, random_nano):
    image = volume()
    fill(open_store(tmp_path / "half", random_nano, image, half=True), random_nano, image)
    assert zarr.open_group(tmp_path / "half", mode="r")["features"].dtype == np.float16
    # What a store holds decides, not what it is opened with.
    found = open_store(tmp_path / "half", random_nano, image).plane(2).features
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, features(image, random_nano, 2), rtol=1e-3, atol=1e-3)
    kept = open_store(None, random_nano, image, half=True, budget=0)
    kept.plane(0)
    assert torch.equal(kept.plane(0).features, features(image, random_nano).half().float())


# What a store refuses


def others(image, model):
    pixels = image.pixels
    darker = pixels.copy()
    darker[1, 7, 9] += 1
    spec = replace(model.spec, hash="xxh128:other")
    return {
        "pixels": (Image(darker, "zyx"), model, None, "Open it with that image"),
        "shape": (Image(pixels.reshape(3, 50, 40), "zyx"), model, None, "Open it with that image"),
        "dtype": (Image(pixels.astype(np.uint16), "zyx"), model, None, "Open it with that image"),
        "planes": (Image(pixels[:2], "zyx"), model, None, "Open it with that image"),
        "axes": (Image(pixels[:, :, :4], "yxc"), model, None, "Open it with that image"),
        "contrast": (Image(pixels, "zyx", contrast=Contrast(1, 99)), model, None, "Give the image that contrast"),
        "model": (image, replace(model, spec=spec), None, "Load that model"),
        "tiling": (image, model, TILING, "tiling=None"),
    }


@pytest.mark.parametrize("what", ["pixels", "shape", "dtype", "planes", "axes", "contrast", "model", "tiling"])
def test_something_else_is_refused_and_the_store_is_unharmed(tmp_path, random_nano, what):
    image = volume()
    store = open_store(tmp_path / "a", random_nano, image)
    store.plane(0)
    other_image, other_model, tiling, remedy = others(image, random_nano)[what]
    with pytest.raises(StoreError) as error:
        open_store(tmp_path / "a", other_model, other_image, tiling)
    assert remedy in error.value.remedy
    assert open_store(tmp_path / "a", random_nano, image).has(0)


def test_a_tiled_store_tells_its_tiling(tmp_path, random_nano):
    open_store(tmp_path / "a", random_nano, volume(), TILING)
    with pytest.raises(StoreError) as error:
        open_store(tmp_path / "a", random_nano, volume(), Tiling((20, 20), (4, 6)))
    assert f"tiling={TILING!r}" in error.value.remedy


def test_embed_refuses_another_image(random_nano):
    image = volume()
    store = open_store(None, random_nano, image)
    assert next(embed(random_nano, Image(image.pixels, "zyx"), store)).done == 1
    with pytest.raises(StoreError) as error:
        next(embed(random_nano, volume(seed=1), store))
    assert "Open it with that image" in error.value.remedy


@pytest.mark.parametrize("what", ["text", "image"])
def test_a_folder_of_other_files_is_left_alone(tmp_path, random_nano, what):
    folder = tmp_path / "things"
    folder.mkdir()
    if what == "text":
        (folder / "notes.txt").write_text("mine")
    else:
        zarr.create_array(str(folder), shape=(4, 4), chunks=(4, 4), dtype="u1")
    before = sorted(folder.rglob("*"))
    with pytest.raises(StoreError) as error:
        open_store(folder, random_nano, volume())
    assert "new or empty folder" in error.value.remedy or "choose another" in error.value.remedy
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("where", "remedy"),
    [
        ("file.txt", "Name a folder"),
        ("broken.zip", "Delete it and compute it again"),
        ("nope://bucket/name", "s3://bucket/name"),
    ],
)
def test_places_that_cannot_be(tmp_path, monkeypatch, random_nano, where, remedy):
    monkeypatch.chdir(tmp_path)
    for name in ("file.txt", "broken.zip"):
        (tmp_path / name).write_text("something")
    with pytest.raises(StoreError) as error:
        open_store(where, random_nano, volume())
    assert remedy in error.value.remedy


def test_an_address_without_its_package(monkeypatch, random_nano):
    import fsspec

    def missing(*_, **__):
        raise ImportError("Please install gcsfs")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    monkeypatch.setattr("zarr.storage._fsspec.url_to_fs", missing, raising=False)
    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(StoreError) as error:
        open_store("gs://bucket/name", random_nano, volume())
    assert "pip" in error.value.remedy


def test_model_and_image_come_together(random_nano):
    with pytest.raises(SettingsError) as error:
        open_store("a", random_nano)
    assert "Give both" in error.value.remedy
    with pytest.raises(SettingsError) as error:
        open_store()
    assert "Give a model and an image" in error.value.remedy


def test_reading_alone(tmp_path, random_nano):
    image = volume()
    with pytest.raises(StoreError) as error:
        open_store(tmp_path / "a")
    assert "give a model and an image" in error.value.remedy
    assert not (tmp_path / "a").exists()
    open_store(tmp_path / "a", random_nano, image).plane(1)
    store = open_store(tmp_path / "a")
    assert torch.equal(store.plane(1).features, features(image, random_nano, 1))
    with pytest.raises(StoreError) as error:
        store.plane(0)
    assert "Open the store with the model and the image" in error.value.remedy
    with pytest.raises(StoreError) as error:
        list(embed(random_nano, image, store))
    assert "Open it with the model and the image" in error.value.remedy


@pytest.mark.parametrize(("plane", "tile"), [(3, 0), (-1, 0), (0, 12), (0, -1)])
def test_items_that_are_not_there(random_nano, plane, tile):
    store = open_store(None, random_nano, volume(), TILING)
    with pytest.raises(StoreError) as error:
        store.tile(plane, tile)
    assert error.value.remedy == "Planes end at 2, tiles at 11."


def test_a_tiled_store_has_no_planes(random_nano):
    with pytest.raises(StoreError) as error:
        open_store(None, random_nano, volume(), TILING).plane(0)
    assert "tile(plane, index)" in error.value.remedy


# Damage


def chunk(folder, plane, tile=None):
    part = folder / "features" if tile is None else folder / "features" / str(tile)
    return part / "c" / str(plane) / "0" / "0" / "0" / "0"


@pytest.mark.parametrize("damage", ["cut", "empty", "bit", "gone"])
@pytest.mark.parametrize("finished", [True, False], ids=["finished", "unfinished"])
def test_a_damaged_chunk_is_computed_again(tmp_path, random_nano, encoder, damage, finished):
    image = volume()
    store = open_store(tmp_path / "a", random_nano, image)
    store.plane(1)
    if finished:
        fill(store, random_nano, image)
    path = chunk(tmp_path / "a", 1)
    whole = path.read_bytes()
    flipped = bytes([whole[60] ^ 1])
    path.write_bytes({"cut": whole[:-5], "empty": b"", "gone": b"", "bit": whole[:60] + flipped + whole[61:]}[damage])
    if damage == "gone":
        path.unlink()
    with pytest.raises(StoreError) as error:
        open_store(tmp_path / "a").plane(1)
    assert "Open the store with the model and the image" in error.value.remedy
    encoder.items.clear()
    again = open_store(tmp_path / "a", random_nano, image)
    assert torch.equal(again.plane(1).features, features(image, random_nano, 1))
    assert encoder.items == [(1, 0)]
    assert path.read_bytes() == whole


def test_a_chunk_without_its_flag_is_not_taken_as_done(tmp_path, random_nano, encoder):
    image = volume()
    open_store(tmp_path / "a", random_nano, image).plane(1)
    (flag,) = (tmp_path / "a" / "done" / "c").rglob("0")
    flag.unlink()
    assert not open_store(tmp_path / "a", random_nano, image).has(1)


@pytest.mark.parametrize("content", [b"", b'{"zarr_format": 3, "node', b'{"zarr_format": 3, "node_type": "group"}'])
def test_unreadable_attributes(tmp_path, random_nano, content):
    open_store(tmp_path / "a", random_nano, volume()).plane(0)
    (tmp_path / "a" / "zarr.json").write_bytes(content)
    with pytest.raises(StoreError) as error:
        open_store(tmp_path / "a", random_nano, volume())
    assert "compute it again" in error.value.remedy or "choose another" in error.value.remedy


def test_attributes_of_a_newer_version(tmp_path, random_nano):
    open_store(tmp_path / "a", random_nano, volume())
    path = tmp_path / "a" / "zarr.json"
    about = json.loads(path.read_text())
    about["attributes"]["microsam_nb"]["format"] = 99
    path.write_text(json.dumps(about))
    with pytest.raises(StoreError) as error:
        open_store(tmp_path / "a", random_nano, volume())
    assert "Update microsam_nb" in error.value.remedy


def test_a_full_disk(tmp_path, random_nano, monkeypatch):
    image = volume()
    store = open_store(tmp_path / "a", random_nano, image)
    store.plane(0)
    put = LocalStore.set

    async def full(self, key, value):
        if key.startswith("features/c/1"):
            raise OSError(errno.ENOSPC, "No space left on device")
        await put(self, key, value)

    monkeypatch.setattr(LocalStore, "set", full)
    done = []
    with pytest.raises(StoreError) as error:
        done.extend(one.plane for one in embed(random_nano, image, store))
    assert "go on; what is done is kept" in error.value.remedy
    monkeypatch.setattr(LocalStore, "set", put)
    again = open_store(tmp_path / "a", random_nano, image)
    assert [again.has(plane) for plane in range(3)] == [True, False, False]
    fill(again, random_nano, image)
    assert open_store(tmp_path / "a").complete


def test_a_folder_that_cannot_be_written(tmp_path, random_nano, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(zarr, "create_group", refuse)
    with pytest.raises(StoreError) as error:
        open_store(tmp_path / "a", random_nano, volume())
    assert "permissions" in error.value.remedy


# Memory and threads


def test_recent_embeddings_stay_within_the_budget(tmp_path, random_nano):
    image = volume(planes=6)
    one = math.prod(FEATURES) * 4 + 40 * 50
    store = open_store(tmp_path / "a", random_nano, image, budget=3 * one)
    for plane in range(6):
        store.plane(plane)
    assert store._recent.bytes == 3 * one
    first = store.plane(3)
    store.plane(0)
    assert store.plane(3) is first, "the one used last is kept"
    assert store._recent.get(Item(4, 0)) is None


def test_closer_looks_count_in_the_budget(random_nano):
    image = volume(planes=2)
    store = open_store(None, random_nano, image, budget=30_000)
    store.plane(0).remember(Window(0, 0, 99, 99), replace(store.plane(0), looks={}, features=torch.zeros(5000)))
    assert store._recent.bytes > 20_000
    store.plane(1).remember(Window(0, 0, 99, 99), replace(store.plane(1), looks={}, features=torch.zeros(5000)))
    store._recent.put(Item(1), store.plane(1))
    assert store._recent.get(Item(0)) is None


def test_nano_finds_its_pixels_again(tmp_path, random_nano):
    """It looks closer at them; other models do not wait for them."""
    image = volume()
    for tiling in (None, TILING):
        where = tmp_path / str(tiling is None)
        open_store(where, random_nano, image, tiling).tile(1, 0)
        found = open_store(where, random_nano, image, tiling).tile(1, 0)
        whole = image.shown(1)
        assert np.array_equal(found.pixels, whole if tiling is None else whole[:20, :22])
        assert open_store(where).tile(1, 0).pixels is None


def test_without_a_budget_nothing_is_kept(tmp_path, random_nano):
    store = open_store(tmp_path / "a", random_nano, volume(), budget=0)
    assert store.plane(0) is not store.plane(0)
    assert store._recent.bytes == 0


def test_two_threads_compute_a_tile_once(random_nano, encoder, monkeypatch):
    started, go = threading.Event(), threading.Event()
    one = encoder.one

    def slow(pixels, model):
        started.set()
        assert go.wait(20)
        return one(pixels, model)

    monkeypatch.setattr(encoder, "one", slow)
    store = open_store(None, random_nano, volume())
    found = []
    threads = [threading.Thread(target=lambda: found.append(store.plane(1))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert started.wait(20)
    go.set()
    for thread in threads:
        thread.join(20)
    assert encoder.items == [(1, 0)]
    assert len({id(one) for one in found}) == 1


def test_two_writers_of_one_store_agree(tmp_path, random_nano, encoder):
    image = volume(planes=4)
    first = open_store(tmp_path / "a", random_nano, image)
    second = open_store(tmp_path / "a", random_nano, image)
    walks = [embed(random_nano, image, first), embed(random_nano, image, second, first_plane=3)]
    for _ in range(4):
        for walk in walks:
            next(walk, None)
    for walk in walks:
        list(walk)
    store = open_store(tmp_path / "a", random_nano, image)
    assert store.complete
    for plane in range(4):
        assert torch.equal(store.plane(plane).features, features(image, random_nano, plane))


def test_several_begin_one_store_at_once(tmp_path, random_nano, encoder):
    name = "a.zarr"
    image, tiling = volume(planes=4), Tiling((40, 25), (0, 4))
    ready, errors = threading.Barrier(3), []

    def work(first):
        ready.wait(20)
        try:
            list(embed(random_nano, image, open_store(tmp_path / name, random_nano, image, tiling), first))
        except StoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 0, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    store = open_store(tmp_path / name, random_nano, image, tiling)
    assert store.complete
    encoder.items.clear()
    for plane, tile in store.items():
        assert torch.equal(store.tile(plane, tile).features, features(image, random_nano, plane, tiling, tile))
    assert encoder.items == []


def test_one_process_writes_a_zip_file(tmp_path, random_nano):
    image = volume()
    with FileLock(tmp_path / "a.zip.lock"), pytest.raises(StoreError) as error:
        open_store(tmp_path / "a.zip", random_nano, image)
    assert "use a folder" in error.value.remedy
    open_store(tmp_path / "a.zip", random_nano, image).plane(0)
    fill(open_store(tmp_path / "a.zip", random_nano, image), random_nano, image)
    assert open_store(tmp_path / "a.zip").complete


# Fingerprints


def test_the_fingerprint_reads_few_planes_of_a_large_volume(monkeypatch):
    image = volume(planes=50, height=8, width=9)
    read = []
    plane = Image.plane
    monkeypatch.setattr(Image, "plane", lambda self, index=0: read.append(index) or plane(self, index))
    fingerprint(image)
    assert read == [0, 7, 14, 21, 28, 35, 42, 49]


def test_the_fingerprint_sees_all_of_a_small_image_and_samples_a_large_one():
    image = volume(planes=8)
    for plane, y, x in ((0, 0, 0), (3, 17, 20), (7, 39, 49)):
        pixels = image.pixels.copy()
        pixels[plane, y, x] += 1
        assert fingerprint(Image(pixels, "zyx")) != fingerprint(image)
    large = np.zeros((4096, 512), np.uint8)
    changed = large.copy()
    changed[1] = 1
    assert fingerprint(Image(changed)) == fingerprint(Image(large)), "a row between those of the sample"
    assert signature(Image(changed)) != signature(Image(large))


def test_verify_sees_what_the_sample_misses(tmp_path, random_nano):
    image = volume(planes=20, height=8, width=9)
    pixels = image.pixels.copy()
    pixels[1, 0, 0] += 1
    other = Image(pixels, "zyx")
    fill(open_store(tmp_path / "a", random_nano, image), random_nano, image)
    open_store(tmp_path / "a", random_nano, other)
    open_store(tmp_path / "a", random_nano, image, verify=True)
    with pytest.raises(StoreError) as error:
        open_store(tmp_path / "a", random_nano, other, verify=True)
    assert "Open it with that image" in error.value.remedy


def test_keys_survive_json(random_nano):
    for tiling in (None, TILING):
        key = EmbeddingKey.of(volume(), random_nano, tiling)
        for one in (key, replace(key, enlargement=math.inf)):
            assert EmbeddingKey.from_json(json.loads(json.dumps(one.to_json()))) == one


# Zip files


def test_a_zip_file_grows_in_a_folder_beside_it(tmp_path, random_nano):
    image = volume()
    open_store(tmp_path / "a.zip", random_nano, image).plane(2)
    assert {p.name for p in tmp_path.iterdir()} == {"a.zip.part", "a.zip.lock"}
    store = open_store(tmp_path / "a.zip", random_nano, image)
    assert store.has(2)
    fill(store, random_nano, image)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]
    assert torch.equal(store.plane(0).features, features(image, random_nano, 0)), "the store goes on reading"
    # Killed between packing and tidying up: the zip file is whole.
    shutil.unpack_archive(tmp_path / "a.zip", tmp_path / "a.zip.part")
    assert open_store(tmp_path / "a.zip").complete
    assert (tmp_path / "a.zip.part").exists(), "reading deletes nothing"
    assert open_store(tmp_path / "a.zip", random_nano, image).complete
    assert not (tmp_path / "a.zip.part").exists()


@pytest.mark.parametrize("what", ["others", "no zip", "another zip"])
def test_a_folder_beside_a_zip_file_is_only_deleted_when_it_is_left_over(tmp_path, random_nano, what):
    image, path, part = volume(), tmp_path / "a.zip", tmp_path / "a.zip.part"
    if what == "others":
        fill(open_store(path, random_nano, image), random_nano, image)
        part.mkdir()
        (part / "notes.txt").write_text("mine")
    else:
        open_store(part, random_nano, image).plane(0)
        path.write_text("broken")
        if what == "another zip":
            with zipfile.ZipFile(path, "w") as file:
                file.writestr("notes.txt", "mine")
    before = sorted(part.rglob("*"))
    with suppress(StoreError):
        open_store(path, random_nano, image)
    assert sorted(part.rglob("*")) == before


@pytest.mark.parametrize("damage", ["nan", "infinite", "channels", "batch"])
@pytest.mark.parametrize("tiling", [None, TILING], ids=["whole", "tiled"])
def test_features_that_cannot_be_are_computed_again(tmp_path, random_nano, encoder, damage, tiling):
    image = volume()
    fill(open_store(tmp_path / "a", random_nano, image, tiling), random_nano, image)
    group, name = zarr.open_group(tmp_path / "a", mode="r+"), "features" if tiling is None else "features/2"
    if damage in ("nan", "infinite"):
        group[name][1, 0, 2, 3, 4] = np.nan if damage == "nan" else np.inf
    else:
        shape = (3, 1, 5, 8, 8) if damage == "channels" else (3, 2, 4, 8, 8)
        group.create_array(name, data=np.ones(shape, np.float32), overwrite=True)
    item = Item(1, 0 if tiling is None else 2)
    if damage != "channels":
        with pytest.raises(StoreError) as error:
            open_store(tmp_path / "a").tile(*item)
        assert "Open the store with the model and the image" in error.value.remedy
    encoder.items.clear()
    store = open_store(tmp_path / "a", random_nano, image, tiling)
    expected = features(image, random_nano, 1, tiling, item.tile)
    assert torch.equal(store.tile(*item).features, expected)
    assert encoder.items == [item]
    assert torch.equal(open_store(tmp_path / "a").tile(*item).features, expected)
