"""Whole files or none, and what is said when a file cannot be written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..core import FileError
from ..core.replacing import replaced_whole


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name next to ``path`` to write to; renamed to ``path`` at the end, removed after an error.

    Raises FileError when the file cannot be written.
    """
    try:
        with replaced_whole(path) as part:
            yield part
    except OSError as error:
        raise FileError(
            f"{path} cannot be written ({error.strerror or error}).",
            "Choose a folder that exists, that you may write to and that has space left.",
        ) from error


def check_writable(path: Path) -> None:
    """Raise FileError when ``path`` clearly cannot be written, before long work is done for it."""
    folder = path.resolve().parent
    if path.is_dir():
        raise FileError(f"{path} is a folder.", "Name the file to write in it.")
    if not folder.is_dir():
        raise FileError(f"There is no folder {folder}.", "Choose a folder that exists, or make it first.")
    if not os.access(folder, os.W_OK):
        raise FileError(f"The folder {folder} cannot be written to.", "Choose another one.")
