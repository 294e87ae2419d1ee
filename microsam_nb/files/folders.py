"""Whole folders or none."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from ..core import FileError


@contextlib.contextmanager
def replacing_folder(path: Path, ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Give an empty folder next to ``path`` to write to; it becomes ``path`` at the end, and is removed after an error.

    A folder that is there already is replaced where ``ours`` says that it holds nothing but an earlier result, or when
    it is empty. Raises FileError for any other, and when the folder cannot be written.
    """
    whole = path.resolve()
    part, former = (whole.with_name(f"{whole.name}.{os.getpid()}.{end}") for end in ("part", "former"))
    check_folder(path, ours)
    try:
        part.mkdir(parents=True)
        yield part
        if whole.exists():
            os.replace(whole, former)
        try:
            os.replace(part, whole)
        except BaseException:
            if former.exists():
                os.replace(former, whole)
            raise
        shutil.rmtree(former, ignore_errors=True)
    except OSError as error:
        raise FileError(
            f"{path} cannot be written ({error.strerror or error}).",
            "Choose a folder that you may write to and that has space left.",
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_folder(path: Path, ours: Callable[[Path], bool]) -> None:
    """Raise FileError for a place where something is that must not be replaced, or that cannot be written to."""
    whole = path.resolve()
    if whole.exists() and not (whole.is_dir() and (not any(whole.iterdir()) or ours(whole))):
        raise FileError(f"{path} holds something else already.", "Choose a new or an empty folder.")
    above = next(one for one in whole.parents if one.exists())
    if not (above.is_dir() and os.access(above, os.W_OK)):
        raise FileError(f"{path} cannot be made in {above}.", "Choose a folder that you may write to.")
