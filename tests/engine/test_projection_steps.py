"""Projections can be left, and others come in between: while planes are encoded, and while cells are looked for."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from carrying import FREE, SIZE, disk

from microsam_nb.core import Image
from microsam_nb.engine import Known, ModelSpec, open_store, project_many
from microsam_nb.engine.reprompt import Reprompt
from microsam_nb.engine.store import Item
from microsam_nb.engine.tiling import Tiling
from microsam_nb.engine.walks import asked as questions
from microsam_nb.engine.walks import case

PLANES = 5


@pytest.fixture
def image():
    pixels = np.random.default_rng(0).integers(0, 255, (PLANES, SIZE, SIZE)).astype(np.uint8)
    return Image(pixels, "zyx")


@pytest.fixture
def by_blocks(random_nano):
    """A model that encodes what it is asked about, in three blocks; ``taken`` counts them."""
    sam = copy.copy(random_nano.sam)
    sam._modules = dict(sam._modules)

    class Blocks(torch.nn.Module):
        img_size, taken = sam.image_encoder.img_size, 0

        def forward(self, x):
            return encoder(x)

        def steps(self, x):
            for _ in range(3):
                self.taken += 1
                yield
            return self(x)

    encoder, sam.image_encoder = sam.image_encoder, Blocks()
    return replace(random_nano, sam=sam, spec=ModelSpec("other", "vit_t", "xxh128:0123456789abcdef"))


@pytest.mark.parametrize("how", [Reprompt.SINGLE_POINT, Reprompt.BOX, Reprompt.CORRECTION])
@pytest.mark.parametrize("tiling", [None, Tiling((32, 32), (8, 8))], ids=["planes", "tiles"])
def test_planes_are_encoded_block_by_block_before_they_are_asked_about(image, by_blocks, tiling, how, monkeypatch):
    store = open_store(None, by_blocks, image, tiling)
    asked = []

    def predict_many(model, source, objects, **more):
        asked.append(by_blocks.sam.image_encoder.taken)
        found = real(model, source, objects, **more)
        if tiling is None:
            assert by_blocks.sam.image_encoder.taken == asked[-1], "nothing was left to be encoded"
        return found

    real = questions.predict_many
    monkeypatch.setattr(questions, "predict_many", predict_many)
    steps = project_many(by_blocks, store, [Known({2: disk(2, 12, 12, 5)})], replace(FREE, prompt=how), stops=(0, 4))
    for _ in range(3):
        assert next(steps) == []
        assert not asked
    while not asked:
        next(steps)
    assert any(store.has(plane, tile) for plane in (1, 3) for tile in range(store.tiles))


def test_what_is_left_in_the_middle_of_a_plane_is_gone_on_with(image, by_blocks):
    store = open_store(None, by_blocks, image)
    known = [Known({2: disk(2, 32, 32, 8)})]
    steps = project_many(by_blocks, store, known, FREE, stops=(1,))
    assert [next(steps), next(steps)] == [[], []]
    steps.close()
    assert not store.has(3)
    assert by_blocks.sam.image_encoder.taken == 2
    store.fill([Item(3)])
    assert by_blocks.sam.image_encoder.taken == 3


def test_nano_encodes_nothing(image, random_nano):
    store = open_store(None, random_nano, image)
    list(project_many(random_nano, store, [Known({2: disk(2, 32, 32, 8)})], FREE))
    assert not any(store.has(plane) for plane in range(PLANES))


def test_of_many_cells_one_is_looked_for_at_a_time(image, random_nano, monkeypatch):
    movie = Image(image.pixels, "tyx")
    store, looked = open_store(None, random_nano, movie), []
    real = case.seen_shift
    monkeypatch.setattr(case, "seen_shift", lambda *given: looked.append(1) or real(*given))
    cells = [Known({0: disk(0, 8 + 5 * (n % 10), 8 + 12 * (n // 10), 2)}) for n in range(40)]
    steps = project_many(random_nano, store, cells, replace(FREE, motion=True, search=1.0, backward=False))
    most = 0
    for _ in range(40):
        before = len(looked)
        next(steps)
        most = max(most, len(looked) - before)
    assert len(looked) == 40
    assert most == 1
