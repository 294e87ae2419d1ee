"""Files of classifiers: whole or not there, and what is said when one cannot be written or read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..core import FileError
from ..files.replacing import replacing

if TYPE_CHECKING:
    from ..engine.classifying import Classifier


def save_classifier(classifier: Classifier, path: str | os.PathLike[str]) -> Path:
    """Write a classifier to a file, usually named like nuclei.skops, wholly or not at all. Raises FileError."""
    from ..engine.classifying import to_bytes

    where = Path(path).expanduser()
    data = to_bytes(classifier)
    with replacing(where) as part:
        part.write_bytes(data)
    return where


def load_classifier(path: str | os.PathLike[str]) -> Classifier:
    """Read a classifier. Raises FileError when there is no such file, ClassifierError when it is something else."""
    from ..engine.classifying import from_bytes

    where = Path(path).expanduser()
    try:
        data = where.read_bytes()
    except OSError as error:
        raise FileError(f"{where} cannot be read ({error.strerror or error}).", "Check the path.") from error
    return from_bytes(data, where.name)
