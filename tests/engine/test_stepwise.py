"""Encodings that are left between blocks and gone on with: the same bits, nothing half-written, nobody locked out."""

from __future__ import annotations

import copy
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_encoder import volume
from segment_anything.modeling import ImageEncoderViT

from microsam_nb.core import StoreError
from microsam_nb.engine import ModelSpec, embed, encode, encode_many, open_store, precision
from microsam_nb.engine.backbones.sam import FastEncoder
from microsam_nb.engine.backbones.tiny_vit import TinyViT
from microsam_nb.engine.embed import embed_stepwise
from microsam_nb.engine.encode import encode_stepwise
from microsam_nb.engine.store import Item
from microsam_nb.engine.tiling import Tiling

DEPTHS = {"vit_b": 12, "vit_l": 24, "vit_h": 32}


def encoder_of(architecture, nano):
    """An encoder with random weights; segment-anything's with all blocks, but narrow and for a small frame."""
    torch.manual_seed(0)
    if architecture == "nano":
        return copy.deepcopy(nano.sam.image_encoder)
    if architecture == "vit_t":
        small = TinyViT()
        small.img_size = 256
        return small
    depth = DEPTHS[architecture]
    sizes = {"img_size": 256, "embed_dim": 32, "depth": depth, "num_heads": 2, "out_chans": 128, "window_size": 7}
    last = range(depth // 4 - 1, depth, depth // 4)
    return FastEncoder(ImageEncoderViT(**sizes, use_rel_pos=True, global_attn_indexes=tuple(last)))


def model_of(architecture, nano):
    sam = copy.copy(nano.sam)
    sam._modules = dict(sam._modules)
    sam.image_encoder = encoder_of(architecture, nano).eval().requires_grad_(False)
    return replace(nano, spec=ModelSpec(architecture, architecture, "xxh128:00"), sam=sam)


@pytest.fixture(scope="module")
def small(random_nano):
    return model_of("vit_b", random_nano)


@pytest.fixture
def blocks(monkeypatch):
    """Counts the blocks that were computed; what is put into ``errors`` is raised by the next one."""
    from microsam_nb.engine.backbones import sam

    class Blocks:
        count, errors = 0, []

    def block(*args, real=sam._block):
        if Blocks.errors:
            raise Blocks.errors.pop()
        Blocks.count += 1
        return real(*args)

    monkeypatch.setattr(sam, "_block", block)
    return Blocks


@pytest.mark.parametrize(
    ("architecture", "dtype"),
    [*((one, torch.float32) for one in ("nano", "vit_t", *DEPTHS)), ("vit_b", torch.bfloat16)],
    ids=str,
)
def test_what_is_computed_in_between_changes_no_bit(random_nano, monkeypatch, architecture, dtype):
    monkeypatch.setattr(precision, "fast_dtype", lambda device: dtype)
    model = model_of(architecture, random_nano)
    encoder = model.sam.image_encoder
    if isinstance(encoder, FastEncoder):
        encoder.store(dtype)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64)).astype(np.uint8)
    plain = encode(model, pixels)
    steps, left = encode_stepwise(model, [pixels]), 0
    try:
        while True:
            next(steps)
            left += 1
            assert not torch.is_inference_mode_enabled()
            assert not torch.is_autocast_enabled("cpu")
            encode(random_nano, pixels[::-1])
    except StopIteration as end:
        (found,) = end.value
    assert torch.equal(found.features, plain.features)
    assert found.features.is_inference() == plain.features.is_inference()
    assert left == {"nano": 0, "vit_t": 12, **DEPTHS}[architecture]


@pytest.mark.parametrize("architecture", ["vit_t", *DEPTHS])
def test_forward_is_the_blocks_one_after_the_other(random_nano, architecture):
    """As it was computed before it could be left."""
    from microsam_nb.engine.backbones import sam

    encoder = encoder_of(architecture, random_nano).eval()
    x = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found = encoder(x)
        if architecture == "vit_t":
            x = encoder.patch_embed(x)
            first, *others = encoder.layers
            for block in first.blocks:
                x = block(x)
            x = first.downsample(x)
            for stage in others:
                x = torch.nn.Sequential(*stage.blocks)(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
                x = x if stage.downsample is None else stage.downsample(x)
            x = encoder.neck(x)
        else:
            x = encoder.patch_embed(x).contiguous() + encoder.pos_embed
            for block in encoder.blocks:
                x = sam._block(block, x, torch.float32)
            x = encoder._shrink(x)
    assert torch.equal(found, x)


def test_many_planes_are_left_between_batches_too(small):
    planes = [np.random.default_rng(i).integers(0, 256, (40, 50)).astype(np.uint8) for i in range(2)]
    assert sum(1 for _ in encode_stepwise(small, planes)) == 2 * DEPTHS["vit_b"] + 1
    assert len(encode_many(small, planes)) == 2


@pytest.mark.parametrize("tiling", [None, Tiling((20, 25), (4, 4))], ids=["planes", "tiles"])
def test_by_blocks_and_in_one_piece_the_store_holds_the_same(tmp_path, small, tiling):
    image = volume(planes=2)
    stores = [open_store(tmp_path / name, small, image, tiling) for name in "ab"]
    whole = list(embed(small, image, stores[0], 1))
    steps = list(embed_stepwise(small, image, stores[1], 1))
    assert [one for one in steps if one is not None] == whole
    assert len(steps) == len(whole) * (1 + DEPTHS["vit_b"])
    assert stores[0].complete
    assert stores[1].complete
    for item in stores[0].items():
        assert torch.equal(stores[0].tile(*item).features, stores[1].tile(*item).features)


def test_what_is_left_in_the_middle_is_not_in_the_store(tmp_path, small):
    image = volume(planes=2)
    store = open_store(tmp_path / "a", small, image)
    before = {path: path.stat().st_size for path in tmp_path.rglob("*")}
    walk = embed_stepwise(small, image, store)
    assert [next(walk) for _ in range(5)] == [None] * 5
    walk.close()
    assert not store.has(0)
    assert {path: path.stat().st_size for path in tmp_path.rglob("*")} == before
    assert not open_store(tmp_path / "a", small, image).has(0)


def test_who_needs_it_goes_on_with_what_was_left(tmp_path, small, blocks):
    image = volume(planes=2)
    expected = encode(small, image.shown(0)).features
    store = open_store(tmp_path / "a", small, image)
    walk = embed_stepwise(small, image, store)
    for _ in range(5):
        next(walk)
    blocks.count = 0
    assert torch.equal(store.plane(0).features, expected)
    assert blocks.count == DEPTHS["vit_b"] - 5
    assert next(walk).plane == 0, "the walk finds it done"
    assert blocks.count == DEPTHS["vit_b"] - 5


def test_who_looks_at_two_planes_in_turn_finishes_both(small, blocks):
    image = volume(planes=2)
    store = open_store(None, small, image)
    for turn in range(20):
        walk = store.fill_stepwise([Item(turn % 2)])
        for _ in range(3):
            next(walk, None)
        walk.close()
    assert store.has(0)
    assert store.has(1)
    assert blocks.count == 2 * DEPTHS["vit_b"]


def test_a_store_that_keeps_nothing_is_filled_once(small, blocks):
    image = volume(planes=2)
    store = open_store(None, small, image, keep=False)
    assert sum(one is not None for one in embed_stepwise(small, image, store)) == 2
    assert blocks.count == 2 * DEPTHS["vit_b"]
    store.plane(1)
    assert blocks.count == 2 * DEPTHS["vit_b"]


def test_nobody_is_locked_out_by_what_was_left(small):
    image = volume(planes=2)
    store = open_store(None, small, image)
    walk = embed_stepwise(small, image, store)
    next(walk)
    other = threading.Thread(target=lambda: store.plane(1), daemon=True)
    other.start()
    other.join(30)
    assert store.has(1)
    assert not store.has(0)


def test_two_walks_through_one_store_do_not_disturb_each_other(small, blocks):
    image = volume(planes=4)
    store = open_store(None, small, image)
    walks = [embed_stepwise(small, image, store, first) for first in (0, 3)]
    while walks:
        walks = [walk for walk in walks if next(walk, False) is not False]
    assert all(store.has(plane) for plane in range(4))
    assert blocks.count <= 5 * DEPTHS["vit_b"], "where they meet, both may have begun"


def test_after_an_error_it_is_begun_anew(small, blocks):
    image = volume(planes=1)
    store = open_store(None, small, image)
    walk = store.fill_stepwise([Item(0)])
    next(walk)
    blocks.errors = [MemoryError("full")]
    with pytest.raises(MemoryError, match="full"):
        store.plane(0)
    list(walk)
    assert torch.equal(store.plane(0).features, encode(small, image.shown(0)).features)


def test_what_could_not_be_written_is_written_by_the_next(tmp_path, small, monkeypatch):
    image = volume(planes=1)
    store = open_store(tmp_path / "a", small, image)
    write, errors = store._shelf.write, [StoreError("The disk is full.", "Free some space.")]

    def fails_once(*args):
        if errors:
            raise errors.pop()
        write(*args)

    monkeypatch.setattr(store._shelf, "write", fails_once)
    walk = store.fill_stepwise([Item(0)])
    next(walk)
    with pytest.raises(StoreError) as error:
        store.plane(0)
    assert error.value.remedy == "Free some space."
    assert not store.has(0)
    list(walk)
    assert open_store(tmp_path / "a", small, image).has(0)
