"""Images on disk to labels on disk, of any size, and gone on with after an interruption."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

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
from ..engine.store.key import fingerprint
from ..engine.tiling import Tiling
from ..files.labels import check_labels_path, write_label_planes, write_labels
from ..files.volumes import open_image

#: Memory for embeddings of images that are gone through once, in bytes.
_BUDGET = 128 << 20
#: Pixels of a plane from which on it is gone through block by block, which needs less memory, where that is possible.
_WIDE = 16 << 20
#: Side of the chunks of labels on disk.
_CHUNK = 1024


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
    if output.suffix == ".zarr":
        if output.exists() and not _is_array(output):
            raise FileError(f"{output} is there, and holds no labels.", "Choose another name.")
    else:
        check_labels_path(output)
    start = time.perf_counter()
    settings = job.settings
    image = Image(open_image(path, job.key), job.axes, path.stem)
    tiling = job.tiling
    if tiling is None and embeddings is not None and _exists(embeddings):
        tiling = open_store(embeddings).tiling
    elif tiling is None and not job.model.is_nano:
        tiling = choose_tiling(image.shape, job.model)
    if needs_decoder(settings):
        check_decoder(job.model)
    stacked = image.axes[0] in "zt"
    wide = (
        not stacked
        and image.shape[1] * image.shape[2] > _WIDE
        and image.shape[0] == 1
        and type(settings) is DistanceSettings
    )
    # A plane of its own is looked at twice by automatic prompts; the planes of a volume come one after the other.
    keep = image.shape[0] == 1 and not (image.large or wide)
    store = open_store(embeddings, job.model, image, tiling, budget=_BUDGET, keep=keep)
    if image.large or wide:
        objects = _large(image, store, output, job, settings, told)
    elif image.shape[0] > 1:
        objects = _volume(image, store, output, job, settings, embeddings, told)
    else:
        segmenter = Segmenter(job.model, store, Kept.at(embeddings, store.key), job.batch)
        for step in segmenter.prepare(0, settings):
            told(step)
        labels = segmenter.labels(0, settings)
        objects = int(labels.max(initial=0))
        if output.suffix == ".zarr":
            part = output.with_name(f"{output.name}.part")
            with _writing(part):
                made = _array(part, image.shape if stacked else image.shape[1:])
                made[...] = labels[None] if stacked else labels
                _finish_zarr(part, output)
        else:
            write_labels(output, labels[None] if stacked else labels)
    return Segmented(path, output, image.shape, objects, time.perf_counter() - start, str(mode_of(settings)))


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
    with _writing(output), _work(output, image, store, job, settings) as work:
        planes = work.labels(image.shape)
        done = {int(plane) for plane in work.state.get("planes", [])}
        # What the model found in a plane is needed once; what has to be kept for longer lies beside the embeddings.
        kept = Kept(store.key, budget=1) if embeddings is None else Kept.at(embeddings, store.key)
        segmenter = Segmenter(job.model, store, kept, job.batch)
        for step in segment_planes(segmenter, settings, planes, done):
            work.save(planes=sorted(done))
            told(step)
        small = output.suffix != ".zarr"
        final: Any = np.zeros(image.shape, np.uint32) if small else _array(work.folder / "final", image.shape)
        stitching = job.stitching if image.axes[0] == "z" else None
        if stitching is None:
            for plane in range(image.shape[0]):
                final[plane] = planes[plane]
        else:
            for step in join_planes(planes, stitching, final):
                told(step)
        objects = max(int(np.asarray(final[plane]).max(initial=0)) for plane in range(image.shape[0]))
        if stitching is None:
            objects = sum(int(np.asarray(final[plane]).max(initial=0)) for plane in range(image.shape[0]))
        if small:
            write_labels(output, final)
        else:
            _finish_zarr(work.folder / "final", output)
        work.done()
    return objects


def _large(
    image: Image,
    store: EmbeddingStore,
    output: Path,
    job: Job,
    settings: AutomaticSettings,
    told: Callable[[Progress], object],
) -> int:
    """Segment planes that are gone through block by block."""
    if type(settings) is not DistanceSettings:
        raise SettingsError(
            f"A plane of {image.shape[1]} x {image.shape[2]} pixels is too large for the mode {mode_of(settings)}.",
            "Use --mode ais, or cut it into smaller images.",
        )
    if image.shape[0] > 1:
        raise SettingsError("Volumes of such large planes are not possible.", "Segment the planes as single images.")
    with _writing(output), _work(output, image, store, job, settings) as work:
        labels = work.labels(image.shape[1:])
        known = work.state.get("block")
        begun = None if known is None else Block(**{**known, "scale": Scale(**known["scale"])})
        state = begun
        for state in segment_large(job.model, store, settings, labels, begun=begun):
            work.save(block=asdict(state))
            told(Progress(state.done, state.total, "blocks"))
        objects = 0 if state is None else state.objects
        if output.suffix == ".zarr":
            _finish_zarr(work.folder / "labels", output)
        else:
            write_label_planes(output, labels)
        work.done()
    return objects


class _work:
    """The folder beside an output that holds what was done so far; another image, model or setting begins anew."""

    def __init__(
        self, output: Path, image: Image, store: EmbeddingStore, job: Job, settings: AutomaticSettings
    ) -> None:
        self.folder = output.with_name(f"{output.name}.part")
        self._about = {
            "image": fingerprint(image),
            "model": job.model.spec.hash,
            "mode": str(mode_of(settings)),
            "settings": {one.name: str(getattr(settings, one.name)) for one in settings.describe()},
            "tiling": None if store.tiling is None else [list(store.tiling.tile), list(store.tiling.halo)],
            "shape": list(image.shape),
        }
        self.state: dict[str, Any] = {}

    def __enter__(self) -> _work:
        path = self.folder / "progress.json"
        try:
            known = json.loads(path.read_text())
            if known["about"] == self._about:
                self.state = known["state"]
                return self
        except (OSError, ValueError, KeyError, TypeError):
            pass
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise FileError(
                f"{self.folder} cannot be made ({error.strerror or error}).", "Choose a folder that you may write to."
            ) from error
        self.save()
        return self

    def __exit__(self, *_: object) -> None:
        """What was done stays for the next call."""

    def labels(self, shape: tuple[int, ...]) -> Any:
        """Return the labels, zeros at first."""
        where = self.folder / "labels"
        if _is_array(where):
            return zarr.open_array(where, mode="r+")
        # What was done has gone with the labels that are missing.
        self.state = {}
        self.save()
        return _array(where, shape)

    def save(self, **state: Any) -> None:
        """Write how far it is, as a whole."""
        self.state.update(state)
        new = self.folder / "progress.json.new"
        new.write_text(json.dumps({"about": self._about, "state": self.state}))
        new.replace(self.folder / "progress.json")

    def done(self) -> None:
        """Remove the folder, first of all what says that something is done."""
        (self.folder / "progress.json").unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def _array(where: Path, shape: tuple[int, ...]) -> Any:
    chunks = (1,) * (len(shape) - 2) + tuple(min(_CHUNK, side) for side in shape[-2:])
    return zarr.create_array(
        where, shape=shape, chunks=chunks, dtype=np.uint32, fill_value=0, overwrite=True,
        compressors=[ZstdCodec(level=1)], dimension_names=["z", "y", "x"][-len(shape) :],
    )  # fmt: skip


def _exists(store: str) -> bool:
    """Whether there is a store already; of addresses that is found out by opening them."""
    if "://" not in store:
        return Path(store).exists()
    try:
        open_store(store)
    except StoreError:
        return False
    return True


def _is_array(folder: Path) -> bool:
    """Whether a folder holds a zarr array of labels."""
    try:
        return bool(zarr.open_array(folder, mode="r").dtype.kind in "ui")
    except Exception:  # noqa: BLE001 - whatever it is, it holds no labels
        return False


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    """Say what is wrong with the disk or the folder."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise FileError(
            f"{output} cannot be written ({error.strerror or error}).",
            "Free some space and run it again: what is done is kept."
            if full
            else "Choose a folder that you may write to.",
        ) from error


def _finish_zarr(made: Path, output: Path) -> None:
    """Put an array in its place."""
    old = output.with_name(f"{output.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        output.rename(old)
    made.rename(output)
    shutil.rmtree(old, ignore_errors=True)
