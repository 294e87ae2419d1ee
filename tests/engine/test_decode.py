"""The decoder against segment-anything's own, on the same weights."""

from __future__ import annotations

import copy

import pytest
import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from microsam_nb.engine.backbones.nano import build_nano
from microsam_nb.engine.decode import (
    SparsePrompts,
    decode,
    decode_prompts,
    dense_position,
    draw,
    encode_prompts,
)


@pytest.fixture(scope="module")
def sam(random_nano):
    return random_nano.sam


@pytest.fixture(scope="module")
def features():
    return torch.randn(1, 128, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def position(sam):
    return sam.prompt_encoder.get_dense_pe()


@pytest.fixture
def points():
    random = torch.Generator().manual_seed(2)
    return torch.rand(3, 2, 2, generator=random) * 250, torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


@pytest.fixture
def boxes():
    return torch.tensor([[10.0, 20.0, 200.0, 230.0], [5.0, 5.0, 60.0, 70.0], [100.0, 0.0, 256.0, 256.0]])


@pytest.fixture
def earlier():
    return torch.randn(3, 1, 128, 128, generator=torch.Generator().manual_seed(4))


def decode_tokens(decoder, features, position, sparse, dense, *, several):
    """segment-anything's mask decoder, but each prompt may have an embedding of its own."""
    count = sparse.shape[0]
    fixed = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([fixed.expand(count, -1, -1), sparse.to(fixed.dtype)], dim=1)
    source = (features + dense).expand(count, -1, -1, -1)
    hidden, flat = decoder.transformer(source, position.expand(count, -1, -1, -1), tokens)
    upscaled = decoder.output_upscaling(flat.transpose(1, 2).reshape(source.shape))
    wanted = range(4) if several is None else range(1, 4) if several else range(1)
    heads = decoder.output_hypernetworks_mlps
    kernels = torch.stack([heads[i](hidden[:, 1 + i]) for i in wanted], dim=1)
    n, c, h, w = upscaled.shape
    masks = (kernels @ upscaled.reshape(n, c, h * w)).reshape(n, -1, h, w)
    return masks, decoder.iou_prediction_head(hidden[:, 0])[:, wanted.start : wanted.stop]


def own(sam, features, position, several, points=None, boxes=None, masks=None):
    """segment-anything's prompt encoder and mask decoder."""
    sparse, dense = sam.prompt_encoder(points=points, boxes=boxes, masks=masks)
    return sam.mask_decoder(
        image_embeddings=features,
        image_pe=position,
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=several,
    )


def close(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("several", [True, False])
def test_points(sam, features, position, points, several):
    ours = decode(sam, features, position, SparsePrompts(*points), several=several)
    assert ours[0].shape == (3, 3 if several else 1, 128, 128)
    close(ours, own(sam, features, position, several, points=points))


@pytest.mark.parametrize("several", [True, False])
def test_boxes(sam, features, position, boxes, several):
    ours = decode(sam, features, position, SparsePrompts(boxes=boxes), several=several)
    close(ours, own(sam, features, position, several, boxes=boxes))


def test_points_with_a_box_and_an_earlier_answer(sam, features, position, points, boxes, earlier):
    ours = decode(sam, features, position, SparsePrompts(*points, boxes, earlier), several=False)
    close(ours, own(sam, features, position, False, points, boxes, earlier))
    without = decode(sam, features, position, SparsePrompts(*points, boxes), several=False)
    assert not torch.allclose(ours[0], without[0])


def test_an_earlier_answer_alone_is_a_prompt(sam, features, position, earlier):
    ours = decode(sam, features, position, SparsePrompts(logits=earlier), several=True)
    close(ours, own(sam, features, position, True, masks=earlier))


def test_all_four_answers_begin_with_the_single_one(sam, features, position, points):
    prompts = SparsePrompts(*points)
    four = decode(sam, features, position, prompts, several=None)
    one = decode(sam, features, position, prompts, several=False)
    three = decode(sam, features, position, prompts, several=True)
    assert four[0].shape[1] == four[1].shape[1] == 4
    close(four, [torch.cat(pair, 1) for pair in zip(one, three, strict=True)])


def test_a_batch_equals_one_by_one(sam, features, position, points):
    together = decode(sam, features, position, SparsePrompts(*points), several=None)
    for i in range(3):
        alone = SparsePrompts(points[0][i : i + 1], points[1][i : i + 1])
        close([part[i : i + 1] for part in together], decode(sam, features, position, alone, several=None))


def test_every_prompt_may_have_its_own_image(sam, features, position, boxes):
    several = torch.cat([features, features.flip(2), -features])
    together = decode(sam, several, position, SparsePrompts(boxes=boxes), several=False)
    for i in range(3):
        alone = decode(sam, several[i : i + 1], position, SparsePrompts(boxes=boxes[i : i + 1]), several=False)
        close([part[i : i + 1] for part in together], alone)
    assert not torch.allclose(together[0][1], decode(sam, features, position, SparsePrompts(boxes=boxes))[0][1])


def test_prompts_are_encoded_as_by_segment_anything(sam, points, boxes, earlier):
    size = torch.Size((32, 32))
    for given in ((points, None, None), (points, boxes, None), (None, boxes, None), (points, boxes, earlier)):
        coordinates, labels = given[0] or (None, None)
        sparse, dense = encode_prompts(sam.prompt_encoder, SparsePrompts(coordinates, labels, *given[1:]), size)
        theirs = sam.prompt_encoder(points=given[0], boxes=given[1], masks=given[2])
        close([sparse, dense.expand(3, -1, -1, -1)], theirs)


def test_prompts_are_counted(points, boxes, earlier):
    assert SparsePrompts(*points).count == SparsePrompts(boxes=boxes).count == SparsePrompts(logits=earlier).count == 3
    assert SparsePrompts().count == 0


@pytest.fixture(scope="module")
def vit_b():
    """segment-anything's decoder in vit_b's sizes, with random weights and scores far from uniform."""
    torch.manual_seed(6)
    parts = build_nano()
    prompts = PromptEncoder(embed_dim=256, image_embedding_size=(16, 16), input_image_size=(256, 256), mask_in_chans=16)
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
    decoder = MaskDecoder(transformer_dim=256, transformer=transformer)
    for weight in decoder.parameters():
        weight.data.mul_(1.5).add_(torch.randn_like(weight) * 0.02)
    return Sam(parts.image_encoder, prompts, decoder).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def wide():
    return torch.randn(1, 256, 16, 16, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize("with_mask", [False, True])
def test_in_the_sizes_of_vit_b(vit_b, wide, count, with_mask):
    random = torch.Generator().manual_seed(8)
    points = torch.rand(count, 3, 2, generator=random) * 256, torch.randint(0, 2, (count, 3), generator=random)
    masks = torch.randn(count, 1, 64, 64, generator=random) if with_mask else None
    position = vit_b.prompt_encoder.get_dense_pe()
    ours = decode(vit_b, wide, position, SparsePrompts(*points, logits=masks), several=True)
    close(ours, own(vit_b, wide, position, True, points=points, masks=masks))


def test_the_plain_way_gives_the_same(sam, features, position, points, earlier):
    for logits in (None, earlier):
        prompts = SparsePrompts(*points, logits=logits)
        parts = encode_prompts(sam.prompt_encoder, prompts, features.shape[-2:])
        plain = decode_tokens(sam.mask_decoder, features, position, *parts, several=None)
        close(decode(sam, features, position, prompts), plain)


def test_masks_may_be_drawn_for_some_prompts_only(sam, features, position, points):
    masks, scores = decode(sam, features, position, SparsePrompts(*points))
    hidden = decode_prompts(sam, features, position, SparsePrompts(*points))
    close([hidden.scores], [scores])
    close([draw(sam.mask_decoder, hidden[1:], [2, 0])], [masks[1:, [2, 0]]])
    best = hidden.scores.argmax(1)
    close([draw(sam.mask_decoder, hidden, best[:, None])[:, 0]], [masks[torch.arange(3), best]])
    kept = hidden[torch.tensor([True, False, True])]
    close([draw(sam.mask_decoder, kept, range(4))], [masks[[0, 2]]])
    assert draw(sam.mask_decoder, hidden[:0], [1]).shape == (0, 1, 128, 128)


def test_half_precision_is_close(vit_b, wide):
    points = torch.rand(5, 1, 2, generator=torch.Generator().manual_seed(9)) * 256, torch.ones(5, 1)
    position = vit_b.prompt_encoder.get_dense_pe()
    exact = decode(vit_b, wide, position, SparsePrompts(*points), several=True)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        half = decode(vit_b, wide, position, SparsePrompts(*points), several=True)
    assert half[0].dtype == torch.bfloat16
    for a, b in zip(half, exact, strict=True):
        assert (a.float() - b).square().mean().sqrt() < 0.05 * b.std()


def test_half_precision_does_not_move_prompts(sam, points, boxes):
    prompts, size = SparsePrompts(*points, boxes), torch.Size((64, 64))
    exact, _ = encode_prompts(sam.prompt_encoder, prompts, size)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encode_prompts(sam.prompt_encoder, prompts, size)[0], exact)


@pytest.mark.parametrize("way", ["fast", "plain"])
def test_gradients_flow(sam, features, position, boxes, way):
    image = features.clone().requires_grad_()
    prompts = SparsePrompts(boxes=boxes)
    if way == "fast":
        masks, scores = decode(sam, image, position, prompts)
    else:
        parts = encode_prompts(sam.prompt_encoder, prompts, image.shape[-2:])
        masks, scores = decode_tokens(sam.mask_decoder, image, position, *parts, several=None)
    (masks.square().mean() + scores.sum()).backward()
    assert image.grad.abs().amax(1).min() > 0


def test_no_prompts_give_no_masks(sam, features, position):
    masks, scores = decode(sam, features, position, SparsePrompts(boxes=torch.zeros(0, 4)), several=True)
    assert masks.shape == (0, 3, 128, 128)
    assert scores.shape == (0, 3)


def test_the_position_is_made_once_and_anew_for_other_weights(vit_b):
    encoder = copy.deepcopy(vit_b.prompt_encoder)
    with torch.inference_mode():
        first = dense_position(encoder)
        assert dense_position(encoder) is first
    torch.testing.assert_close(first, encoder.get_dense_pe())
    encoder.pe_layer.positional_encoding_gaussian_matrix.mul_(2)
    assert not torch.allclose(dense_position(encoder), first)
    torch.testing.assert_close(dense_position(encoder), encoder.get_dense_pe())


def test_the_model_is_made_of_segment_anything_parts(sam):
    assert isinstance(sam.mask_decoder.transformer, TwoWayTransformer)
