"""TinyViT and the UNETR decoder compute what MobileSAM and torch-em compute, by fingerprints taken from them.

Where these packages are installed, also directly: ``pip install mobilesam-mirror timm torch-em micro-sam``.
"""

from __future__ import annotations

import warnings
import zlib

import numpy as np
import pytest
import torch
from segment_anything.modeling import ImageEncoderViT
from torch import nn

from microsam_nb.engine.backbones.decoder import UnetrDistances, is_transposed
from microsam_nb.engine.backbones.folding import fold
from microsam_nb.engine.backbones.tiny_vit import TinyViT, build_tiny_vit


def numbers(name, shape):
    """Numbers in [-1, 1) that depend on the name only, on every computer and with every version of everything."""
    random = np.random.RandomState(zlib.crc32(name.encode()) % 2**32)
    return torch.from_numpy(random.uniform(-1, 1, tuple(shape)).astype(np.float32))


def filled(module: nn.Module) -> nn.Module:
    """Give every weight a number from its name; norms near one, layers so that signals keep their size."""
    state = module.state_dict()
    for name, value in state.items():
        if not value.is_floating_point():
            continue
        noise = numbers(name, value.shape)
        if name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
            value.copy_(1 + 0.4 * noise)
        elif value.ndim == 1:
            value.copy_(0.3 * noise)
        elif name.endswith("attention_biases"):
            value.copy_(2 * noise)
        else:
            value.copy_(noise * (3 / (value.numel() / value.shape[0])) ** 0.5)
    module.load_state_dict(state)
    return module.eval()


def fingerprint(out: torch.Tensor) -> list[float]:
    """Mean, deviation, and eight values along the diagonal."""
    channels, height, width = out.shape[1:]
    places = [(k * (channels - 1) // 7, k * (height - 1) // 7, k * (width - 1) // 7) for k in range(8)]
    return [out.mean().item(), out.std().item(), *(out[(0, *place)].item() for place in places)]


IMAGE = numbers("image", (1, 3, 1024, 1024))
EMBEDDING = numbers("embedding", (1, 256, 6, 6))

# Taken from MobileSAM (mobilesam-mirror 1.0.0) and torch-em 0.10.9, both on a processor in float32.
TINY_VIT = [0.02236, 1.02094, -0.42758, -0.93631, 0.77958, -0.82698, 0.30833, -0.66877, -0.29995, -0.2067]
UNETR = {
    False: [-0.02516, 0.74218, -0.28321, -0.86731, -0.61757, -2.6697, 0.58299, -0.26956, -0.68061, 0.18096],
    True: [-0.01592, 0.8048, -0.78797, -0.55439, -0.75581, 1.7897, -0.49194, -0.39583, 0.21756, 0.54044],
}


@pytest.fixture(scope="module")
def tiny_vit():
    return filled(TinyViT())


def encoded(module, x=IMAGE):
    with torch.inference_mode():
        return module(x)


def test_tiny_vit_has_the_names_and_sizes_of_mobile_sam():
    with torch.device("meta"):
        sam = build_tiny_vit()
    state = sam.state_dict()
    assert len(state) == 439
    assert sum(p.numel() for p in sam.parameters()) == 10_130_092
    assert sum(p.numel() for p in sam.image_encoder.parameters()) == 6_065_532
    shapes = {name: tuple(state[f"image_encoder.{name}"].shape) for name in SOME_SHAPES}
    assert shapes == SOME_SHAPES


SOME_SHAPES = {
    "patch_embed.seq.0.c.weight": (32, 3, 3, 3),
    "patch_embed.seq.2.bn.running_var": (64,),
    "layers.0.blocks.1.conv2.c.weight": (256, 1, 3, 3),
    "layers.0.downsample.conv3.bn.bias": (128,),
    "layers.1.blocks.0.attn.attention_biases": (4, 49),
    "layers.2.blocks.5.attn.attention_biases": (5, 196),
    "layers.2.blocks.5.attn.qkv.weight": (480, 160),
    "layers.2.downsample.conv2.c.weight": (320, 1, 3, 3),
    "layers.3.blocks.1.mlp.fc1.weight": (1280, 320),
    "layers.3.blocks.1.local_conv.bn.num_batches_tracked": (),
    "norm_head.weight": (320,),
    "head.weight": (1000, 320),
    "neck.0.weight": (256, 320, 1, 1),
    "neck.3.bias": (256,),
}


def test_tiny_vit_computes_what_mobile_sam_computes(tiny_vit):
    out = encoded(tiny_vit)
    assert out.shape == (1, 256, 64, 64)
    assert fingerprint(out) == pytest.approx(TINY_VIT, abs=2e-4)


def test_tiny_vit_gives_the_same_in_training_form(tiny_vit):
    """With gradients nothing is cached, and what is cached is forgotten when the weights change."""
    small = IMAGE[..., :128, :128]
    before = encoded(tiny_vit, small)
    torch.testing.assert_close(tiny_vit(small).detach(), before, atol=1e-5, rtol=1e-5)
    state = {name: value.clone() for name, value in tiny_vit.state_dict().items()}
    changed = {n: v + 1.5 * torch.rand_like(v) if n.endswith("attention_biases") else v for n, v in state.items()}
    tiny_vit.load_state_dict(changed)
    after = encoded(tiny_vit, small)
    tiny_vit.load_state_dict(state)
    assert (after - before).abs().max() > 1e-3
    torch.testing.assert_close(encoded(tiny_vit, small), before)


def test_tiny_vit_can_be_trained():
    encoder = filled(TinyViT()).train()
    encoder(IMAGE[..., :64, :64]).square().mean().backward()
    idle = {name for name, value in encoder.named_parameters() if value.grad is None}
    assert idle == {"head.weight", "head.bias", "norm_head.weight", "norm_head.bias"}


@pytest.mark.parametrize(("transposed", "count"), [(False, 9_593_159), (True, 11_030_855)])
def test_the_decoder_has_the_names_and_sizes_of_micro_sam(transposed, count):
    with torch.device("meta"):
        state = UnetrDistances(transposed).state_dict()
    assert len(state) == 66
    assert sum(value.numel() for value in state.values()) == count
    assert is_transposed(state) is transposed
    enlarge = "block" if transposed else "conv"
    size = (2, 2) if transposed else (1, 1)
    wanted = {
        "base.block.1.weight": (512, 256, 3, 3),
        f"deconv1.block.0.{enlarge}.weight": ((256, 512) if transposed else (512, 256)) + size,
        "deconv4.block.1.block.weight": (64, 64, 3, 3),
        "deconv2.block.2.running_mean": (256,),
        f"decoder.samplers.1.{enlarge}.weight": ((256, 128) if transposed else (128, 256)) + size,
        "decoder.blocks.2.block.4.bias": (64,),
        f"deconv_out.{enlarge}.bias": (64,),
        "decoder_head.block.1.weight": (64, 128, 3, 3),
        "out_conv.weight": (3, 64, 1, 1),
    }
    assert {name: tuple(state[name].shape) for name in wanted} == wanted


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_decoder_computes_what_torch_em_computes(transposed, layout):
    out = encoded(filled(UnetrDistances(transposed)).to(memory_format=layout), EMBEDDING)
    assert out.shape == (1, 3, 96, 96)
    assert fingerprint(out) == pytest.approx(UNETR[transposed], abs=2e-4)


def test_the_decoder_can_be_trained():
    decoder = filled(UnetrDistances()).train()
    decoder(EMBEDDING).square().mean().backward()
    assert all(value.grad is not None for value in decoder.parameters())


def test_a_folded_normalisation_computes_the_same():
    layers = filled(nn.Sequential(nn.Conv2d(5, 7, 3), nn.BatchNorm2d(7)))
    x = numbers("x", (2, 5, 9, 9))
    with torch.no_grad():
        weight, bias = fold(*layers)
        torch.testing.assert_close(nn.functional.conv2d(x, weight, bias), layers(x))


# Directly against the packages, where they are installed.


def imported(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, exc_type=ImportError)


def test_against_mobile_sam(tiny_vit):
    theirs = filled(imported("mobile_sam").sam_model_registry["vit_t"]().image_encoder)
    torch.testing.assert_close(encoded(tiny_vit), encoded(theirs), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("transposed", [False, True])
def test_against_torch_em(transposed):
    unetr = imported("torch_em.model.unetr").UNETR
    encoder = ImageEncoderViT(img_size=64, embed_dim=48, depth=1, num_heads=1)
    theirs = unetr(encoder=encoder, out_channels=3, use_skip_connection=False, use_conv_transpose=transposed)
    ours = filled(UnetrDistances(transposed))
    missing, surplus = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert all(name.startswith("encoder.") for name in missing)
    assert surplus == []
    adapter = imported("micro_sam.instance_segmentation").DecoderAdapter(theirs.eval())
    torch.testing.assert_close(
        encoded(ours, EMBEDDING), encoded(adapter._forward_impl, EMBEDDING), atol=1e-4, rtol=1e-4
    )
