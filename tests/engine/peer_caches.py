"""Run by ``test_store_interchange.py`` in micro-sam's environment: open our stores, and write its own.

    PEER_PYTHON peer_caches.py FOLDER

``FOLDER`` holds ``vit_b.pth`` and for every case ``NAME.npy`` (the image), ``NAME.json`` (how to embed it) and
``NAME-ours.zarr``. Leaves ``NAME-ours.npz`` (the features that micro-sam read), ``NAME-peer.zarr`` and
``NAME-peer.npz`` (the features that it wrote).
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from micro_sam import util


class Refuse(torch.nn.Module):
    img_size = 1024

    def forward(self, x):
        raise RuntimeError("micro-sam computes what it should read")


class Cheap(torch.nn.Module):
    """Features from averaged pixels, quick and without weights."""

    img_size = 1024

    def forward(self, x):
        small = torch.nn.functional.adaptive_avg_pool2d(x, 64)
        return small.repeat(1, 86, 1, 1)[:, :256].contiguous()


def features(found):
    """Return every array of features by name."""
    one = found["features"]
    if hasattr(one, "arrays"):
        return {name: array[...] for name, array in one.arrays()}
    return {"features": np.asarray(one[...])}


def main():
    folder = Path(sys.argv[1])
    predictor = util.get_sam_model("vit_b", device="cpu", checkpoint_path=str(folder / "vit_b.pth"))
    for case in sorted(folder.glob("*.json")):
        options = json.loads(case.read_text())
        image = np.load(case.with_suffix(".npy"))
        for who, encoder in (("ours", Refuse()), ("peer", Cheap())):
            predictor.model.image_encoder = encoder
            place = folder / f"{case.stem}-{who}.zarr"
            found = util.precompute_image_embeddings(predictor, image, save_path=str(place), verbose=False, **options)
            np.savez(folder / f"{case.stem}-{who}.npz", **features(found))


if __name__ == "__main__":
    main()
