"""Tasks of segmenting, as workers do them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ...core.replacing import replaced_whole
from ...engine.automatic.kept import Kept
from ...engine.automatic.large import Block, FoundBlock, begin_large, blocks, find_block
from ...engine.automatic.segmenter import Segmenter
from ...engine.automatic.stitch import StitchSettings
from ...engine.tiling import Tiling
from ..segment_files import Job, Opened, Segmented, check_large, join_volume, open_job, segment_file
from ..unfinished import writing
from .workers import Source, model_of


@dataclass(frozen=True, slots=True)
class Task:
    """An image to segment, and how: see ``Job``."""

    source: Source
    image: str
    output: str
    embeddings: str | None
    mode: str
    options: tuple[tuple[str, Any], ...]
    stitching: StitchSettings | None
    tiling: Tiling | None
    batch: int | None
    axes: str
    key: str

    @classmethod
    def of(cls, job: Job, source: Source, path: Path, output: Path, embeddings: str | None) -> Task:
        """Describe what ``segment_file`` is given."""
        if embeddings is not None and "://" not in embeddings:
            embeddings = str(Path(embeddings).absolute())
        return cls(
            source, str(path.absolute()), str(output.absolute()), embeddings, str(job.mode),
            tuple(sorted(job.options.items())), job.stitching, job.tiling, job.batch, job.axes, job.key,
        )  # fmt: skip

    @property
    def job(self) -> Job:
        """The same for this process; the model is loaded."""
        return Job(
            model_of(self.source), self.mode, dict(self.options), self.stitching, self.tiling, self.batch, self.axes,
            self.key,
        )  # fmt: skip


def segment_whole(task: Task) -> Segmented:
    """Segment an image of one plane, and write its labels."""
    return segment_file(Path(task.image), Path(task.output), task.job, task.embeddings)


def measure(task: Task) -> float | None:
    """Return the zoom at which objects of a volume are looked at, None where that is not measured."""
    opened = _opened(task)
    segmenter = Segmenter(model_of(task.source), opened.store)
    for _ in segmenter.measure(opened.settings):
        pass
    return segmenter.zoom


def segment_plane(task: Task, folder: str, plane: int, zoom: float | None) -> int:
    """Segment a plane of a volume into the labels in ``folder``; return its number."""
    opened = _opened(task)
    store = opened.store
    kept = Kept(store.key, budget=1) if task.embeddings is None else Kept.at(task.embeddings, store.key)
    segmenter = Segmenter(model_of(task.source), store, kept, task.batch, zoom)
    for _ in segmenter.prepare(plane, opened.settings):
        pass
    with writing(Path(task.output)):
        zarr.open_array(f"{folder}/labels", mode="r+")[plane] = segmenter.labels(plane, opened.settings)
    return plane


def join(task: Task, folder: str, stacked: bool) -> int:
    """Join the planes of a volume, and write the labels; return how many objects there are."""
    with writing(Path(task.output)):
        planes = zarr.open_array(f"{folder}/labels", mode="r")
        return join_volume(Path(folder), planes, Path(task.output), task.stitching if stacked else None)


def measure_block(task: Task) -> Block:
    """Return where a large plane begins."""
    opened = _opened(task)
    return begin_large(model_of(task.source), opened.store, check_large(opened.image, opened.settings))


def find_block_into(task: Task, folder: str, state: Block, number: int) -> int:
    """Find the objects of a block, and leave them in ``folder`` for the one who paints; return its number."""
    opened = _opened(task)
    tile = blocks(opened.image.shape[1:], state)[number]
    settings = check_large(opened.image, opened.settings)
    found = find_block(model_of(task.source), opened.store, settings, replace(state, done=number), tile)
    place = _block_path(Path(folder), number)
    with writing(Path(task.output)), replaced_whole(place) as part, part.open("wb") as file:
        if found is None:
            np.savez_compressed(file)
        else:
            np.savez_compressed(file, labels=found.labels, areas=found.areas, own=found.own)
    return number


def load_block(folder: Path, number: int) -> tuple[FoundBlock | None, Path]:
    """Return what was found in a block, and the file that holds it."""
    path = _block_path(folder, number)
    with np.load(path, allow_pickle=False) as known:
        return (FoundBlock(known["labels"], known["areas"], known["own"]) if "labels" in known else None), path


def _block_path(folder: Path, number: int) -> Path:
    return folder / f"block-{number}.npz"


@lru_cache(maxsize=1)
def _opened(task: Task) -> Opened:
    return open_job(Path(task.image), task.job, task.embeddings)
