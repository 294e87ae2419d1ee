"""annotate_series: many images, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from filelock import FileLock, Timeout

from ..core import FileError, Image, ImageError, MicrosamError, SettingsError
from ..engine.automatic.settings import Mode
from ..files.catalogue import Catalogue, places
from ..files.export import check_objects_path
from ..files.series import Found, find_series, match_labels, match_stores, natural
from ..session.records import Entry
from ..session.series import SeriesSession
from ..session.wording import counted
from ..view import Command
from .base import Annotator
from .beginning import Beginning, begin_with
from .inputs import read_input
from .late import LateService
from .loading import Loader
from .opening import name_of, open_annotator
from .series import SeriesAnnotator
from .series_training import model_used
from .settings import AnnotatorSettings

if TYPE_CHECKING:
    from ..engine import Model

#: Series that are open in this process; opening one again takes its place.
_open: WeakValueDictionary[Path, SeriesAnnotator] = WeakValueDictionary()
#: Seconds to wait for another process that looks for new images.
_PATIENCE = 20.0


def annotate_series(
    images: Any,
    output: str | os.PathLike[str] | None = None,
    *,
    axes: str = "",
    ndim: int | None = None,
    model: Model | str | os.PathLike[str] | None = None,
    device: str = "auto",
    labels: str | os.PathLike[str] | None = None,
    embeddings: str | os.PathLike[str] | None = None,
    automatic: bool | str = False,
    results: str = ".tif",
    settings: AnnotatorSettings | Mapping[str, Any] | None = None,
) -> SeriesAnnotator:
    """Annotate many images, one after the other; the same call goes on where it was left.

    ``images``: a folder, a pattern such as "day1/**/*.tif", or a list of paths: images and volumes of any size.
    ``output``: the folder that keeps the work and the results, one project folder and one file of objects per image; by
    default NAME_annotated in the working folder. ``ndim``: 2 or 3 where all images are planes, or all are volumes;
    ``axes`` where the guess is wrong. ``labels``: a folder or a pattern of objects to begin with, found by the names of
    the images. ``embeddings``: the folder, or the address of one, in which the command ``embed`` made a store of each
    image with that model; what they lack is computed. ``automatic``: True, "ais", "apg" or "amg" to find all objects of
    an image that nobody has touched. ``model``: by default the one that the series was annotated with last, such as one
    that was finetuned on it, at first nano. ``results``: the ending of the files of objects, one of
    ``files.export.ENDINGS``. The other arguments are those of ``annotate_2d``. Raises FileError, ModelError,
    SettingsError or ProjectError with the remedy.
    """
    if ndim not in (None, 2, 3):
        raise SettingsError(f"Images have no {ndim} dimensions here.", "Use ndim=2 or ndim=3, or leave it out.")
    mode = _mode(automatic)
    options = AnnotatorSettings.of(settings)
    where = None if output is None else Path(os.path.abspath(Path(output).expanduser()))
    found = find_series(images, where)
    where = where or Path.cwd() / f"{found.root.name or 'images'}_annotated"
    if where == found.root:
        raise FileError(f"The images lie in {where}.", "Name another folder as output, so that nothing is overwritten.")
    given = {} if labels is None else match_labels(labels, found)
    stores = {} if embeddings is None else match_stores(embeddings, found)
    used, gone = model_used(where) if model is None else (model, "")
    name_of(used)
    ending = results if results.startswith(".") else f".{results}"
    catalogue = _catalogue(where, found)
    check_objects_path(where / f"results{ending}")
    # Only now: a call with a mistake must not end the work that is open.
    if where in _open:
        _open.pop(where).close()
    entries = [_entry(name, found, where, catalogue, ending) for name in _names(found, catalogue)]
    note = " ".join(
        [
            *([gone] if gone else []),
            *_left_out(found),
            *([] if labels is None else _missing(found, given, "labels to begin with.")),
            *([] if embeddings is None else _missing(found, stores, "embeddings; those of the others are computed.")),
        ]
    )
    opener = _Opener(axes, ndim, used, device, given, stores, options)
    made = SeriesAnnotator(SeriesSession(entries), opener, where, mode=mode, note=note)
    _open[where] = made
    return made


class _Opener:
    """Reads and opens the images of one series."""

    def __init__(
        self,
        axes: str,
        ndim: int | None,
        model: Model | str | os.PathLike[str],
        device: str,
        labels: Mapping[str, Path],
        stores: Mapping[str, str],
        settings: AnnotatorSettings,
    ) -> None:
        self.model, self._device = model, device
        self._stores, self._loader = stores, Loader()
        #: Images that were begun before, and of which the labels given were compared with those that it began with.
        self._compared: set[str] = set()
        self._axes, self._ndim, self._labels, self._settings = axes, ndim, labels, settings

    def read(self, entry: Entry) -> Image:
        """Return an image of the wanted number of axes. Raises FileError or ImageError."""
        image = read_input(entry.path, self._axes)
        stacked = image.axes[0] in "zt"
        if image.axes[0] == "t" and self._ndim != 3:
            raise ImageError("It is a movie.", "Open it with annotate_tracks, or use ndim=3 to take it as a volume.")
        if image.axes[0] == "t":
            return read_input(image, f"z{image.axes[1:]}")
        if self._ndim == 2 and stacked:
            raise ImageError(f"It has {image.shape[0]} planes.", "Leave ndim=2 out, or name its axes.")
        if self._ndim == 3 and not stacked:
            if len(image.pixels.shape) == 3 and image.guessed:
                return read_input(image, "zyx")
            raise ImageError("It is a single plane.", "Leave ndim=3 out.")
        return image

    def open(
        self, entry: Entry, image: Image, service: LateService, commands: Mapping[Command, Callable[[], object]]
    ) -> Annotator:
        """Return the annotator of an image, with the labels to begin with if it is new. Raises MicrosamError."""
        return open_annotator(
            image,
            model=service.source,
            device=self._device,
            first=self._beginning(entry, image),
            project=entry.folder,
            settings=self._settings,
            service=service,
            commands=commands,
        )

    def service(self, entry: Entry, image: Image, model: Model | str | os.PathLike[str]) -> LateService:
        """Return what answers the requests about an image, with its embeddings where some are given."""
        return LateService(image, model, self._device, entry.folder, self._stores.get(entry.name), self._loader)

    def _beginning(self, entry: Entry, image: Image) -> Beginning | None:
        """Return the labels to begin with; of an image that was begun before only once, to compare them."""
        given = self._labels.get(entry.name)
        if not (entry.folder / "journal.jsonl").exists():
            return begin_with(given, image)
        if given is None or entry.name in self._compared:
            return None
        self._compared.add(entry.name)
        try:
            return begin_with(given, image)
        except MicrosamError:
            return None  # they are not needed any more


def _mode(automatic: bool | str) -> str | None:
    if automatic is False or automatic is None:
        return None
    named = "auto" if automatic is True else str(automatic)
    if named not in [str(one.value) for one in Mode]:
        raise SettingsError(f"Objects cannot be found by {named!r}.", "Use 'auto', 'ais', 'apg' or 'amg'.")
    return named


def _catalogue(output: Path, found: Found) -> Catalogue:
    """Read the list of the series, add new images and write it. Raises FileError."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        # Somebody else may be adding images at this moment.
        with FileLock(output / "series.lock", timeout=_PATIENCE):
            file = output / "series.json"
            known = Catalogue.read(file)
            at = Catalogue(str(found.root), {}) if known is None else known.at(found.root, output)
            new = Catalogue(at.root, places(found.paths, at.places))
            if new != known:
                new.write(file)
            return new
    except Timeout as error:
        raise FileError(f"{output} is being changed by somebody else.", "Wait a moment, then try again.") from error
    except (OSError, NotImplementedError) as error:
        why = getattr(error, "strerror", None) or error
        raise FileError(
            f"The output {output} cannot be written ({why}).",
            "Choose a folder that you may write to and that has space left: output='...'.",
        ) from error


def _names(found: Found, catalogue: Catalogue) -> list[str]:
    """Return the names of all images, those that have vanished among the others."""
    gone = [name for name in catalogue.places if name not in found.paths and not (found.root / name).exists()]
    names = list(found.paths)
    if gone and names == sorted(names, key=natural):
        return sorted([*names, *gone], key=natural)
    return [*names, *gone]


def _entry(name: str, found: Found, output: Path, catalogue: Catalogue, ending: str) -> Entry:
    place = catalogue.places[name]
    path = found.paths.get(name, found.root / name)
    return Entry(name, path, output / f"{place}.msam", output / f"{place}{ending}").refreshed()


def _left_out(found: Found) -> list[str]:
    """Return what is to be said of files that are no images, if there are any."""
    some = ", ".join(found.left_out[:4]) + (" ..." if len(found.left_out) > 4 else "")
    return [f"No images, left out: {some}."] if some else []


def _missing(found: Found, given: Mapping[str, object], what: str) -> list[str]:
    """Return what is to be said where not every image has what was given."""
    have, images = len(given), len(found.paths)
    return [f"{have} of {counted(images, 'image')} {'has' if have == 1 else 'have'} {what}"] if have < images else []
