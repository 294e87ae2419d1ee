"""micro-sam's side of effort.py: its functions, prompted by the same simulated annotator, with the same weights.

nano is a segment-anything ``Sam``, which micro-sam's functions take as a ``SamPredictor``. Its planes are encoded as
micro-sam does it (stretched from minimum to maximum), before the clock runs; so are ours that need it. Projection is
that of micro-sam for models without settings of their own: a single point, IoU 0.5. After every prompt all prompted
planes and the whole object are segmented again, as its button does.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
from effort_oracle import Prompts, annotate
from micro_sam.multi_dimensional_segmentation import segment_mask_in_volume
from micro_sam.prompt_based_segmentation import segment_from_points
from segment_anything import SamPredictor, sam_model_registry

from microsam_nb.engine import load_model


class Peer:
    def __init__(self, volume: np.ndarray) -> None:
        self.shape = volume.shape[:3]
        self.predictor = SamPredictor(load_model("nano", device="cpu").sam)
        features = []
        for plane in volume:
            low, high = plane.min(), plane.max()
            grey = ((plane - low) / (high - low + 1e-7) * 255).astype(np.uint8)
            self.predictor.set_image(np.repeat(grey[..., None], 3, 2) if grey.ndim == 2 else grey)
            features.append(self.predictor.features)
        self.embeddings = {
            "features": torch.stack(features),
            "input_size": self.predictor.input_size,
            "original_size": self.predictor.original_size,
        }

    def begin(self) -> None:
        """Nothing is kept between prompts."""

    def segment(self, prompts: Prompts) -> np.ndarray:
        seeds = np.zeros(self.shape, np.uint32)
        for plane, clicks in prompts.clicks.items():
            points = np.array([(y, x) for y, x, _ in clicks])
            signs = np.array([int(positive) for *_, positive in clicks])
            found = segment_from_points(self.predictor, points, signs, image_embeddings=self.embeddings, i=plane)
            seeds[plane] = found.squeeze()
        if len(seeds) == 1:
            return seeds > 0
        planes = sorted([*prompts.clicks, *prompts.stops])
        with contextlib.redirect_stdout(io.StringIO()):
            found, _ = segment_mask_in_volume(
                seeds, self.predictor, self.embeddings, np.array(planes), planes[0] in prompts.stops,
                planes[-1] in prompts.stops, iou_threshold=0.5, projection="single_point", box_extension=0.05,
            )  # fmt: skip
        return found > 0


def carried(task) -> dict[str, float]:
    """Carry one object through planes of vit_b's embeddings."""
    data = np.load(task["file"])
    count = task["planes"]
    predictor = SamPredictor(sam_model_registry["vit_b"](task["weights"]).eval())
    embeddings = {
        "features": torch.from_numpy(data["features"]).expand(count, -1, -1, -1, -1),
        "input_size": (1024, 1024),
        "original_size": (512, 512),
    }
    volume = np.zeros((count, 512, 512), np.uint32)
    volume[0] = data["seed"]
    start = time.perf_counter()
    segment_mask_in_volume(
        volume, predictor, embeddings, np.array([0]), False, False,
        iou_threshold=0.0, projection=task["projection"], box_extension=0.05,
    )  # fmt: skip
    return {"seconds": time.perf_counter() - start, "planes": count - 1}


def main() -> None:
    torch.set_grad_enabled(False)
    for line in sys.stdin:
        task = json.loads(line)
        if task["task"] == "cost":
            print("answer", json.dumps(carried(task)), flush=True)
            continue
        data = np.load(task["file"])
        peer = Peer(data["volume"].astype(np.float64))
        efforts = [asdict(annotate(peer, data["labels"] == number)) for number in task["objects"]]
        print("answer", json.dumps({"efforts": efforts}), flush=True)


if __name__ == "__main__":
    main()
