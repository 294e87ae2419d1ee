"""Segmenting an image on a cluster: a plane, or a block of a large one, is a task."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ...engine.automatic.kept import Kept
from ...engine.automatic.large import Block, blocks, paint_block
from ...engine.automatic.settings import mode_of
from ..segment_files import (
    Job,
    Opened,
    Segmented,
    begun_block,
    check_large,
    check_output,
    open_job,
    write_large,
)
from ..unfinished import Work, writing
from .embedding import embed_plan
from .finding import Task, find_block_into, join, load_block, measure, measure_block, segment_plane, segment_whole
from .plans import Call, Plan
from .workers import Source


def segment_plan(job: Job, source: Source, path: Path, output: Path, embeddings: str | None = None) -> Plan[Segmented]:
    """Plan to segment an image; what comes out is what ``segment_file`` writes. Raises MicrosamError."""
    start = time.perf_counter()
    check_output(output)
    opened = open_job(path, job, embeddings)
    shape = opened.image.shape
    if embeddings is not None and not job.model.is_nano and shape[0] * opened.store.tiles > 1:
        # Blocks and planes only read them then.
        yield from embed_plan(job.model, source, path, embeddings, opened.store.tiling, axes=job.axes, key=job.key)
    task = Task.of(job, source, path, output, embeddings)
    if not opened.large and shape[0] == 1:
        results: list[Segmented] = []
        yield [Call(segment_whole, (task,), then=results.append)]
        return replace(results[0], path=path, output=output)
    steps = _large if opened.large else _volume
    objects = yield from steps(task, opened, job, output)
    return Segmented(path, output, shape, objects, time.perf_counter() - start, str(mode_of(opened.settings)))


def _volume(task: Task, opened: Opened, job: Job, output: Path) -> Plan[int]:
    image, store = opened.image, opened.store
    with writing(output), Work(output, image, job.model.spec.hash, store.tiling, opened.settings) as work:
        work.labels(image.shape)
        folder = str(work.folder.absolute())
        done = {int(plane) for plane in work.state.get("planes", [])}
        # Made here, so that no two workers do.
        Kept.at(task.embeddings, store.key)
        zooms: list[float | None] = [None]
        if len(done) < image.shape[0]:
            yield [Call(measure, (task,), then=zooms.append, size=0)]

        def noted(plane: int) -> None:
            done.add(plane)
            work.save(planes=sorted(done))

        left = [plane for plane in range(image.shape[0]) if plane not in done]
        yield [Call(segment_plane, (task, folder, plane, zooms[-1]), then=noted) for plane in left]
        objects: list[int] = []
        yield [Call(join, (task, folder, image.axes[0] == "z"), then=objects.append, size=0)]
        work.done()
    return objects[0]


def _large(task: Task, opened: Opened, job: Job, output: Path) -> Plan[int]:
    image, store = opened.image, opened.store
    settings = check_large(image, opened.settings)
    size = image.shape[1:]
    with writing(output), Work(output, image, job.model.spec.hash, store.tiling, settings) as work:
        labels = work.labels(size)
        begun = begun_block(work)
        if begun is None:
            states: list[Block] = []
            yield [Call(measure_block, (task,), then=states.append, size=0)]
            begun = states[0]
            work.save(block=asdict(begun))
        painting = _Painting(work, labels, begun, size)
        folder = str(work.folder.absolute())
        yield [
            Call(find_block_into, (task, folder, begun, number), then=painting.add)
            for number in range(begun.done, begun.total)
        ]
        write_large(work, labels, output)
        work.done()
    return painting.state.objects


class _Painting:
    """Paints the blocks of a large plane in their order, in whatever order they are found."""

    def __init__(self, work: Work, labels: Any, state: Block, size: tuple[int, int]) -> None:
        self._work, self._labels, self.state = work, labels, state
        self._tiles = blocks(size, state)
        self._found: set[int] = set()

    def add(self, number: int) -> None:
        """Take a block that was found, and paint what can be painted now."""
        self._found.add(number)
        while self.state.done in self._found:
            here = self.state.done
            found, path = load_block(self._work.folder, here)
            self.state = paint_block(found, self._tiles[here], self._labels, self.state)
            self._work.save(block=asdict(self.state))
            path.unlink(missing_ok=True)
