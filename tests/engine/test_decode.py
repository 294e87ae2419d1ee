"""The decoder against segment-anything's own, on the same weights."""

from __future__ import annotations

import pytest
import torch
from segment_anything.modeling import TwoWayTransformer

from microsam_nb.engine.decode import SparsePrompts, decode, encode_prompts


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


def test_the_model_is_made_of_segment_anything_parts(sam):
    assert isinstance(sam.mask_decoder.transformer, TwoWayTransformer)
