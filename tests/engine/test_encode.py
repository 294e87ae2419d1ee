from __future__ import annotations

import copy
import sys

import numpy as np
import pytest
import torch
from segment_anything.utils.transforms import ResizeLongestSide

from microsam_nb.core import ImageError
from microsam_nb.engine import encode, encode_many
from microsam_nb.engine.backbones.nano import NanoEncoder
from microsam_nb.engine.encode import scaled_size

pytestmark = pytest.mark.usefixtures("exact")


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (48, 64)).astype(np.uint8)


def test_an_embedding_knows_its_sizes(random_nano, pixels):
    embedding = encode(random_nano, pixels)
    assert embedding.features.shape == (1, 128, 32, 32)
    assert embedding.features.dtype == torch.float32
    assert embedding.original_size == (48, 64)
    assert embedding.input_size == (192, 256)
    assert embedding.scale == (4, 4)


def test_grey_is_colour_with_equal_channels(random_nano, pixels):
    grey = encode(random_nano, pixels)
    colour = encode(random_nano, np.repeat(pixels[..., None], 3, axis=2))
    assert torch.equal(grey.features, colour.features)
    other = encode(random_nano, np.stack([pixels, pixels // 2, pixels], axis=-1))
    assert not torch.allclose(grey.features, other.features)


def test_any_memory_order_gives_the_same(random_nano, pixels):
    flipped = pixels[::-1, ::-1]
    assert torch.equal(encode(random_nano, flipped).features, encode(random_nano, flipped.copy()).features)
    fixed = pixels.copy()
    fixed.flags.writeable = False
    assert torch.equal(encode(random_nano, fixed).features, encode(random_nano, pixels).features)


def test_an_image_of_the_frame_is_encoded_as_segment_anything_does(random_nano):
    pixels = np.random.default_rng(1).integers(0, 256, (150, 256, 3)).astype(np.uint8)
    sam = random_nano.sam
    with torch.no_grad():
        theirs = sam.image_encoder(sam.preprocess(torch.from_numpy(pixels).permute(2, 0, 1)[None]))
    torch.testing.assert_close(encode(random_nano, pixels).features, theirs, rtol=1e-4, atol=1e-4)


def test_scaling_is_close_to_segment_anything(random_nano, monkeypatch):
    seen = []
    monkeypatch.setattr(random_nano.sam, "preprocess", lambda x: seen.append(x) or torch.zeros(1, 3, 256, 256))
    pixels = np.random.default_rng(2).integers(0, 256, (230, 300)).astype(np.uint8)
    encode(random_nano, pixels)
    theirs = ResizeLongestSide(256).apply_image(np.repeat(pixels[..., None], 3, axis=2))
    ours = seen[0][0].permute(1, 2, 0).numpy()
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize(
    ("size", "scaled"),
    [
        ((512, 512), (512, 512)),
        ((48, 64), (384, 512)),
        ((1, 1), (512, 512)),
        ((3, 7), (219, 512)),
        ((5000, 2), (512, 1)),
    ],
)
def test_the_longest_side_fills_the_frame(size, scaled):
    assert scaled_size(size, 512) == scaled


def test_nano_enlarges_small_images_only_so_far(random_nano):
    assert scaled_size((48, 64), 512, 2.5) == (120, 160)
    assert scaled_size((480, 640), 512, 2.5) == (384, 512)
    assert encode(random_nano, np.zeros((12, 16), np.uint8)).input_size == (120, 160)


@pytest.mark.parametrize("size", [(100, 333), (333, 100), (769, 1023), (513, 511), (17, 3000)])
def test_sizes_are_rounded_as_by_segment_anything(size):
    assert scaled_size(size, 1024) == ResizeLongestSide.get_preprocess_shape(*size, 1024)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((8, 8), np.uint16),
        np.zeros((8, 8), float),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 1), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros(8, np.uint8),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_what_is_not_shown_pixels_is_refused(random_nano, bad):
    with pytest.raises(ImageError) as error:
        encode(random_nano, bad)
    assert error.value.remedy == "Pass Image(pixels).shown()."


@pytest.mark.parametrize("together", [1, 2, 8])
def test_many_equal_one_by_one(random_nano, monkeypatch, together):
    monkeypatch.setattr(sys.modules["microsam_nb.engine.encode"], "_together", lambda model: together)
    random = np.random.default_rng(3)
    planes = [random.integers(0, 256, shape).astype(np.uint8) for shape in ((48, 64), (700, 30, 3), (512, 512))]
    found = encode_many(random_nano, planes)
    for one, pixels in zip(found, planes, strict=True):
        alone = encode(random_nano, pixels)
        assert (one.original_size, one.input_size) == (alone.original_size, alone.input_size)
        torch.testing.assert_close(one.features, alone.features, rtol=1e-4, atol=1e-4)
        assert one.features.untyped_storage().nbytes() == one.features.nbytes


def test_of_many_a_bad_one_is_refused_before_the_work(random_nano, monkeypatch):
    monkeypatch.setattr(random_nano.sam, "preprocess", lambda x: pytest.fail("encoded"))
    with pytest.raises(ImageError):
        encode_many(random_nano, [np.zeros((8, 8), np.uint8), np.zeros((8, 8), float)])
    assert encode_many(random_nano, []) == []


def test_folding_the_normalisation_keeps_the_answer():
    torch.manual_seed(5)
    encoder = NanoEncoder().eval()
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_(0, 0.3)
    folded = copy.deepcopy(encoder)
    folded.fold()
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert encoder(x).shape == (1, 128, 8, 12)
        torch.testing.assert_close(folded(x), encoder(x), rtol=1e-3, atol=1e-3)
