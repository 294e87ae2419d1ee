"""What a user names on the command line: files, folders and patterns; and what results are called."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import xxhash

from ..core import FileError
from .images import SUFFIXES
from .volumes import PLUGINS, is_zarr

_KNOWN = (*SUFFIXES, *PLUGINS)


def find_images(names: Sequence[str]) -> list[Path]:
    """Return the images meant by files, zarr folders, folders of images, and patterns such as "day1/**/*.tif".

    Raises FileError for a name that stands for nothing.
    """
    found: dict[str, Path] = {}
    for name in names:
        path = Path(name)
        if path.is_dir() and not is_zarr(path):
            some = sorted(one for one in path.iterdir() if is_image(one))
            if not some:
                raise FileError(f"There is no image in the folder {path}.", f"Known are {', '.join(_KNOWN)}, zarr.")
        elif path.exists():
            some = [path]
        else:
            some = [one for one in map(Path, sorted(glob.glob(name, recursive=True))) if is_image(one)]
            if not some:
                raise FileError(f"{name} is no file, folder or pattern of images.", "Check the name and the folder.")
        for one in some:
            found.setdefault(os.path.abspath(one), one)
    return list(found.values())


def name_results(paths: Sequence[Path]) -> list[str]:
    """Return one name per path, all different: the stem, with its ending and folders where stems are equal."""
    whole = [Path(os.path.abspath(path)) for path in paths]
    names = [path.stem for path in whole]
    for depth in range(max((len(path.parts) for path in whole), default=0) + 1):
        same = Counter(name.casefold() for name in names)
        clashes = [i for i, name in enumerate(names) if same[name.casefold()] > 1]
        for i in clashes:
            names[i] = _longer(whole[i], depth)
    return names


def _longer(path: Path, depth: int) -> str:
    """Return the file name after ``depth`` folders; beyond the last folder a hash tells a-b/c from a/b-c."""
    folders = path.parts[1:-1]
    if depth > len(folders):
        return f"{path.name}-{xxhash.xxh32_hexdigest(os.fsencode(path))}"
    return "-".join([*folders[len(folders) - depth :], path.name])


def is_image(path: Path) -> bool:
    """Say whether a path looks like an image: by its ending, or a zarr folder."""
    return is_zarr(path) if path.is_dir() else path.suffix.lower() in _KNOWN
