"""Our side of effort.py: the engine, prompted by the simulated annotator as annotators/service.py asks it."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
from effort_oracle import Prompts, annotate

from microsam_nb.core import Image, Mask, Point
from microsam_nb.core.sections import replaced, section_at
from microsam_nb.engine import (
    Embedding,
    EmbeddingStore,
    Known,
    Model,
    ProjectSettings,
    Reprompt,
    load_model,
    open_store,
    predict_many,
    project,
    project_many,
)
from microsam_nb.engine.automatic import measure_diameter
from microsam_nb.engine.reprompt import project_settings_for
from microsam_nb.engine.store import Item
from microsam_nb.engine.store import source as encoding


def sizes(model: Model, store: EmbeddingStore) -> list[float | None]:
    """Return how large objects are in each plane: the service finds out while nobody clicks."""
    middle = store.shape[1] / 2, store.shape[2] / 2
    # The last of each is what is known in the end.
    looks = (measure_diameter(model, store.pixels_only(plane).pixels, middle) for plane in range(store.shape[0]))
    return [[None, *one][-1] for one in looks]


class Ours:
    def __init__(self, volume: np.ndarray, *, movie: bool = False) -> None:
        axes = "tyx" if movie else "zyx"
        self.image = Image(volume, f"{axes}c" if volume.ndim == 4 else axes)
        self.model = load_model("nano", device="cpu")
        self.store = open_store(None, self.model, self.image)
        self.sizes = sizes(self.model, self.store)
        self.settings = project_settings_for("nano", "nano", motion=movie)

    def begin(self) -> None:
        self.seeds: dict[int, Mask] = {}
        self.current: Mask | None = None

    def segment(self, prompts: Prompts) -> np.ndarray:
        plane = prompts.newest
        if plane in prompts.clicks:
            clicks = [Point(plane, y, x, positive) for y, x, positive in prompts.clicks[plane]]
            base = self.seeds.get(plane)
            if base is None and self.current is not None:
                base = section_at(self.current, plane)
            before = base if base is not None and base.area else None
            (found,) = predict_many(self.model, self.store, [clicks], previous=[before], size=self.sizes[plane])
            self.seeds[plane] = found.mask
        first = self.current is None
        stops = tuple(prompts.stops)
        if plane in prompts.clicks and len(self.image.pixels) > 1 and any(one.area for one in self.seeds.values()):
            known = Known(self.seeds, None if first else self.current, () if first else (plane,))
            parts = dict(self.seeds)
            for sections in project_many(self.model, self.store, [known], self.settings, stops=stops):
                parts.update({one.plane: one.mask for one in sections if one.plane not in self.seeds})
            self.current = replaced(self.current, list(parts), list(parts.values()))
        elif len(self.image.pixels) > 1 and self.current is not None and stops:
            # The stop of the newest prompt: what is beyond goes, and the other end may follow.
            known = Known(self.seeds, self.current, (plane,))
            for sections in project_many(self.model, self.store, [known], self.settings, stops=stops):
                for one in sections:
                    self.current = replaced(self.current, [one.plane], [one.mask])
        elif plane in prompts.clicks:
            self.current = replaced(None, [], list(self.seeds.values()))
        out = self.current.dense(self.image.shape)
        for stop in stops:
            if stop < min(self.seeds):
                out[: stop + 1] = False
            else:
                out[stop:] = False
        self.current = Mask.crop(out)
        return out


def carried(task) -> dict[str, float]:
    """Carry one object through planes of vit_b's embeddings."""
    data = np.load(task["file"])
    count = task["planes"]
    model = load_model(task["weights"], device="cpu")
    given = Embedding(torch.from_numpy(data["features"]), (1024, 1024), (512, 512))
    store = open_store(None, model, Image(np.repeat(data["plane"][None], count, 0), "zyx"))
    with patch.object(encoding, "encode_many", lambda _, pixels: [given] * len(pixels)):
        store.fill([Item(plane) for plane in range(count)])
    settings = ProjectSettings(Reprompt(task["projection"]), iou=0.0, box_extension=0.05)
    seed = Mask.crop(data["seed"][None], (0, 0, 0))
    start = time.perf_counter()
    found = sum(1 for _ in project(model, store, {0: seed}, settings))
    return {"seconds": time.perf_counter() - start, "planes": found}


def main() -> None:
    torch.set_grad_enabled(False)
    for line in sys.stdin:
        task = json.loads(line)
        if task["task"] == "cost":
            print("answer", json.dumps(carried(task)), flush=True)
            continue
        data = np.load(task["file"])
        movie = task["kind"] == "2dt"
        ours = Ours(data["volume"], movie=movie)
        efforts = [asdict(annotate(ours, data["labels"] == number, movie=movie)) for number in task["objects"]]
        print("answer", json.dumps({"efforts": efforts}), flush=True)


if __name__ == "__main__":
    main()
