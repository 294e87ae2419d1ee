"""The images of a series: which ones are meant, in which order, and which labels belong to them."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..core import FileError
from .images import SUFFIXES
from .inputs import is_image, name_results
from .volumes import PLUGINS

_KNOWN = ", ".join((*SUFFIXES, *PLUGINS, "zarr"))
#: Left by systems in folders, and no file that anybody put there.
_SYSTEM = ("thumbs.db", "desktop.ini")
#: Endings of files that hold the objects of one image.
_LABELS = (".tif", ".tiff", ".png", ".npy", ".zip", ".roi", ".geojson", ".json")


@dataclass(frozen=True, slots=True)
class Found:
    """Images by name: their path relative to ``root``, with slashes, in natural order or that of a given list.

    ``left_out``: files that are no images, by name.
    """

    root: Path
    paths: Mapping[str, Path]
    left_out: tuple[str, ...] = ()


def find_series(images: Any, output: Path | None = None) -> Found:
    """Return the images meant by a folder, a file, a pattern such as "day1/**/*.tif", or a list of those.

    Of a folder its own files count, not those of folders in it; what lies in ``output`` never does. Raises FileError
    when there are none.
    """
    several = isinstance(images, Sequence) and not isinstance(images, str | bytes)
    names = list(images) if isinstance(images, Sequence) and several else [images]
    if not all(isinstance(one, str | os.PathLike) for one in names):
        raise FileError(
            "A series is made of files.", "Give a folder, a pattern or a list of paths; save arrays as TIFF first."
        )
    found: dict[str, Path] = {}
    left_out: list[str] = []
    inside = 0
    for name in names:
        some, others = _meant(os.path.expanduser(os.fspath(name)))
        some = sorted(some, key=lambda path: natural(path.as_posix()))
        inside += sum(_within(one, output) for one in some)
        found.update({os.path.abspath(one): Path(os.path.abspath(one)) for one in some if not _within(one, output)})
        left_out += [one.name for one in others if not _within(one, output)]
    if not found and inside:
        raise FileError(f"The images lie in the output {output}.", "Name another folder as output.")
    if not found and len(names) == 1 and not glob.has_magic(name := os.fspath(names[0])):
        path = Path(name).expanduser()
        if not path.exists():
            raise FileError(f"There is no file or folder {name}.", f"Check the name; paths begin in {Path.cwd()}.")
    if not found:
        what = "The list of images is empty." if not names else f"There is no image in {_said(names)}."
        raise FileError(what, f"Known are {_KNOWN}; images in folders below are found by '{_deeper(names)}'.")
    root = Path(os.path.commonpath([path.parent for path in found.values()]))
    if not several and Path(os.fspath(names[0])).expanduser().is_dir():
        folder = Path(os.path.abspath(os.path.expanduser(os.fspath(names[0]))))
        root = folder if folder not in found.values() else folder.parent
    return Found(root, _named(root, found.values()), tuple(sorted(left_out, key=natural)))


def natural(name: str) -> tuple[tuple[tuple[int, int, str], ...], ...]:
    """Return what sorts paths as people do: cell before cell2 before cell10, capitals as small letters."""
    *folders, file = name.casefold().split("/")
    pieces = [*folders, PurePosixPath(file).stem, PurePosixPath(file).suffix]
    return tuple(_numbers(piece) for piece in pieces)


def match_labels(labels: str | os.PathLike[str], found: Found) -> dict[str, Path]:
    """Return the labels of images, by the images' names, of a folder or a pattern of label files.

    A file belongs to the image whose stem it has, or with whose stem it begins ("cell1_masks" is of "cell1"), in the
    same folder below the root first. Raises FileError when there is no labels file at all, and for an image with
    several.
    """
    where = Path(os.path.expanduser(os.fspath(labels)))
    if where.is_dir() and not is_image(where):
        files = [one for one in sorted(where.rglob("*")) if one.suffix.lower() in _LABELS and one.is_file()]
        base = where
    else:
        files = [Path(one) for one in sorted(glob.glob(str(where), recursive=True))]
        base = Path(os.path.commonpath([one.parent for one in files])) if files else where
    if not files:
        raise FileError(f"There are no labels in {where}.", "Give a folder or a pattern of label files.")
    stems: dict[str, list[str]] = {}
    for name in found.paths:
        stems.setdefault(PurePosixPath(name).stem, []).append(name)
    # The longest first: cell1_2_masks belongs to cell1_2, not to cell1.
    ordered = sorted(stems, key=len, reverse=True)
    of: dict[str, list[Path]] = {}
    for file in files:
        stem = next((one for one in ordered if re.fullmatch(rf"{re.escape(one)}([\W_].*)?", file.stem)), None)
        if stem is None:
            continue
        here = file.parent.relative_to(base).as_posix() if file.is_relative_to(base) else ""
        owners = stems[stem]
        near = [name for name in owners if PurePosixPath(name).parent.as_posix() == here]
        for name in near or (owners if len(owners) == 1 else []):
            of.setdefault(name, []).append(file)
    for name, some in of.items():
        exact = [one for one in some if one.stem == PurePosixPath(name).stem]
        of[name] = exact if len(exact) == 1 else some
        if len(of[name]) > 1:
            several = ", ".join(one.name for one in of[name][:3])
            raise FileError(
                f"{name} has several labels: {several}.", "Use a pattern that fits one, such as '*_masks.tif'."
            )
    return {name: some[0] for name, some in of.items()}


def match_stores(folder: str | os.PathLike[str], found: Found) -> dict[str, str]:
    """Return the stores of embeddings of images, by the images' names, as the command ``embed`` names them.

    In a folder only those that are there; of an address all are taken to be. Raises FileError when there is none.
    """
    text = os.fspath(folder).rstrip("/")
    address = "://" in text
    if not address:
        text = os.path.abspath(os.path.expanduser(text))
    if len(found.paths) == 1 and text.endswith((".zarr", ".zip")):
        stores = [text]
    else:
        stores = [f"{text}/{name}.zarr" for name in name_results(list(found.paths.values()))]
    of = {name: one for name, one in zip(found.paths, stores, strict=True) if address or os.path.exists(one)}
    if not of:
        raise FileError(
            f"There are no embeddings of these images in {text}.",
            f"Make them with: microsam-nb embed IMAGES -m MODEL -o {text}",
        )
    return of


def _meant(name: str) -> tuple[list[Path], list[Path]]:
    """Return the images meant by one name, and files in a folder that are none."""
    path = Path(name)
    if path.is_dir() and not is_image(path):
        some = [one for one in path.iterdir() if not one.name.startswith(".") and one.name.lower() not in _SYSTEM]
        return [one for one in some if is_image(one)], [one for one in some if not is_image(one) and one.is_file()]
    if path.exists():
        return [path], []
    return [one for one in map(Path, glob.glob(name, recursive=True)) if is_image(one)], []


def _numbers(text: str) -> tuple[tuple[int, int, str], ...]:
    parts = re.split(r"(\d+)", text)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part)


def _named(root: Path, paths: Iterable[Path]) -> dict[str, Path]:
    return {path.relative_to(root).as_posix(): path for path in paths}


def _within(path: Path, folder: Path | None) -> bool:
    return folder is not None and Path(os.path.abspath(path)).is_relative_to(folder)


def _said(names: Sequence[object]) -> str:
    return ", ".join(str(one) for one in names[:3]) + (" ..." if len(names) > 3 else "")


def _deeper(names: Sequence[object]) -> str:
    first = str(names[0]) if names else "folder"
    return f"{first}/**/*.tif" if not glob.has_magic(first) else "folder/**/*.tif"
