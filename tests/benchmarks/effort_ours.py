"""Our side of effort.py: a session with its engine and its threads, prompted by the simulated annotator."""

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

from microsam_nb.annotators.service import EngineService
from microsam_nb.core import Image, Mask, Stop
from microsam_nb.engine import (
    Embedding,
    EmbeddingStore,
    Model,
    ProjectSettings,
    Reprompt,
    load_model,
    open_store,
    project,
)
from microsam_nb.engine.automatic import measure_diameter
from microsam_nb.engine.store import Item
from microsam_nb.engine.store import source as encoding
from microsam_nb.session import AddPoint, AddPrompt, Clear, ExtendObject, Runner, Session, SetPlane

#: Seconds that an answer may take.
_PATIENCE = 600


def sizes(model: Model, store: EmbeddingStore) -> list[float | None]:
    """Return how large objects are in each plane, as the service finds out while nobody clicks: for the peer."""
    middle = store.shape[1] / 2, store.shape[2] / 2
    # The last of each is what is known in the end.
    looks = (measure_diameter(model, store.pixels_only(plane).pixels, middle) for plane in range(store.shape[0]))
    return [[None, *one][-1] for one in looks]


class Ours:
    """An annotator's session, its engine and its threads: what a user works with."""

    def __init__(self, volume: np.ndarray, *, movie: bool = False) -> None:
        axes = "tyx" if movie else "zyx"
        image = Image(volume, f"{axes}c" if volume.ndim == 4 else axes)
        self.session = Session(image.shape, movie=movie)
        self.runner = Runner(self.session, EngineService(image, load_model("nano", device="cpu")))
        # Who looks at the planes before clicking gives the service time to see how large objects are in them.
        for plane in range(image.shape[0]):
            self.session.handle(SetPlane(plane))
            self.runner.wait(_PATIENCE)

    def close(self) -> None:
        self.runner.close()

    def begin(self) -> None:
        self.session.handle(Clear())

    def segment(self, prompts: Prompts) -> np.ndarray:
        """Give the newest prompt; once there is something to carry, carry it through the planes."""
        session, plane = self.session, prompts.newest
        session.handle(SetPlane(plane))
        if plane in prompts.stops:
            session.handle(AddPrompt(Stop(plane)))
        else:
            y, x, positive = prompts.clicks[plane][-1]
            session.handle(AddPoint(y, x, positive, plane))
        self.runner.wait(_PATIENCE)
        state = session.state
        if session.shape[0] > 1 and state.extension is None and state.proposals:
            session.handle(ExtendObject())
            self.runner.wait(_PATIENCE)
        if session.notice.error and not session.state.answered:
            raise SystemExit(session.notice.text)
        proposal = session.state.proposal
        return np.zeros(session.shape, bool) if proposal is None else proposal.mask.dense(session.shape)


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
        ours.close()
        print("answer", json.dumps({"efforts": efforts}), flush=True)


if __name__ == "__main__":
    main()
