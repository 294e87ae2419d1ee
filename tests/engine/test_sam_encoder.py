"""The fast encoder against segment-anything's own, on the same weights."""

from __future__ import annotations

import copy

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Block

from microsam_nb.engine.backbones import sam as fast
from microsam_nb.engine.backbones.sam import FastEncoder


def drawn(module):
    """Give every weight a random value: fresh encoders have zero positions, which would hide mistakes."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=random) * (0.5 if weight.ndim == 2 else 1) / 3)
    return module


def small(**changes):
    """A random encoder of 10 x 10 tokens with a windowed block (4 does not divide 10) and a global one."""
    sizes = {"img_size": 160, "embed_dim": 32, "depth": 2, "num_heads": 2, "out_chans": 8, "window_size": 4}
    options = {"use_rel_pos": True, "global_attn_indexes": (1,)}
    return drawn(ImageEncoderViT(**{**sizes, **options, **changes}))


@pytest.fixture
def images():
    return torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    "changes",
    [{}, {"use_rel_pos": False}, {"use_abs_pos": False}, {"qkv_bias": False}, {"window_size": 5}, {"num_heads": 4}],
    ids=str,
)
@pytest.mark.parametrize("many", [64, 10**6])
def test_the_answer_is_segment_anythings(images, changes, many, monkeypatch):
    monkeypatch.setattr(fast, "_MANY_TOKENS", many)
    own = small(**changes)
    with torch.inference_mode():
        theirs, ours = own(images), FastEncoder(own)(images)
    assert ours.shape == theirs.shape == (2, 8, 10, 10)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("window", [0, 4])
@pytest.mark.parametrize("learned", [4, 9])
def test_planes_need_not_be_square_nor_of_the_learned_size(window, learned):
    block = drawn(Block(32, 2, use_rel_pos=True, window_size=window, input_size=(learned, learned)))
    size = window or learned
    for name in ("rel_pos_h", "rel_pos_w"):
        weight = torch.randn(2 * size - 1, 16, generator=torch.Generator().manual_seed(3))
        setattr(block.attn, name, torch.nn.Parameter(weight))
    tokens = torch.randn(2, 7, 5, 32, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        torch.testing.assert_close(fast._block(block, tokens, torch.float32), block(tokens), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("many", [64, 10**6])
def test_gradients_are_segment_anythings(images, many, monkeypatch):
    monkeypatch.setattr(fast, "_MANY_TOKENS", many)
    own = small()
    other = FastEncoder(copy.deepcopy(own))
    weights = torch.randn(2, 8, 10, 10, generator=torch.Generator().manual_seed(5))
    for encoder in (own, other):
        (encoder(images) * weights).sum().backward()
    for (name, theirs), ours in zip(own.named_parameters(), other.parameters(), strict=True):
        assert ours.grad is not None, name
        gap = (ours.grad - theirs.grad).abs().max() / theirs.grad.abs().max()
        assert gap < 1e-3, name


def test_weights_keep_their_names_and_are_shared():
    own = small()
    ours = FastEncoder(own)
    assert isinstance(ours, ImageEncoderViT)
    assert ours.img_size == 160
    theirs = own.state_dict()
    assert list(ours.state_dict()) == list(theirs)
    assert all(weight.data_ptr() == theirs[name].data_ptr() for name, weight in ours.state_dict().items())


def test_half_precision_is_close_and_its_output_float32(images):
    own = small()
    ours = FastEncoder(copy.deepcopy(own))
    ours.store(torch.bfloat16)
    assert ours.dtype == torch.bfloat16
    assert ours.blocks[0].norm1.weight.dtype == ours.pos_embed.dtype == torch.float32
    with torch.inference_mode():
        theirs, found = own(images), ours(images)
    assert found.dtype == torch.float32
    assert (found - theirs).square().mean().sqrt() < 0.05 * theirs.std()


def test_one_image_equals_its_part_of_a_batch(images):
    ours = FastEncoder(small())
    with torch.inference_mode():
        together = ours(images)
        torch.testing.assert_close(ours(images[1:]), together[1:], rtol=1e-4, atol=1e-5)
