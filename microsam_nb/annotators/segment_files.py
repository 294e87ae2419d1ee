"""Images on disk to labels on disk, of any size, and gone on with after an interruption."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import FileError, Image, SettingsError, StoreError
from ..engine.automatic import run
from ..engine.automatic.kept import Kept
from ..engine.automatic.large import Block, segment_large
from ..engine.automatic.maps import Scale, check_decoder
from ..engine.automatic.modes import settings_for
from ..engine.automatic.segmenter import Progress, Segmenter
from ..engine.automatic.settings import AutomaticSettings, DistanceSettings, Mode, mode_of, needs_decoder, settings_with
from ..engine.automatic.stitch import StitchSettings
from ..engine.automatic.volumes import join_planes, segment_planes
from ..engine.models import Model
from ..engine.plan import choose_tiling
from ..engine.store import EmbeddingStore, open_store
from ..engine.tiling import Tiling
from ..files.labels import check_labels_path, write_label_planes, write_labels
from ..files.volumes import open_image
from .unfinished import Work, is_labels, make_labels, put_in_place, writing

#: Memory for embeddings of images that are gone through once, in bytes.
_BUDGET = 128 << 20
#: Pixels of a plane from which on it is gone through block by block, which needs less memory, where that is possible.
_WIDE = 16 << 20


@dataclass(frozen=True)
class Job:
    """How images are segmented: see the options of the command ``segment``.

    ``options``: settings of the method other than those that suit the model. ``stitching`` None leaves the planes of
    a volume as they are.
    """

    model: Model
    mode: Mode | str = Mode.AUTO
    options: Mapping[str, Any] = field(default_factory=dict)
    stitching: StitchSettings | None = field(default_factory=StitchSettings)
    tiling: Tiling | None = None
    batch: int | None = None
    axes: str = ""
    key: str = ""

    @property
    def settings(self) -> AutomaticSettings:
        """All settings. Raises SettingsError."""
        return settings_with(settings_for(self.model, self.mode), self.options)


@dataclass(frozen=True, slots=True)
class Segmented:
    """What became of one image: planes, height and width, the number of objects, and how long it took."""

    path: Path
    output: Path
    shape: tuple[int, int, int]
    objects: int
    seconds: float
    mode: str


def segment(
    image: Image | NDArray[np.generic] | str | os.PathLike[str], *given: Any, **more: Any
) -> NDArray[np.uint32]:
    """Find all objects of an image, a volume, or the file of one; see ``engine.automatic.segment`` for the rest.

    Raises FileError for a file that cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        path = Path(image).expanduser()
        image = Image(open_image(path), more.pop("axes", ""), path.stem)
    return run.segment(image, *given, **more)


def segment_file(
    path: Path,
    output: Path,
    job: Job,
    embeddings: str | None = None,
    told: Callable[[Progress], object] = lambda _: None,
) -> Segmented:
    """Segment an image or volume and write the labels to ``output``, which ends with .tif or .zarr.

    What has been done is kept beside it, in OUTPUT.part, until all is done: the same call goes on there. The result
    appears as a whole. ``embeddings``: a store that is used and completed. Raises MicrosamError.
    """
    start = time.perf_counter()
    check_output(output)
    opened = open_job(path, job, embeddings)
    image, store, settings = opened.image, opened.store, opened.settings
    if opened.large:
        objects = _large(image, store, output, job, settings, told)
    elif image.shape[0] > 1:
        objects = _volume(image, store, output, job, settings, embeddings, told)
    else:
        stacked = image.axes[0] in "zt"
        segmenter = Segmenter(job.model, store, Kept.at(embeddings, store.key), job.batch)
        for step in segmenter.prepare(0, settings):
            told(step)
        labels = segmenter.labels(0, settings)
        objects = int(labels.max(initial=0))
        if output.suffix == ".zarr":
            part = output.with_name(f"{output.name}.part")
            with writing(part):
                made = make_labels(part, image.shape if stacked else image.shape[1:])
                made[...] = labels[None] if stacked else labels
                put_in_place(part, output)
        else:
            write_labels(output, labels[None] if stacked else labels)
    return Segmented(path, output, image.shape, objects, time.perf_counter() - start, str(mode_of(settings)))


def check_output(output: Path) -> None:
    """Raise FileError where labels cannot be written."""
    if output.suffix != ".zarr":
        check_labels_path(output)
    elif output.exists() and not is_labels(output):
        raise FileError(f"{output} is there, and holds no labels.", "Choose another name.")


@dataclass(frozen=True, slots=True)
class Opened:
    """An image with its store, before anything is computed; ``large``: it is gone through block by block."""

    image: Image
    store: EmbeddingStore
    settings: AutomaticSettings
    large: bool


def open_job(path: Path, job: Job, embeddings: str | None = None) -> Opened:
    """Open an image and the store of its embeddings, and check that the model can do it. Raises MicrosamError."""
    settings = job.settings
    image = Image(open_image(path, job.key), job.axes, path.stem)
    tiling = job.tiling
    if tiling is None and embeddings is not None and _exists(embeddings):
        tiling = open_store(embeddings).tiling
    elif tiling is None and not job.model.is_nano:
        tiling = choose_tiling(image.shape, job.model)
    if needs_decoder(settings):
        check_decoder(job.model)
    wide = (
        image.axes[0] not in "zt"
        and image.shape[1] * image.shape[2] > _WIDE
        and image.shape[0] == 1
        and type(settings) is DistanceSettings
    )
    # A plane of its own is looked at twice by automatic prompts; the planes of a volume come one after the other.
    keep = image.shape[0] == 1 and not (image.large or wide)
    store = open_store(embeddings, job.model, image, tiling, budget=_BUDGET, keep=keep)
    return Opened(image, store, settings, image.large or wide)


def _volume(
    image: Image,
    store: EmbeddingStore,
    output: Path,
    job: Job,
    settings: AutomaticSettings,
    embeddings: str | None,
    told: Callable[[Progress], object],
) -> int:
    """Segment planes into a folder beside the output, then join them."""
    with writing(output), Work(output, image, job.model.spec.hash, store.tiling, settings) as work:
        planes = work.labels(image.shape)
        done = {int(plane) for plane in work.state.get("planes", [])}
        # What the model found in a plane is needed once; what has to be kept for longer lies beside the embeddings.
        kept = Kept(store.key, budget=1) if embeddings is None else Kept.at(embeddings, store.key)
        segmenter = Segmenter(job.model, store, kept, job.batch)
        for step in segment_planes(segmenter, settings, planes, done):
            work.save(planes=sorted(done))
            told(step)
        objects = join_volume(work.folder, planes, output, job.stitching if image.axes[0] == "z" else None, told)
        work.done()
    return objects


def join_volume(
    folder: Path,
    planes: Any,
    output: Path,
    stitching: StitchSettings | None,
    told: Callable[[Progress], object] = lambda _: None,
) -> int:
    """Join the labels of all planes, which lie in ``folder``, and write them; return how many objects there are."""
    small = output.suffix != ".zarr"
    final: Any = np.zeros(planes.shape, np.uint32) if small else make_labels(folder / "final", planes.shape)
    if stitching is None:
        for plane in range(planes.shape[0]):
            final[plane] = planes[plane]
    else:
        for step in join_planes(planes, stitching, final):
            told(step)
    counts = [int(np.asarray(final[plane]).max(initial=0)) for plane in range(planes.shape[0])]
    if small:
        write_labels(output, final)
    else:
        put_in_place(folder / "final", output)
    return sum(counts) if stitching is None else max(counts)


def _large(
    image: Image,
    store: EmbeddingStore,
    output: Path,
    job: Job,
    settings: AutomaticSettings,
    told: Callable[[Progress], object],
) -> int:
    """Segment planes that are gone through block by block."""
    distances = check_large(image, settings)
    with writing(output), Work(output, image, job.model.spec.hash, store.tiling, settings) as work:
        labels = work.labels(image.shape[1:])
        begun = begun_block(work)
        state = begun
        for state in segment_large(job.model, store, distances, labels, begun=begun):
            work.save(block=asdict(state))
            told(Progress(state.done, state.total, "blocks"))
        objects = 0 if state is None else state.objects
        write_large(work, labels, output)
        work.done()
    return objects


def check_large(image: Image, settings: AutomaticSettings) -> DistanceSettings:
    """Return the settings for a large plane. Raises SettingsError where it cannot be gone through block by block."""
    if type(settings) is not DistanceSettings:
        raise SettingsError(
            f"A plane of {image.shape[1]} x {image.shape[2]} pixels is too large for the mode {mode_of(settings)}.",
            "Use --mode ais, or cut it into smaller images.",
        )
    if image.shape[0] > 1:
        raise SettingsError("Volumes of such large planes are not possible.", "Segment the planes as single images.")
    return settings


def begun_block(work: Work) -> Block | None:
    """Return how far the blocks of a large plane are, None before the first."""
    known = work.state.get("block")
    return None if known is None else Block(**{**known, "scale": Scale(**known["scale"])})


def write_large(work: Work, labels: Any, output: Path) -> None:
    """Write the labels of a large plane to where they belong."""
    if output.suffix == ".zarr":
        put_in_place(work.folder / "labels", output)
    else:
        write_label_planes(output, labels)


def _exists(store: str) -> bool:
    """Whether there is a store already; of addresses that is found out by opening them."""
    if "://" not in store:
        return Path(store).exists()
    try:
        open_store(store)
    except StoreError:
        return False
    return True
