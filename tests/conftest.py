"""Drawn images, a fake engine and a random model: what tests of every folder share."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import threading
from dataclasses import dataclass, field

import numpy as np
import pytest
from drawing import disk
from hypothesis import settings
from workers import (  # noqa: F401
    pytest_collection_modifyitems,
    pytest_xdist_auto_num_workers,
    pytest_xdist_make_scheduler,
)

from microsam_nb.core import BoxPrompt, Candidate, Image, LabelledImage, Mask
from microsam_nb.session import Action, Embed, Embedded, LoadModel, ModelLoaded, Predict, Predicted, Request

settings.register_profile("house", deadline=None, max_examples=40, database=None)
settings.load_profile("house")


@dataclass
class DiskService:
    """A fake engine: answers Predict at once with a disk.

    The disk lies around the first positive point, or fills the box; a prompt without either finds nothing. Every
    request is kept in ``requests``. Clear ``gate`` to hold answers back, set it to let them go.
    """

    shape: tuple[int, int, int]
    radius: float = 5.0
    score: float = 0.9
    requests: list[Request] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def __call__(self, request: Request) -> list[Action]:
        self.requests.append(request)
        self.gate.wait(20)
        if isinstance(request, Embed):
            return [Embedded(request.plane, 0.01, "disks")]
        if isinstance(request, LoadModel):
            return [ModelLoaded(request.name, "cpu")]
        found = [Candidate(self.mask(one), self.score, self.origin(one)) for one in request.objects]
        return [Predicted(request.ticket, tuple(found))]

    @property
    def predictions(self) -> list[Predict]:
        return [r for r in self.requests if isinstance(r, Predict)]

    def origin(self, prompts) -> str:
        return "box" if any(isinstance(p, BoxPrompt) for p in prompts) else "points"

    def mask(self, prompts) -> Mask:
        _, height, width = self.shape
        plane = prompts[0].plane
        for one in prompts:
            if isinstance(one, BoxPrompt):
                yy, xx = np.indices((height, width)) + 0.5
                ry, rx = (one.y1 - one.y0) / 2, (one.x1 - one.x0) / 2
                inside = ((yy - one.y0) / ry - 1) ** 2 + ((xx - one.x0) / rx - 1) ** 2 <= 1
                return Mask.crop(inside, (plane, 0, 0))
        for one in prompts:
            if one.positive:
                return Mask.crop(disk((height, width), one.y, one.x, self.radius), (plane, 0, 0))
        return Mask.crop(np.zeros((height, width), bool), (plane, 0, 0))


@pytest.fixture
def disks():
    """The fake engine's class: ``disks(shape, radius=5)`` is a service for the Runner."""
    return DiskService


@pytest.fixture
def draw_disk():
    """``draw_disk((h, w), y, x, radius)`` -> bool array."""
    return disk


def _discs(size=96, spots=((24, 26, 11), (30, 70, 9), (70, 40, 14), (76, 80, 7))):
    labels = np.zeros((size, size), np.int32)
    for number, (y, x, radius) in enumerate(spots, start=1):
        labels[disk((size, size), y, x, radius)] = number
    noise = np.random.default_rng(0).normal(0, 6, (size, size))
    pixels = np.clip(30 + 170 * (labels > 0) + noise, 0, 255).astype(np.uint8)
    return pixels, labels


@pytest.fixture(scope="session")
def drawn() -> LabelledImage:
    """Four bright discs on a dark ground, uint8 (96, 96), and their labels 1 to 4."""
    pixels, labels = _discs()
    pixels.flags.writeable = labels.flags.writeable = False
    return LabelledImage(pixels, labels, "drawn | discs", "discs")


@pytest.fixture(scope="session")
def drawn_image(drawn) -> Image:
    """The pixels of ``drawn`` as an Image."""
    return Image(drawn.pixels, name="discs")


@pytest.fixture(scope="session")
def random_nano():
    """A nano ``Model`` of segment-anything's real classes with random weights of a fixed seed, in eval mode.

    Shared by all tests: do not train or fold it.
    """
    import torch

    from microsam_nb.engine.training.embedded import new_nano

    state = torch.random.get_rng_state()
    model = new_nano(seed=3)
    torch.random.set_rng_state(state)
    model.sam.eval().requires_grad_(False)
    model.distances.eval().requires_grad_(False)
    return model


@pytest.fixture(scope="session")
def weights(random_nano, tmp_path_factory):
    """The path of a checkpoint of the random nano model."""
    from microsam_nb.engine.training.embedded import save_embedded

    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_embedded(random_nano, path, note="random")
    return str(path)


@pytest.fixture(scope="session")
def nano():
    """The embedded model on the CPU. Shared by all tests: do not train or fold it."""
    from microsam_nb.engine import load_model

    return load_model("nano", "cpu")


@pytest.fixture
def exact(monkeypatch):
    """Inference in float32, so that two ways of computing the same can be compared."""
    import torch

    from microsam_nb.engine import precision

    monkeypatch.setattr(precision, "fast_dtype", lambda device: torch.float32)
