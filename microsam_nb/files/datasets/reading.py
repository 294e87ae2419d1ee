"""Find and read the images of a data set in its folder."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core import FileError, Image
from ...core.labels import as_labels
from ..importing import read_objects
from ..inputs import is_image
from ..volumes import is_zarr, open_image
from .structure import DataSet, Layout

_HDF5 = (".h5", ".hdf", ".hdf5")


@dataclass(frozen=True, slots=True)
class Part:
    """One image of a data set with its labels; ``place`` is its number in an array of many, -1 for one by itself."""

    name: str
    image: Path
    labels: Path
    layout: Layout
    place: int = -1


def find_parts(data: DataSet, folder: Path, split: str, limit: int | None = None) -> list[Part]:
    """Return the images of a split that have labels, in the order of their names, at most ``limit``.

    Raises FileError where there is no such folder or split, no image, or no labels.
    """
    if not folder.is_dir():
        raise FileError(f"There is no folder {folder}.", f"Download {data.title} from {data.source}.")
    if split not in data.splits:
        raise unknown_split(data, split)
    expected, unlabelled = [], 0
    for layout in data.layouts:
        called = data.splits[split]
        images, labels = (one.format(split=called, Split=called.capitalize()) for one in (layout.images, layout.labels))
        expected.append(f"{images} with {labels}" if labels != images else images)
        matches = list(_matches(folder, images))
        parts: list[Part] = []
        for image, stars in matches:
            truth = folder / _filled(labels, stars)
            if (limit is None or len(parts) < limit) and _holds(truth, layout, image.name):
                parts += _members(image.relative_to(folder).as_posix(), image, truth, layout)
        if parts:
            return parts[:limit]
        unlabelled += len(matches)
    said = (
        f"{unlabelled} {'image' if unlabelled == 1 else 'images'} but no labels of them" if unlabelled else "no image"
    )
    raise FileError(
        f"{folder} holds {said}, as {data.title} ({split}) would be.", f"Expected below it: {'; or '.join(expected)}."
    )


def unknown_split(data: DataSet, split: str) -> FileError:
    """Return the error for a split that has no labels."""
    return FileError(
        f"{data.title} has no labels for the split {split!r}.", f"Give --split {' or '.join(data.splits)}."
    )


def read_part(part: Part) -> tuple[Image, NDArray[np.uint32]]:
    """Return an image, and its labels uint32 (planes, y, x). Raises FileError, ImageError and LabelError."""
    layout = part.layout
    pixels = _read(part.image, layout.image_key, layout.planes)
    axes = ""
    if layout.axes:
        pixels, axes = _ordered(pixels, layout.axes, part.place)
    image = Image(pixels, axes, part.name)
    if part.labels.suffix.lower() == ".json":
        return image, read_objects(part.labels, image.shape, name=part.image.name).labels
    truth = np.asarray(_read(part.labels, layout.label_key, layout.planes))
    if layout.label_axes:
        truth, order = _ordered(truth, layout.label_axes, part.place)
        truth = truth[..., 0] if order.endswith("c") else truth
    if layout.binary:
        from scipy import ndimage

        truth = ndimage.label(truth > 0)[0]
    return image, as_labels(truth)


def _matches(folder: Path, pattern: str) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield what fits a pattern, sorted, with what its stars stand for."""
    shape = re.compile("([^/]*)".join(map(re.escape, pattern.split("*"))))
    for path in sorted(folder.glob(pattern)):
        found = shape.fullmatch(path.relative_to(folder).as_posix())
        if found:
            yield path, found.groups()


def _holds(labels: Path, layout: Layout, image: str) -> bool:
    """Say whether labels are there, and of this image: some files of a set lack them, and COCO is of a whole split."""
    if not labels.exists():
        return False
    if labels.suffix.lower() == ".json":
        return image in _named(labels)
    if labels.suffix.lower() in _HDF5:
        with _opened(labels) as file:
            return layout.label_key in file
    return not is_zarr(labels) or (labels / layout.label_key).is_dir()


@lru_cache(maxsize=4)
def _named(labels: Path) -> frozenset[str]:
    try:
        images = json.loads(labels.read_text(encoding="utf-8"))["images"]
        return frozenset(Path(one["file_name"]).name for one in images)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(f"{labels} cannot be read as COCO ({error}).", "Download it again.") from error


def _filled(pattern: str, stars: tuple[str, ...]) -> str:
    pieces = pattern.split("*")
    return "".join(piece + star for piece, star in zip(pieces, (*stars[: len(pieces) - 1], ""), strict=True))


def _members(name: str, image: Path, labels: Path, layout: Layout) -> list[Part]:
    if "n" not in layout.axes:
        return [Part(name, image, labels, layout)]
    count = _read(image, layout.image_key, False).shape[layout.axes.index("n")]
    return [Part(f"{name} {place}", image, labels, layout, place) for place in range(count)]


def _ordered(pixels: Any, axes: str, place: int) -> tuple[NDArray[np.generic], str]:
    """Return one of many images with its channels last, and what its axes are."""
    if pixels.ndim != len(axes):
        raise FileError(
            f"An array has {pixels.ndim} axes where {len(axes)} ({axes}) were expected.", "Check the folder."
        )
    one = np.asarray(pixels[tuple(place if axis == "n" else slice(None) for axis in axes)])
    left = axes.replace("n", "")
    if "c" in left:
        one, left = np.moveaxis(one, left.index("c"), -1), f"{left.replace('c', '')}c"
    return one, left


def _read(path: Path, key: str, planes: bool) -> Any:
    """Return an array of any file of a data set."""
    if planes:
        return _stacked(path)
    suffix = path.suffix.lower()
    if suffix in _HDF5:
        return _hdf5(path, key)
    if suffix in (".npz", ".mat"):
        return _unpacked(path, key)
    return open_image(path, key)


def _stacked(folder: Path) -> NDArray[np.generic]:
    """Return the files of a folder as planes, in the order of the numbers in their names."""
    files = sorted(filter(is_image, folder.iterdir()), key=lambda one: [int(n) for n in re.findall(r"\d+", one.stem)])
    if not files:
        raise FileError(f"There is no plane in the folder {folder}.", "Download it again.")
    read = [np.asarray(open_image(one)) for one in files]
    # Labels that were saved as colours say with any channel what is foreground.
    return np.stack([one[..., 0] if one.ndim == 3 else one for one in read])


def _opened(path: Path) -> Any:
    try:
        h5py: Any = importlib.import_module("h5py")
    except ImportError as error:
        raise FileError(
            "To read HDF5 files h5py is needed, which is not installed.", "Run: pip install h5py"
        ) from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise FileError(f"{path} cannot be read as HDF5 ({error}).", "Download it again.") from error


def _hdf5(path: Path, key: str) -> Any:
    file = _opened(path)
    if not hasattr(file.get(key), "shape"):
        raise FileError(f"{path} holds no array {key!r}.", "Check that it is complete, and of this data set.")
    # The array keeps its file open as long as it lives.
    return file[key]


@lru_cache(maxsize=4)
def _unpacked(path: Path, key: str) -> NDArray[np.generic]:
    """Return an array of a .npz or .mat file; kept, as hundreds of images lie in one."""
    try:
        if path.suffix.lower() == ".mat":
            from scipy.io import loadmat

            return np.asarray(loadmat(path, variable_names=[key])[key])
        with np.load(path, allow_pickle=False) as file:
            return np.asarray(file[key])
    except Exception as error:  # zip, MATLAB and numpy have no common base error
        raise FileError(f"{path} holds no array {key!r} that can be read ({error}).", "Download it again.") from error
