"""Movies on disk to tracks on disk: every frame is segmented, or labels are given, and objects are linked."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import FileError, Image, SettingsError, Tracks
from ..engine.automatic import run
from ..engine.automatic.segmenter import Progress
from ..engine.automatic.settings import AutomaticSettings, Mode, mode_of
from ..engine.link import Linked, LinkSettings, check_linker, images_for, link_stepwise
from ..engine.models import Model
from ..engine.store.key import fingerprint
from ..files.images import SUFFIXES, read_image
from ..files.replacing import replacing
from ..files.tracks import ENDINGS, TrackFormat, check_tracks_path, write_tracks
from ..files.volumes import is_zarr, open_image
from ..files.voxels import read_voxel_size
from .inputs import as_movie, read_input, read_labels
from .segment_files import Job, segment_file

#: What names of what is kept of an interrupted run begin with.
_KEPT = ("about.json", "labels.zarr")

Told = Callable[[Progress | Linked], object]


@dataclass(frozen=True, slots=True)
class Tracked:
    """What became of a movie: frames, height and width, and what was found in it."""

    output: Path
    shape: tuple[int, int, int]
    tracks: int
    objects: int
    divisions: int
    gaps: int
    seconds: float


def track(
    movie: Any,
    model: Model | str | os.PathLike[str] = "nano",
    mode: Mode | str = Mode.AUTO,
    *,
    labels: Any = None,
    settings: AutomaticSettings | None = None,
    linking: LinkSettings | None = None,
    axes: str = "",
    progress: Told | None = None,
    **options: Any,
) -> Tracks:
    """Find all objects in every frame of a movie (t, y, x) or (t, y, x, channel), a file or array, and link them.

    ``labels`` (t, y, x), an array, a file or a folder of frames, take the place of the segmentation; their numbers
    may differ from frame to frame. ``settings``, ``model`` and ``mode`` are those of ``segment``, ``linking`` those of
    ``engine.link``; single ``options`` of both, such as ``min_size=100`` or ``gap=2``, may be given by name. A first
    axis of any name is time. Raises ImageError, LabelError, SettingsError, FileError or ModelError.
    """
    told = progress or (lambda _: None)
    names = {one.name for one in LinkSettings.describe()}
    chosen = (linking or LinkSettings()).changed({name: value for name, value in options.items() if name in names})
    rest = {name: value for name, value in options.items() if name not in names}
    check_linker(chosen)
    image = as_movie(read_input(movie, axes))
    if labels is not None and (rest or settings is not None):
        said = ", ".join(rest) or "settings"
        raise SettingsError(f"Labels are given, so {said} would have no use.", "Leave the labels or the settings out.")
    if labels is None:
        found = _frames(run.segment(image, model, mode, settings=settings, progress=told, **rest))
    else:
        found = given_labels(labels, image)
    return _linked(found, image, chosen, told)


def track_file(
    path: Path,
    output: Path,
    job: Job | None,
    linking: LinkSettings,
    format: TrackFormat,
    *,
    labels: Path | None = None,
    axes: str = "",
    key: str = "",
    told: Told = lambda _: None,
) -> Tracked:
    """Track the objects of a movie and write them to ``output``, all or nothing.

    ``job`` says how frames are segmented, unless ``labels`` are given. What has been segmented is kept beside the
    output, in OUTPUT.part, until the tracks are there: the same call goes on. Raises MicrosamError.
    """
    start = time.perf_counter()
    check_linker(linking)
    if format in (TrackFormat.TRACKMATE, TrackFormat.CSV):
        _make(output.parent)
    check_tracks_path(output, format)
    stored = Image(open_image(path, key), axes, path.stem, voxel_size=read_voxel_size(path))
    image = as_movie(stored)
    work = output.with_name(f"{output.name}.part")
    if labels is not None:
        found = given_labels(labels, image)
    elif job is not None:
        named = image.axes if len(stored.axes) == len(image.axes) else stored.axes
        found = _segmented(path, image, replace(job, stitching=None, axes=named), work, told)
    else:
        raise SettingsError("There is neither a model nor labels.", "Give one of them.")
    tracks = _linked(found, image, linking, told)
    write_tracks(output, tracks, format, image=path, voxel=image.voxel_size)
    if labels is None:
        shutil.rmtree(work, ignore_errors=True)
    divisions = sum(len(some) > 1 for some in tracks.lineage.daughters.values())
    objects = sum(map(len, tracks.present.values()))
    return Tracked(
        output, image.shape, len(tracks.present), objects, divisions, sum(map(len, tracks.gaps.values())),
        time.perf_counter() - start,
    )  # fmt: skip


def place_of(output: Path, format: TrackFormat | None) -> tuple[Path, TrackFormat]:
    """Return where tracks are written: the folder or file itself, or a file ``tracks`` in a folder; and their format.

    Raises SettingsError for an ending that is of another format, or of none.
    """
    ending = output.suffix.lower()
    known = {one: kind for kind, one in ENDINGS.items() if one}
    if ending in known and format in (None, known[ending]):
        return output, known[ending]
    if ending in known:
        raise SettingsError(
            f"{output} is no name for tracks of the format {format}.",
            f"Use a folder{f' or an ending {ENDINGS[format]}' if format and ENDINGS[format] else ''}.",
        )
    if ending in (*SUFFIXES, ".geff", ".txt", ".h5") and not output.is_dir():
        raise SettingsError(f"Tracks cannot be written as {ending}.", f"Use a folder, or {', '.join(known)}.")
    format = format or TrackFormat.CTC
    return (output / f"tracks{ENDINGS[format]}" if ENDINGS[format] else output), format


def given_labels(labels: Any, movie: Image) -> NDArray[np.generic]:
    """Return labels (t, y, x) for a movie, of an array, a file, or a folder that holds one file per frame.

    The files are frames in the order of the numbers in their names: t2.tif comes before t10.tif.
    Raises LabelError where they do not fit, and FileError.
    """
    if isinstance(labels, str | os.PathLike) and (folder := Path(labels).expanduser()).is_dir() and not is_zarr(folder):
        files = sorted((one for one in folder.iterdir() if one.suffix.lower() in SUFFIXES), key=_counted)
        planes = [read_image(one) for one in files]
        if len({plane.shape for plane in planes}) != 1:
            raise FileError(f"{folder} does not hold one label image per frame.", "Give images of one size, or a file.")
        labels = np.stack(planes)
    return _frames(read_labels(labels, movie)[0])


def _counted(path: Path) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", path.name)]


def _frames(labels: NDArray[Any]) -> NDArray[Any]:
    return labels if labels.ndim == 3 else labels[None]


def _linked(labels: NDArray[Any], image: Image, settings: LinkSettings, told: Told) -> Tracks:
    for step in link_stepwise(labels, settings, images_for(settings, image)):
        told(step)
        if step.tracks is not None:
            return step.tracks
    raise AssertionError("The last step has the tracks.")


def _segmented(path: Path, image: Image, job: Job, work: Path, told: Told) -> NDArray[Any]:
    """Return the labels of every frame, those of an earlier run where image, model and settings are the same."""
    settings, place, note = job.settings, work / "labels.zarr", work / "about.json"
    about = {
        "image": fingerprint(image),
        "model": job.model.spec.hash,
        "mode": str(mode_of(settings)),
        "settings": {one.name: str(getattr(settings, one.name)) for one in settings.describe()},
        "tiling": None if job.tiling is None else [list(job.tiling.tile), list(job.tiling.halo)],
    }
    if work.exists() and not (work.is_dir() and all(one.name.startswith(_KEPT) for one in work.iterdir())):
        raise FileError(f"{work} holds something else already.", "Move it away, or choose another output.")
    if _about(note) != about:
        shutil.rmtree(work, ignore_errors=True)
    _make(work)
    with replacing(note) as part:
        part.write_text(json.dumps(about))
    if not place.exists():
        segment_file(path, place, job, told=told)
    return _frames(np.asarray(open_image(place)[...]))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"{folder} cannot be made ({error.strerror or error}).", "Choose a folder that you may write to."
        ) from error


def _about(note: Path) -> Any:
    try:
        return json.loads(note.read_text())
    except (OSError, ValueError):
        return None
