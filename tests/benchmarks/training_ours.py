"""The contestant microsam_nb: see training.py. usage: training_ours.py WEIGHTS OBJECTS TURNS SIDE"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from work_ours import peak

from microsam_nb.core import LabelledImage
from microsam_nb.engine import load_model
from microsam_nb.engine.training import CropDataset, FinetuningSettings, with_decoder
from microsam_nb.engine.training.learner import Learner
from microsam_nb.engine.training.parts import choose_parts


def main() -> None:
    import numpy as np

    weights, objects, turns, side = sys.argv[1], *(int(v) for v in sys.argv[2:5])
    model = with_decoder(load_model(weights, device="cpu", trainable=True))
    pixels, labels = np.load(f"{weights}.image.npy"), np.load(f"{weights}.labels.npy")
    data = CropDataset([LabelledImage(pixels, labels)], longest=side)
    settings = FinetuningSettings(
        batch=1, objects=objects, corrections=turns - 1, crop=1024, steps=1000, rate=1e-5, distances=1.0
    )
    choose_parts(model, settings)
    learners = {"all turns": Learner(model, data, settings, most=True), "as drawn": Learner(model, data, settings)}
    for line in sys.stdin:
        task = json.loads(line)
        start, busy = time.perf_counter(), time.process_time()
        for _ in learners[task["task"]].steps(task["steps"]):
            pass
        took = {"seconds": time.perf_counter() - start, "busy": time.process_time() - busy}
        print("answer", json.dumps({**took, "peak": peak()}), flush=True)


if __name__ == "__main__":
    main()
