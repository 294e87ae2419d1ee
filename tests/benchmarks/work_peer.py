"""The contestant micro-sam: see contest.py. usage: work_peer.py WEIGHTS, run by a Python that has micro-sam"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from micro_sam import util
from micro_sam.inference import batched_inference
from micro_sam.prompt_based_segmentation import segment_from_points


def main() -> None:
    model = util.get_sam_model("vit_b", device="cpu", checkpoint_path=sys.argv[1])
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
    embedding = {"features": np.load(task["features"]), "input_size": scaled, "original_size": size}
    return embedding, np.array(task["points"])


def work(model, name, *prepared):
    if name == "encode":
        return util.precompute_image_embeddings(model, *prepared, ndim=2, verbose=False)["features"]
    embedding, points = prepared
    if name == "click":
        return segment_from_points(model, points[:1], np.array([1]), image_embeddings=embedding)[0]
    util.set_precomputed(model, embedding)
    # batched_inference wants (objects, points, 2) as (x, y).
    found = batched_inference(
        model,
        None,
        batch_size=32,
        points=points[:, None, ::-1].copy(),
        point_labels=np.ones((len(points), 1)),
        multimasking=True,
        return_instance_segmentation=False,
    )
    return found if name == "many" else np.stack([np.asarray(one["segmentation"]) for one in found])


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
