"""The bytes of a store, as written by us and as micro-sam writes them (with zarr 3, and with zarr 2)."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr
from fake_encoder import features, volume
from numcodecs import Blosc

from microsam_nb.core import Image, StoreError
from microsam_nb.engine import embed, open_store
from microsam_nb.engine.tiling import Tiling

pytestmark = pytest.mark.usefixtures("encoder")
TILING = Tiling((30, 32), (4, 6))


@pytest.fixture
def vit(random_nano, monkeypatch):
    """A model that says it is a vit_b with a frame of 1024 pixels; its encoder is the fake one."""
    spec = replace(random_nano.spec, name="vit_b_lm", architecture="vit_b", hash="xxh128:0123")
    monkeypatch.setattr(random_nano.sam.image_encoder, "img_size", 1024)
    return replace(random_nano, spec=spec)


def finished(folder, model, image, tiling=None):
    list(embed(model, image, open_store(folder, model, image, tiling)))
    return json.loads((folder / "zarr.json").read_text())


def peer_attributes(attributes):
    return {name: value for name, value in attributes.items() if name != "microsam_nb"}


def test_the_attributes_of_an_untiled_store(tmp_path, vit):
    image = volume()
    about = finished(tmp_path / "a", vit, image)
    assert (about["zarr_format"], about["node_type"]) == (3, "group")
    assert peer_attributes(about["attributes"]) == {
        "data_signature": hashlib.sha1(image.pixels.tobytes()).hexdigest(),
        "tile_shape": None,
        "halo": None,
        "model_type": "vit_b",
        "model_name": "vit_b_lm",
        "micro_sam_version": "1.8.10",
        "model_hash": "xxh128:0123",
        "input_size": [819, 1024],
        "original_size": [40, 50],
    }


def test_the_attributes_of_a_tiled_store(tmp_path, vit):
    about = finished(tmp_path / "a", vit, volume(), TILING)["attributes"]
    assert (about["tile_shape"], about["halo"]) == ([30, 32], [4, 6])
    assert "input_size" in about
    assert about["input_size"] is None
    assert about["original_size"] is None
    group = json.loads((tmp_path / "a" / "features" / "zarr.json").read_text())
    assert group["attributes"] == {"shape": [40, 50], "tile_shape": [30, 32], "halo": [4, 6]}
    tile = json.loads((tmp_path / "a" / "features" / "3" / "zarr.json").read_text())
    assert tile["attributes"] == {"original_size": [14, 24], "input_size": [597, 1024]}
    assert tile["shape"] == [3, 1, 4, 8, 8]
    assert sorted(p.name for p in (tmp_path / "a" / "features").iterdir()) == ["0", "1", "2", "3", "zarr.json"]


@pytest.mark.parametrize(
    ("pixels", "shape", "path"),
    [
        (np.ones((9, 8), np.uint8), [1, 4, 8, 8], "c/0/0/0/0"),
        (np.ones((9, 8, 3), np.uint8), [1, 4, 8, 8], "c/0/0/0/0"),
        (np.ones((2, 9, 8), np.uint8), [2, 1, 4, 8, 8], "c/1/0/0/0/0"),
        (np.ones((1, 9, 8), np.uint8), [1, 1, 4, 8, 8], "c/0/0/0/0/0"),
    ],
    ids=["yx", "yxc", "zyx", "one-plane"],
)
def test_the_array_of_features(tmp_path, vit, pixels, shape, path):
    image = Image(pixels)
    finished(tmp_path / "a", vit, image)
    about = json.loads((tmp_path / "a" / "features" / "zarr.json").read_text())
    assert about["shape"] == shape
    assert about["chunk_grid"]["configuration"]["chunk_shape"] == [1] * (len(shape) - 3) + [4, 8, 8]
    assert about["data_type"] == "float32"
    assert about["fill_value"] == 0.0
    assert about["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "/"}}
    assert [codec["name"] for codec in about["codecs"]] == ["bytes", "zstd"]
    assert about["codecs"][0]["configuration"] == {"endian": "little"}
    chunk = (tmp_path / "a" / "features" / path).read_bytes()
    assert chunk[:4] == b"\x28\xb5\x2f\xfd", "a zstd frame"


def test_input_size_appears_only_when_everything_is_there(tmp_path, vit):
    image = volume()
    walk = embed(vit, image, open_store(tmp_path / "a", vit, image))
    for _ in range(2):
        next(walk)
        assert list(json.loads((tmp_path / "a" / "zarr.json").read_text())["attributes"]) == ["microsam_nb"]


# What micro-sam writes


def peer_store(folder, image, model, tiling=None, *, version=3, masked=None):
    """Write features in the order and form of micro-sam."""
    root = zarr.open_group(folder, mode="w", zarr_format=version)
    stacked = image.axes[0] in "zt"
    planes = image.shape[0]

    def array(group, name, tile, attributes=None):
        one = features(image, model, 0, tiling, tile).numpy()
        shape = (planes, *one.shape) if stacked else one.shape
        codec = {"compressors": Blosc("lz4", 5, 1)} if version == 2 else {}
        made = group.create_array(
            name, shape=shape, chunks=(1, *one.shape) if stacked else one.shape, dtype="float32", **codec
        )
        for plane in range(planes):
            if masked is None or tile in masked.get(str(plane), ()):
                made[plane if stacked else ...] = features(image, model, plane, tiling, tile).numpy()
        made.attrs.update(attributes or {})

    if tiling is None:
        array(root, "features", 0)
    else:
        group = root.create_group("features")
        group.attrs.update({"shape": list(image.shape[1:]), "tile_shape": list(tiling.tile), "halo": list(tiling.halo)})
        if masked is not None:
            group.attrs["tiles_in_mask"] = masked if stacked else masked["0"]
        for tile in tiling.tiles(image.shape[1:]):
            if masked is None or any(tile.index in some for some in masked.values()):
                outer = list(tile.outer.shape)
                array(group, str(tile.index), tile.index, {"original_size": outer, "input_size": [1024, 1024]})
    root.attrs.update(
        {
            "data_signature": hashlib.sha1(image.pixels.tobytes()).hexdigest(),
            "tile_shape": None if tiling is None else list(tiling.tile),
            "halo": None if tiling is None else list(tiling.halo),
            "model_type": model.spec.architecture[:5],
            "model_name": model.spec.name,
            "micro_sam_version": "1.8.10",
            "model_hash": model.spec.hash,
            "input_size": None if tiling else [819, 1024],
            "original_size": None if tiling else list(image.shape[1:]),
        }
    )


def content(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("version", [3, 2])
@pytest.mark.parametrize("tiling", [None, TILING], ids=["whole", "tiled"])
@pytest.mark.parametrize("kind", ["plane", "volume"])
def test_a_cache_of_micro_sam_is_read_and_not_changed(tmp_path, vit, encoder, version, tiling, kind):
    image = volume() if kind == "volume" else Image(volume().pixels[0])
    peer_store(tmp_path / "peer", image, vit, tiling, version=version)
    before = content(tmp_path / "peer")
    store = open_store(tmp_path / "peer", vit, image, tiling)
    assert store.complete
    assert store.stretched_by_peer
    for plane, tile in store.items():
        assert store.has(plane, tile)
        found = store.tile(plane, tile)
        assert torch.equal(found.features, features(image, vit, plane, tiling, tile))
        assert max(found.input_size) == 1024
    assert list(embed(vit, image, store)) == []
    assert encoder.items == []
    assert torch.equal(open_store(tmp_path / "peer").tile(0, 0).features, features(image, vit, 0, tiling))
    assert content(tmp_path / "peer") == before


def test_tiles_outside_micro_sams_mask_are_computed_and_kept_in_memory(tmp_path, vit, encoder):
    image = volume()
    peer_store(tmp_path / "peer", image, vit, TILING, masked={"0": [0, 2], "2": [2]})
    before = content(tmp_path / "peer")
    store = open_store(tmp_path / "peer", vit, image, TILING)
    assert [item for item in store.items() if store.has(*item)] == [(0, 0), (0, 2), (2, 2)]
    assert torch.equal(store.tile(1, 2).features, features(image, vit, 1, TILING, 2))
    assert store.tile(1, 2) is store.tile(1, 2)
    assert encoder.items == [(1, 2)]
    assert content(tmp_path / "peer") == before


def test_a_damaged_chunk_of_micro_sam(tmp_path, vit, encoder):
    image = volume()
    peer_store(tmp_path / "peer", image, vit)
    (tmp_path / "peer" / "features" / "c" / "1" / "0" / "0" / "0" / "0").write_bytes(b"torn")
    with pytest.raises(StoreError) as error:
        open_store(tmp_path / "peer").plane(1)
    assert "Open the store with the model and the image" in error.value.remedy
    assert torch.equal(open_store(tmp_path / "peer", vit, image).plane(1).features, features(image, vit, 1))


@pytest.mark.parametrize(
    ("other", "remedy"),
    [
        (lambda image, model: (Image(image.pixels + 1, "zyx"), model), "Open it with that image"),
        (lambda image, model: (Image(image.pixels.astype(np.int8), "zyx"), model), None),
        (lambda image, model: (Image(image.pixels.astype(np.int16), "zyx"), model), "Open it with that image"),
        (lambda image, model: (Image(image.pixels.reshape(3, 50, 40), "zyx"), model), "Open it with that image"),
        (
            lambda image, model: (image, replace(model, spec=replace(model.spec, hash="xxh128:other"))),
            "Load that model",
        ),
    ],
    ids=["pixels", "same bytes", "dtype", "shape", "model"],
)
def test_a_cache_of_micro_sam_for_something_else(tmp_path, vit, other, remedy):
    image = Image(volume().pixels % 100, "zyx")
    peer_store(tmp_path / "peer", image, vit)
    other_image, model = other(image, vit)
    if remedy is None:  # micro-sam's hash knows only bytes
        open_store(tmp_path / "peer", model, other_image)
        return
    with pytest.raises(StoreError) as error:
        open_store(tmp_path / "peer", model, other_image)
    assert remedy in error.value.remedy


def test_an_unfinished_cache_of_micro_sam_is_refused(tmp_path, vit):
    image = volume()
    root = zarr.open_group(tmp_path / "peer", mode="w")
    root.create_array("features", shape=(3, 1, 4, 8, 8), chunks=(1, 1, 4, 8, 8), dtype="float32")
    with pytest.raises(StoreError) as error:
        open_store(tmp_path / "peer", vit, image)
    assert "Finish it there" in error.value.remedy


def test_a_finished_store_of_ours_reads_as_one_of_micro_sam(tmp_path, vit, encoder):
    """Without our own attribute, as if copied by another program, nothing is lost but the contrast."""
    image = volume()
    finished(tmp_path / "a", vit, image, TILING)
    path = tmp_path / "a" / "zarr.json"
    about = json.loads(path.read_text())
    del about["attributes"]["microsam_nb"]
    path.write_text(json.dumps(about))
    encoder.items.clear()
    store = open_store(tmp_path / "a", vit, image, TILING)
    assert store.stretched_by_peer
    assert torch.equal(store.tile(2, 1).features, features(image, vit, 2, TILING, 1))
    assert encoder.items == []


def test_nothing_warns(tmp_path, vit):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = volume()
        finished(tmp_path / "a", vit, image, TILING)
        open_store(tmp_path / "a", vit, image, TILING).tile(0, 0)
