"""The contestant microsam_nb: see contest.py. usage: work_ours.py WEIGHTS PRECISION"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch

from microsam_nb.core import Point
from microsam_nb.engine import Embedding, encode, load_model, predict, predict_many


def main() -> None:
    model = load_model(sys.argv[1], device="cpu", precision=sys.argv[2])
    for line in sys.stdin:
        task = json.loads(line)
        prepared = prepare(task)
        start, busy = time.perf_counter(), time.process_time()
        found = work(model, task["task"], *prepared)
        took = {"seconds": time.perf_counter() - start, "busy": time.process_time() - busy}
        if "save" in task:
            np.save(task["save"], found)
        print("answer", json.dumps({**took, "peak": peak()}), flush=True)


def prepare(task):
    if task["task"] == "encode":
        return (np.load(task["image"]),)
    size = tuple(task["size"])
    scale = 1024 / max(size)
    scaled = tuple(int(side * scale + 0.5) for side in size)
    embedding = Embedding(torch.from_numpy(np.load(task["features"])), size, scaled)
    # Pixel indices; a point in the middle of that pixel is half a pixel further.
    return embedding, [[Point(0, y + 0.5, x + 0.5)] for y, x in task["points"]]


def work(model, name, *prepared):
    if name == "encode":
        return encode(model, *prepared).features.numpy()
    embedding, objects = prepared
    shape = (1, *embedding.original_size)
    if name == "click":
        return predict(model, embedding, objects[0]).mask.dense(shape)[0]
    found = predict_many(model, embedding, objects)
    return found if name == "many" else np.stack([one.mask.dense(shape)[0] for one in found])


def peak() -> int:
    """Return the largest resident set so far in bytes."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
