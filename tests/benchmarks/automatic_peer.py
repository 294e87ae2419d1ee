"""The contestant micro-sam: see automatic.py. usage: automatic_peer.py FOLDER, run by a Python that has micro-sam"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from micro_sam import util
from micro_sam._vendored import mask_to_rle_pytorch
from micro_sam.instance_segmentation import (
    AutomaticMaskGenerator,
    AutomaticPromptGenerator,
    InstanceSegmentationWithDecoder,
    get_predictor_and_decoder,
)
from segment_anything.utils.amg import MaskData
from work_peer import peak


def main() -> None:
    tasks = Peer(Path(sys.argv[1]))
    for line in sys.stdin:
        name = json.loads(line)["task"]
        seconds = getattr(tasks, name)()
        print("answer", json.dumps({"seconds": seconds, "peak": peak()}), flush=True)


def timed(*steps):
    """Run steps, and return the seconds of each and what the last one returned."""
    seconds, found = [], None
    for step in steps:
        start = time.perf_counter()
        found = step()
        seconds.append(time.perf_counter() - start)
    return seconds, found


class Peer:
    """The tasks by name; each returns the seconds of its rows and leaves a file NAME_peer."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.known, self.turn = folder, None, 0
        self.image = np.load(folder / "image.npy")
        self.embedding = {
            "features": np.load(folder / "features.npy"),
            "input_size": self.image.shape,
            "original_size": self.image.shape,
        }

    def models(self):
        predictor, decoder = get_predictor_and_decoder("vit_b", self.folder / "vit_b_crafted.pt", device="cpu")
        # micro-sam leaves it in training mode, where an image is normalised by its own statistics.
        return predictor, decoder.eval()

    def once(self, made):
        """Return what is prepared before the first run."""
        if self.known is None:
            self.known = made()
        return self.known

    def slider(self, *values):
        self.turn += 1
        return values[self.turn % 2]

    def save(self, name, found) -> None:
        np.save(self.folder / f"{name}_peer.npy", found)

    def amg(self):
        predictor, _ = self.once(self.models)
        segmenter, made = AutomaticMaskGenerator(predictor), {}
        seconds, _ = timed(
            lambda: made.update(util.precompute_image_embeddings(predictor, self.image, ndim=2, verbose=False)),
            lambda: segmenter.initialize(self.image, image_embeddings=made),
            segmenter.generate,
        )
        found = [np.packbits(one["segmentation"]) for one in segmenter.generate(output_mode="binary_mask")]
        self.save("amg", np.array(found, np.uint8).reshape(-1, self.image.size // 8))
        return [sum(seconds), *seconds]

    def decoder(self):
        segmenter = self.once(lambda: InstanceSegmentationWithDecoder(*self.models()))
        seconds, _ = timed(lambda: segmenter.initialize(self.image, image_embeddings=self.embedding))
        maps = segmenter._foreground, segmenter._center_distances, segmenter._boundary_distances
        self.save("decoder", np.stack(maps))
        return seconds

    def with_maps(self, kind, name):
        """Return a segmenter that need not compute maps."""
        segmenter = kind(*self.models())
        util.set_precomputed(segmenter._predictor, self.embedding)
        maps = np.load(self.folder / f"{name}.npy").astype(np.float32)
        segmenter._foreground, segmenter._center_distances, segmenter._boundary_distances = maps
        segmenter._i, segmenter._is_initialized = None, True
        return segmenter

    def ais(self):
        segmenter = self.once(lambda: self.with_maps(InstanceSegmentationWithDecoder, "noisy"))
        first, found = timed(segmenter.generate)
        other = self.slider(0.45, 0.55)
        again, _ = timed(lambda: segmenter.generate(center_distance_threshold=other))
        self.save("ais", found)
        return first + again

    def regrid(self):
        def made():
            given = np.load(self.folder / "grid.npz")
            y0, x0, y1, x1 = torch.from_numpy(given["boxes"]).T
            data = MaskData(
                iou_preds=torch.from_numpy(given["scores"]),
                stability_score=torch.from_numpy(given["stability"]),
                boxes=torch.stack([x0, y0, x1 - 1, y1 - 1], 1),
                rles=[mask_to_rle_pytorch(one[None])[0] for one in self.masks("grid")],
                points=torch.stack([(x0 + x1) / 2, (y0 + y1) / 2], 1),
            )
            segmenter = AutomaticMaskGenerator(self.models()[0])
            height, width = self.image.shape
            segmenter.set_state(
                {"crop_list": [data], "crop_boxes": [[0, 0, width, height]], "original_size": self.image.shape}
            )
            return segmenter

        segmenter = self.once(made)
        threshold = self.slider(0.87, 0.88)
        seconds, found = timed(lambda: segmenter.generate(pred_iou_thresh=threshold))
        self.save("regrid", found)
        return seconds

    def apg(self):
        segmenter = self.once(lambda: self.with_maps(AutomaticPromptGenerator, "clean"))
        first, found = timed(segmenter.generate)
        again, _ = timed(lambda: segmenter.generate(nms_threshold=0.8))
        self.save("apg", found)
        return first + again

    def nms(self):
        def made():
            given = np.load(self.folder / "twice.npz")
            return [
                {
                    "segmentation": mask,
                    "predicted_iou": float(score),
                    "stability_score": 1.0,
                    "bbox": [int(x0), int(y0), int(x1 - 1 - x0), int(y1 - 1 - y0)],
                }
                for mask, score, (y0, x0, y1, x1) in zip(
                    self.masks("twice"), given["scores"], given["boxes"], strict=True
                )
            ]

        given = self.once(made)
        seconds, _ = timed(lambda: util.apply_nms(given, min_size=0, nms_thresh=0.9))
        if not (self.folder / "nms_peer.npy").exists():
            kept = util._batched_mask_nms(
                torch.stack([one["segmentation"] for one in given]),
                util._xywh_to_xyxy(torch.tensor([one["bbox"] for one in given])),
                torch.tensor([one["predicted_iou"] for one in given]),
                0.9,
                False,
            )
            self.save("nms", np.sort(kept.numpy()))
        return seconds

    def masks(self, name):
        """Yield the masks of a file at the size of the image."""
        given, start = dict(np.load(self.folder / f"{name}.npz")), 0
        for y0, x0, y1, x1 in given["boxes"]:
            count = (y1 - y0) * (x1 - x0)
            stop = start - (-count // 8)
            bits = np.unpackbits(given["bits"][start:stop], count=count).reshape(y1 - y0, x1 - x0)
            whole = torch.zeros(self.image.shape, dtype=torch.bool)
            whole[y0:y1, x0:x1] = torch.from_numpy(bits).bool()
            yield whole
            start = stop


if __name__ == "__main__":
    main()
