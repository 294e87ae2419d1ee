"""micro-sam's side of effort.py: its functions, prompted by the same simulated annotator, with the same weights.

usage: effort_peer.py planes|looks [lm], run by a Python that has micro-sam

planes: nano is a segment-anything ``Sam``, which micro-sam's functions take as a ``SamPredictor``. Whole planes are
encoded as micro-sam does it (stretched from minimum to maximum), before the clock runs. looks: behind micro-sam's
functions is a predictor that asks our ``predict_many``, which looks at windows of the plane and has no previous mask.
Projection is micro-sam's for models without settings of their own, a single point and IoU 0.5; lm: that for light
microscopy, a box and IoU 0.8. After every prompt all prompted planes and the whole object are segmented again, as its
button does.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
from effort_oracle import Prompts, annotate
from effort_ours import sizes
from micro_sam.multi_dimensional_segmentation import segment_mask_in_volume
from micro_sam.prompt_based_segmentation import segment_from_points
from micro_sam.sam_annotator.util import track_from_prompts
from segment_anything import SamPredictor, sam_model_registry

from microsam_nb.core import BoxPrompt, Image, Point
from microsam_nb.engine import load_model, open_store, predict_many


class Looks(SamPredictor):
    """A predictor whose features are the number of a plane, and whose masks are ours."""

    def __init__(self, model, volume: np.ndarray) -> None:
        super().__init__(model.sam)
        self.asked = model
        self.store = open_store(None, model, Image(volume, "zyxc" if volume.ndim == 4 else "zyx"))
        self.sizes = sizes(model, self.store)

    def predict(self, point_coords=None, point_labels=None, box=None, mask_input=None, **_):
        if mask_input is not None:
            raise SystemExit("These settings put masks to the model; choose others.")
        plane, prompts = int(self.features.reshape(-1)[0]), []
        if box is not None:
            x0, y0, x1, y1 = map(float, box)
            prompts.append(BoxPrompt(plane, y0, x0, y1, x1))
        if point_coords is not None:
            # Their coordinates are of the middles of pixels.
            for (x, y), sign in zip(point_coords, point_labels, strict=True):
                prompts.append(Point(plane, float(y) + 0.5, float(x) + 0.5, bool(sign)))
        (found,) = predict_many(self.asked, self.store, [prompts], size=self.sizes[plane])
        return found.mask.dense(self.store.shape)[[plane]], np.array([float(found.score)]), None


class Peer:
    def __init__(self, volume: np.ndarray, *, movie: bool = False) -> None:
        self.movie = movie
        self.shape = volume.shape[:3]
        self.settings = ("box", 0.8, 0.025) if "lm" in sys.argv[2:] else ("single_point", 0.5, 0.05)
        model = load_model("nano", device="cpu")
        if sys.argv[1] == "looks":
            self.predictor = Looks(model, volume)
            numbers = torch.arange(len(volume)).reshape(-1, 1, 1, 1, 1)
            self.embeddings = {"features": numbers, "input_size": self.shape[1:], "original_size": self.shape[1:]}
            return
        self.predictor = SamPredictor(model.sam)
        volume, features = volume.astype(np.float64), []
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
            points = np.array([(y - 0.5, x - 0.5) for y, x, _ in clicks])
            signs = np.array([int(positive) for *_, positive in clicks])
            found = segment_from_points(self.predictor, points, signs, image_embeddings=self.embeddings, i=plane)
            seeds[plane] = found.squeeze()
        if len(seeds) == 1:
            return seeds > 0
        projection, iou, extension = self.settings
        planes = sorted([*prompts.clicks, *prompts.stops])
        if self.movie:
            # One point for the state of each frame: nobody says that the cell divides.
            points = SimpleNamespace(
                data=np.array([(plane, 0, 0) for plane in planes]),
                properties={"state": np.array(["track"] * len(planes))},
            )
            with contextlib.redirect_stdout(io.StringIO()):
                found, _ = track_from_prompts(
                    points, None, seeds, self.predictor, np.array(planes), self.embeddings, planes[-1] in prompts.stops,
                    iou, projection, box_extension=extension,
                )  # fmt: skip
            return found > 0
        with contextlib.redirect_stdout(io.StringIO()):
            found, _ = segment_mask_in_volume(
                seeds, self.predictor, self.embeddings, np.array(planes), planes[0] in prompts.stops,
                planes[-1] in prompts.stops, iou_threshold=iou, projection=projection, box_extension=extension,
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
        movie = task["kind"] == "2dt"
        peer = Peer(data["volume"], movie=movie)
        efforts = [asdict(annotate(peer, data["labels"] == number, movie=movie)) for number in task["objects"]]
        print("answer", json.dumps({"efforts": efforts}), flush=True)


if __name__ == "__main__":
    main()
