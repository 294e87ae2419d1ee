"""annotate_tracks: follow cells through a movie."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import ImageError, LabelError, SettingsError, Tracks
from ..core.labels import as_labels
from ..files.export import OVERLAPPING
from ..session import LoadTracks
from ..session.wording import be, counted
from .base import Annotator, stem
from .beginning import Beginning, fingerprint_of
from .inputs import as_movie, read_input, read_labels
from .opening import open_annotator
from .settings import AnnotatorSettings

if TYPE_CHECKING:
    from ..core import Image
    from ..engine import Model


class TracksAnnotator(Annotator):
    """An annotation of a movie: its objects are tracks, which descend from each other."""

    @property
    def tracks(self) -> Tracks:
        """A copy of the committed tracks: labels uint32 (t, y, x), and which track descends from which."""
        labels, lineage = self.session.family()
        return Tracks(labels, lineage)

    def save(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the tracks and return the path; by default a folder of the Cell Tracking Challenge, NAME-HASH_RES.

        The ending of ``path`` chooses the format: none for such a folder, .zarr (GEFF), .xml (TrackMate), .csv (as
        napari reads it, the labels beside); .tif, .zip, .geojson, .json: only the objects. Raises FileError when that
        is not possible.
        """
        where = Path(path).expanduser() if path is not None else Path(f"{stem(self.image)}_RES")
        if where.suffix.lower() in (".tif", ".tiff", *OVERLAPPING):
            return super().save(where)
        # Importing all formats takes a second.
        from ..files.tracks import is_ctc, write_tracks

        tracks = self.tracks
        write_tracks(where, tracks, voxel=self.image.voxel_size)
        count, broken = len(tracks.present), len(tracks.gaps)
        note = ""
        if broken and is_ctc(where):
            note = f" {counted(broken, 'track')} with gaps {be(broken)} split there, as the Cell Tracking Challenge"
            note += " knows no gaps; read_tracks joins the parts again."
        self.saved(where, f"{counted(count, 'track')} {be(count)}", note)
        return where


def annotate_tracks(
    movie: Any,
    *,
    axes: str = "",
    name: str = "",
    model: Model | str | os.PathLike[str] = "nano",
    device: str = "auto",
    embeddings: str | os.PathLike[str] | None = None,
    labels: Any = None,
    tracks: Any = None,
    project: str | os.PathLike[str] | bool | None = None,
    settings: AnnotatorSettings | Mapping[str, Any] | None = None,
) -> TracksAnnotator:
    """Show ``movie`` frame by frame; what is clicked is followed through the frames, and cells divide.

    ``movie``: the path of a file or zarr folder, an array (t, y, x) or (t, y, x, channel) of any real dtype, or an
    ``Image``; a first axis of any name is time. To begin with something, give either ``tracks``, a ``Tracks``, an array
    (t, y, x) whose numbers are tracks, or a TIFF or .npy of such labels, or the path of what
    ``files.tracks.read_tracks`` reads; or ``labels`` (t, y, x), an array, a file or a folder with one file per frame,
    whose objects have other numbers in every frame: they are linked. In a project that holds work already neither is
    used, and that is said. The other arguments are those of ``annotate_2d``.
    Raises ImageError, FileError, LabelError, LineageError, ModelError, SettingsError or ProjectError with the remedy.
    """
    shown = read_input(movie, axes, name)
    if shown.axes[0] == "y":
        raise ImageError(
            f"annotate_tracks shows movies, but the image has axes {shown.axes!r} and shape {shown.pixels.shape}.",
            "Open it with annotate_2d(image), or say axes='tyx' if its first axis is time.",
        )
    shown = as_movie(shown)
    if labels is not None and tracks is not None:
        raise SettingsError("Both labels and tracks are given.", "Give one of them.")
    first = None
    if labels is not None or tracks is not None:
        argument = "labels" if labels is not None else "tracks"
        first = Beginning(
            lambda: LoadTracks.of(*_read(shown, labels, tracks)),
            fingerprint_of(labels if labels is not None else tracks),
            argument,
        )
    opened = open_annotator(
        shown,
        model=model,
        device=device,
        embeddings=embeddings,
        first=first,
        project=project,
        settings=settings,
        kind=TracksAnnotator,
    )
    assert isinstance(opened, TracksAnnotator)
    return opened


def _read(movie: Image, labels: Any, tracks: Any) -> tuple[Tracks, str]:
    """Return the tracks to begin with, and where they come from."""
    # Linkers and formats take a second to import: who begins with nothing need not wait for them.
    if labels is not None:
        from ..engine.link import link
        from .track_files import given_labels

        return link(as_labels(given_labels(labels, movie))), _source(labels)
    if isinstance(tracks, str | os.PathLike) and _holds_labels(Path(tracks).expanduser()):
        found = Tracks(as_labels(read_labels(tracks, movie)[0]))
    elif isinstance(tracks, str | os.PathLike):
        from ..files.tracks import read_tracks

        found = read_tracks(Path(tracks).expanduser(), shape=movie.shape, voxel=movie.voxel_size)
    else:
        found = tracks if isinstance(tracks, Tracks) else Tracks(as_labels(read_labels(tracks, movie)[0]))
    if found.labels.shape != movie.shape:
        raise LabelError(
            f"The tracks have shape {found.labels.shape}, the movie {movie.shape}.", "Give tracks made for this movie."
        )
    return found, _source(tracks)


def _holds_labels(path: Path) -> bool:
    """Whether a file has labels whose numbers are tracks, and nothing about who descends from whom."""
    return path.suffix.lower() in (".tif", ".tiff", ".npy")


def _source(given: Any) -> str:
    return Path(given).name if isinstance(given, str | os.PathLike) else ""
