"""Images of every sort, prompts of every kind, from the array to the mask."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr

from microsam_nb.core import (
    BoxPrompt,
    Ellipse,
    Image,
    Mask,
    MaskPrompt,
    Point,
    Polygon,
    PromptError,
    Scribble,
    Stop,
)
from microsam_nb.engine import encode, predict, predict_many

pytestmark = pytest.mark.usefixtures("exact")

SIZE = (36, 48)
EVERY = [
    [Point(0, 20, 30)],
    [Point(0, 20, 30, positive=False)],
    [BoxPrompt(0, 5, 10, 30, 40)],
    [Ellipse(0, 5, 10, 30, 40)],
    [Polygon(0, ((5, 10), (30, 40), (30, 10)))],
    [Scribble(0, ((5, 10), (30, 40)))],
    [MaskPrompt(Mask((0, 5, 10), np.ones((1, 20, 25), bool)))],
    [Ellipse(0, 5, 10, 30, 40), Point(0, 20, 30), Scribble(0, ((1, 1), (1, 40)), positive=False)],
    [BoxPrompt(0, 0, 0, 36, 48), MaskPrompt(Mask((0, 35, 47), np.ones((1, 1, 1), bool)))],
]


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(5).integers(0, 200, SIZE).astype(np.uint8)


def as_memmap(pixels, folder):
    out = np.memmap(folder / "pixels", pixels.dtype, "w+", shape=pixels.shape)
    out[:] = pixels
    return out


def read_only(pixels):
    out = pixels.copy()
    out.flags.writeable = False
    return out


SAME = {
    "dask": lambda pixels, folder: da.from_array(pixels, chunks=10),
    "zarr": lambda pixels, folder: zarr.array(pixels, chunks=(16, 16)),
    "memmap": as_memmap,
    "read-only": lambda pixels, folder: read_only(pixels),
    "column by column": lambda pixels, folder: np.asfortranarray(pixels),
    "every second": lambda pixels, folder: pixels.repeat(2, 0).repeat(2, 1)[::2, ::2],
    "backwards": lambda pixels, folder: pixels[::-1, ::-1].copy()[::-1, ::-1],
    "masked": lambda pixels, folder: np.ma.masked_array(pixels, np.zeros(SIZE, bool)),
    "list": lambda pixels, folder: pixels.tolist(),
    **{kind: lambda pixels, folder, kind=kind: pixels.astype(kind) for kind in (">u2", "u4", "i8", "f2", "f4", ">f8")},
    "one channel": lambda pixels, folder: pixels[..., None],
    "one plane": lambda pixels, folder: pixels[None],
}


@pytest.fixture(scope="module")
def plain(random_nano, pixels):
    """The answer to a box around pixels that lie in memory as they should."""
    found = predict(random_nano, encode(random_nano, Image(pixels).shown()), [BoxPrompt(0, 5, 10, 30, 40)])
    assert found.mask.area
    return found


@pytest.mark.parametrize("sort", SAME)
def test_the_same_pixels_in_any_form_give_the_same_mask(random_nano, pixels, plain, tmp_path, sort):
    image = Image(SAME[sort](pixels, tmp_path))
    other = predict(random_nano, encode(random_nano, image.shown()), [BoxPrompt(0, 5, 10, 30, 40)])
    assert other.mask == plain.mask
    assert other.score == pytest.approx(plain.score)


@pytest.mark.parametrize("prompts", EVERY, ids=lambda own: "+".join(type(p).__name__ for p in own))
@pytest.mark.parametrize("nan", [False, True])
def test_every_kind_of_prompt_gets_a_mask_in_its_plane(random_nano, pixels, prompts, nan):
    image = pixels.astype(float)
    if nan:
        image[3:9, 4:40] = np.nan
        image[20, 30] = np.inf
    found = predict(random_nano, encode(random_nano, Image(image).shown()), prompts)
    assert 0 <= found.score <= 1
    if found.mask.area:
        assert found.mask.dense((1, *SIZE)).sum() == found.mask.area


def test_all_kinds_together_are_those_one_by_one(random_nano, pixels):
    embedding = encode(random_nano, Image(pixels).shown())
    together = predict_many(random_nano, embedding, EVERY)
    for prompts, found in zip(EVERY, together, strict=True):
        alone = predict(random_nano, embedding, prompts)
        assert alone.origin == found.origin
        assert alone.score == pytest.approx(found.score, abs=1e-4)
        assert (alone.mask.dense((1, *SIZE)) ^ found.mask.dense((1, *SIZE))).mean() < 2e-3


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3), (1500, 7)])
@pytest.mark.parametrize("constant", [False, True])
def test_images_of_any_size(random_nano, size, constant):
    pixels = np.full(size, 7, np.uint16) if constant else np.arange(np.prod(size), dtype=np.uint16).reshape(size)
    embedding = encode(random_nano, Image(pixels, "yx").shown())
    whole = Mask((0, 0, 0), np.ones((1, *size), bool))
    corner = Point(0, size[0] - 0.01, size[1] - 0.01)
    for prompts in ([corner], [BoxPrompt(0, 0, 0, *size)], [MaskPrompt(whole)], [Scribble(0, ((0, 0), size))]):
        found = predict(random_nano, embedding, prompts)
        assert found.mask.dense((1, *size)).shape == (1, *size)


@pytest.mark.parametrize("place", [(0, 0), (0, 47), (35, 0), (35, 47), (17, 20)])
def test_an_object_of_one_pixel_anywhere(random_nano, pixels, place):
    mask = MaskPrompt(Mask((0, *place), np.ones((1, 1, 1), bool)))
    embedding = encode(random_nano, Image(pixels).shown())
    predict(random_nano, embedding, [mask])
    predict(random_nano, embedding, [BoxPrompt(0, *place, place[0] + 1, place[1] + 1)])


@pytest.mark.parametrize(
    ("prompts", "remedy"),
    [
        ([], "Click on an object or draw a box"),
        ([Stop(0)], "Leave it out here"),
        ([Point(0, 36, 5)], "Click inside: y from 0 to 36, x from 0 to 48."),
        ([Ellipse(0, 40, 5, 60, 9)], "Draw it inside"),
        ([Polygon(0, ((-5, -5), (-5, 60), (-1, 60)))], "Draw it inside"),
        ([Scribble(0, ((5, 50), (9, 50)))], "Draw it inside"),
        ([MaskPrompt(Mask((0, 30, 40), np.ones((1, 10, 10), bool)))], "made for this image"),
        ([BoxPrompt(0, 1, 1, 9, 9), BoxPrompt(0, 2, 2, 8, 8)], "Keep one box"),
        ([Point(0, 5, 5), Ellipse(1, 1, 1, 9, 9)], "one plane at a time"),
        (["point"], "Give a list of points"),
    ],
)
def test_prompts_that_cannot_be_answered_say_what_to_do(random_nano, pixels, prompts, remedy):
    embedding = encode(random_nano, Image(pixels).shown())
    with pytest.raises(PromptError) as error:
        predict_many(random_nano, embedding, [[Point(0, 5, 5)], prompts])
    assert remedy in error.value.remedy
