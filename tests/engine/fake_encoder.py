"""Shared by the tests of stores and of embed: an encoder that answers at once, and how a store looks on disk."""

from __future__ import annotations

import math

import numpy as np
import torch

from microsam_nb.core import Image
from microsam_nb.engine.embedding import Embedding
from microsam_nb.engine.encode import scaled_size

FEATURES = (1, 4, 8, 8)


def volume(planes=3, height=40, width=50, dtype=np.uint8, seed=0) -> Image:
    pixels = np.random.default_rng(seed).integers(0, 200, (planes, height, width)).astype(dtype)
    return Image(pixels, "zyx")


class FakeEncoder:
    """Replaces ``Source.encode_stepwise``: features are drawn from the pixels. Counts what it was asked for."""

    def __init__(self) -> None:
        self.items = []

    def __call__(self, source, items):
        self.items += list(items)
        return [self.one(source.pixels(item), source.model) for item in items]

    def steps(self, source, items):
        return self(source, items)
        yield

    def one(self, pixels, model) -> Embedding:
        seed = int(pixels.astype(np.int64).sum()) * 31 + pixels.shape[0]
        features = np.random.default_rng(seed).normal(size=FEATURES).astype(np.float32)
        size = scaled_size(pixels.shape[:2], model.frame, model.enlargement)
        return Embedding(
            features=torch.from_numpy(features), original_size=pixels.shape[:2], input_size=size, pixels=pixels
        )


def features(source_image, model, plane=0, tiling=None, tile=0):
    """What the fake encoder makes of an item."""
    pixels = source_image.shown(plane)
    if tiling is not None:
        pixels = pixels[tiling.tile_at(source_image.shape[1:], tile).outer.slices]
    return FakeEncoder().one(pixels, model).features


def tiles_of(image, tiling):
    return math.prod(tiling.grid(image.shape[1:]))
