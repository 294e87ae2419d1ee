"""What users hand over as images and labels to learn from."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core import FileError, ImageError, LabelledImage
from ...files.inputs import is_image
from ...files.series import find_series, natural
from ..evaluate_files import find_pairs
from ..inputs import read_input
from .notes import listing
from .source import Read, Source, Sources, ready_made
from .truth import read_truth
from .work import annotator, find_work, is_annotator, is_project, project

_HOW = "Give labels=, pairs (image, labels), or the folder of a project or of a series that was annotated."


def find_sources(images: Any, labels: Any = None, *, axes: str = "", complete: bool | None = None) -> Sources:
    """Return the images with their objects that are meant; see ``collect``. Raises FileError and ImageError."""
    if labels is not None:
        return _with_labels(images, labels, axes, complete)
    if isinstance(images, LabelledImage):
        return ready_made([images])
    if is_annotator(images):
        return annotator(images, complete)
    if isinstance(images, str | os.PathLike):
        return _places(os.path.expanduser(os.fspath(images)), complete)
    if isinstance(images, tuple) and len(images) == 2 and not _all_sources(images):
        return Sources([_pair(images[0], images[1], 1, axes, complete)])
    if not isinstance(images, Sequence):
        raise ImageError("An image without labels has nothing to learn from.", _HOW)
    return _several(images, axes, complete)


def _several(images: Sequence[Any], axes: str, complete: bool | None) -> Sources:
    """Return all of a list of sources."""
    if not len(images):
        raise ImageError("The list of images is empty.", _HOW)
    out = ready_made([one for one in images if isinstance(one, LabelledImage)])
    for number, one in enumerate(images, start=1):
        if isinstance(one, LabelledImage):
            continue
        if isinstance(one, tuple) and len(one) == 2 and not _all_sources(one):
            out.found.append(_pair(one[0], one[1], number, axes, complete))
        else:
            out.add(find_sources(one, axes=axes, complete=complete))
    return out


def _all_sources(some: Iterable[Any]) -> bool:
    """Whether each is a source of its own: work that was annotated, or labelled images."""
    return all(isinstance(one, LabelledImage) or is_annotator(one) or _is_work(one) for one in some)


def _is_work(one: Any) -> bool:
    """Whether this names a folder of work, or a pattern of those."""
    if not isinstance(one, str | os.PathLike):
        return False
    path = Path(one).expanduser()
    return not (path.is_file() or is_image(path))


def _places(name: str, complete: bool | None) -> Sources:
    """Return the work in a folder, or in all folders that a pattern means."""
    path = Path(name)
    if path.is_dir():
        return find_work(path, complete)
    if path.exists():
        raise FileError(f"{path} is an image without labels.", _HOW)
    out = Sources()
    for one in sorted(glob.glob(name, recursive=True), key=natural):
        if Path(one).is_dir():
            out.add(find_work(Path(one), complete))
    if not out.found:
        raise FileError(f"There is no project in {name}.", _HOW)
    return out


def _with_labels(images: Any, labels: Any, axes: str, complete: bool | None) -> Sources:
    """Return images with the labels that are given beside them."""
    if isinstance(labels, list | tuple):
        apart = isinstance(images, list | tuple | np.ndarray)
        many = list(images) if apart else list(find_series(images).paths.values())
        if len(many) != len(labels):
            raise ImageError(
                f"There are {len(many)} images and {len(labels)} labels.", "Give one label array or file per image."
            )
        return Sources([_pair(a, b, i, axes, complete) for i, (a, b) in enumerate(zip(many, labels, strict=True), 1)])
    one = images[0] if isinstance(images, list | tuple) and len(images) == 1 else images
    on_disk = isinstance(labels, str | os.PathLike)
    if on_disk and not (_is_file(one) and _is_file(labels)) and not is_project(Path(labels).expanduser()):
        return _of_files(images, labels, axes, complete)
    if isinstance(one, list | tuple):
        raise ImageError("Several images need as many labels.", "Give a list of labels, one per image.")
    return Sources([_pair(one, labels, 1, axes, complete)])


def _is_file(one: Any) -> bool:
    return isinstance(one, str | os.PathLike) and Path(one).expanduser().is_file()


def _of_files(images: Any, labels: str | os.PathLike[str], axes: str, complete: bool | None) -> Sources:
    """Return the images of a folder, a pattern or a list with the labels that their names belong to."""
    pairs = find_pairs(images, labels)
    found = find_series(images)
    out = Sources()
    for one in pairs:
        out.found.append(_file_pair(one.image, one.labels, one.name, found.root.name or "images", axes, complete))
    bare = sorted(set(found.paths) - {one.name for one in pairs}, key=natural)
    if bare:
        out.notes.append(f"Left out, as there are no labels of them: {listing(bare)}.")
    return out


def _pair(image: Any, labels: Any, number: int, axes: str, complete: bool | None) -> Source:
    """Return an image with labels, each an array or a path; labels may be a project of the image."""
    on_disk = isinstance(image, str | os.PathLike)
    path = Path(image).expanduser() if on_disk else None
    if isinstance(labels, str | os.PathLike) and is_project(Path(labels).expanduser()):
        return project(Path(labels).expanduser(), bool(complete), image=image, axes=axes)
    if path is not None:
        return _file_pair(path, labels, path.name, path.absolute().parent.name, axes, complete)
    name = getattr(image, "name", "") if hasattr(image, "fingerprint") else ""

    def read() -> Read:
        found = read_input(image, axes, name or f"image {number}")
        return found, *read_truth(labels, found)

    return Source(name or f"image {number}", "arrays", read, complete is not False, lenient=False)


def _file_pair(path: Path, labels: Any, name: str, group: str, axes: str, complete: bool | None) -> Source:
    def read() -> Read:
        image = read_input(path, axes, name)
        return image, *read_truth(labels, image)

    return Source(name, group, read, complete is not False)
