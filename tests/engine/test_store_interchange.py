"""Caches go both ways between us and micro-sam itself.

    MICROSAM_PEER_PYTHON=/path/to/its/python python -m pytest tests/engine/test_store_interchange.py

Encoders are fakes on both sides, since it is about what lies on disk; the checkpoint is a vit_b with random weights.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import fake_encoder
import numpy as np
import pytest
import torch
from segment_anything import sam_model_registry

from microsam_nb.core import Image
from microsam_nb.engine import embed, load_model, open_store
from microsam_nb.engine.tiling import Tiling

PEER = os.environ.get("MICROSAM_PEER_PYTHON")
pytestmark = pytest.mark.skipif(not PEER, reason="MICROSAM_PEER_PYTHON names no Python with micro-sam")

TILING = Tiling((64, 80), (16, 8))
CASES = {
    "plane": ((100, 120), 2, None),
    "colour": ((100, 120, 3), 2, None),
    "volume": ((3, 100, 120), 3, None),
    "tiled-plane": ((100, 150), 2, TILING),
    "tiled-volume": ((2, 100, 150), 3, TILING),
}


@pytest.fixture(scope="module")
def exchanged(tmp_path_factory):
    """The folder after micro-sam has opened our stores and written its own, and the model."""
    folder = tmp_path_factory.mktemp("exchange")
    torch.manual_seed(0)
    torch.save(sam_model_registry["vit_b"]().state_dict(), folder / "vit_b.pth")
    model = load_model(folder / "vit_b.pth", "cpu")
    patch = pytest.MonkeyPatch()
    from microsam_nb.engine.store.source import Source

    encoder = fake_encoder.FakeEncoder()
    patch.setattr(fake_encoder, "FEATURES", (1, 256, 64, 64))
    patch.setattr(Source, "encode_stepwise", lambda self, items: encoder.steps(self, items))
    for name, (shape, ndim, tiling) in CASES.items():
        image = make(shape)
        np.save(folder / f"{name}.npy", image.pixels)
        options = {"ndim": ndim}
        if tiling is not None:
            options |= {"tile_shape": tiling.tile, "halo": tiling.halo}
        (folder / f"{name}.json").write_text(json.dumps(options))
        list(embed(model, image, open_store(folder / f"{name}-ours.zarr", model, image, tiling)))
    script = Path(__file__).with_name("peer_caches.py")
    done = subprocess.run([PEER, str(script), str(folder)], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    yield folder, model, done.stderr
    patch.undo()


def make(shape):
    return Image(np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16))


def named(name, plane, tile):
    """Where an item lies in the arrays that micro-sam returned."""
    return (str(tile) if "tiled" in name else "features"), (plane if "volume" in name else ...)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("who", ["ours", "peer"])
def test_both_read_the_same_features(exchanged, name, who):
    folder, model, _ = exchanged
    shape, _, tiling = CASES[name]
    theirs = np.load(folder / f"{name}-{who}.npz")
    store = open_store(folder / f"{name}-{who}.zarr", model, make(shape), tiling, verify=True)
    assert store.complete
    assert store.stretched_by_peer == (who == "peer")
    for plane, tile in store.items():
        found = store.tile(plane, tile)
        array, part = named(name, plane, tile)
        assert np.array_equal(found.features.numpy(), theirs[array][part])
        assert found.features.shape == (1, 256, 64, 64)
        assert max(found.input_size) == 1024
    assert len(theirs.files) == store.tiles


def test_micro_sam_finds_nothing_wrong_but_another_version(exchanged):
    said = [line for line in exchanged[2].splitlines() if "signature" in line.lower()]
    assert not [line for line in said if "micro_sam_version" not in line], said
