"""Models measured on public data sets."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core import FileError, Image
from ..engine.evaluation.interactive import check_labels
from ..files.datasets import DataSet, Part, find_parts, read_part, unknown_split
from .evaluate_files import Pair


@dataclass(frozen=True, slots=True)
class Member(Pair):
    """An image of a data set, and how it is read."""

    part: Part


def find_members(data: DataSet, folder: Path, split: str, limit: int | None = None) -> list[Member]:
    """Return the images of a data set's folder that have labels. Raises FileError."""
    return [Member(one.name, one.image, one.labels, one) for one in find_parts(data, folder, split, limit)]


def read_member(pair: Pair, axes: str = "", key: str = "") -> tuple[Image, NDArray[np.uint32]]:
    """Return an image and its labels uint32 (planes, y, x); axes and keys are those of the data set.

    Raises FileError, ImageError and LabelError.
    """
    assert isinstance(pair, Member)
    image, labels = read_part(pair.part)
    return image, check_labels(labels, image)


def fetch(data: DataSet, folder: Path, split: str) -> None:
    """Download a data set to a folder by torch-em. Raises FileError where that cannot be done."""
    if not data.fetcher:
        raise FileError(
            f"{data.title} cannot be downloaded by this command.", f"Download it from {data.source} to {folder}."
        )
    module, function = data.fetcher.rsplit(".", 1)
    try:
        found = importlib.import_module(f"torch_em.data.datasets.{module}")
    except ImportError as error:
        raise FileError(
            f"To download {data.title} torch-em is needed, which is not installed ({error}).",
            f"Run: conda install -c conda-forge torch_em; or download it from {data.source} to {folder}.",
        ) from error
    if split not in data.splits:
        raise unknown_split(data, split)
    given = {
        name: _argument(value.format(split=split, called=data.splits[split])) for name, value in data.arguments.items()
    }
    try:
        getattr(found, function)(str(folder), download=True, **given)
    except Exception as error:  # torch-em, its downloads and its archives have no common base error
        raise FileError(
            f"torch-em could not download {data.title} ({type(error).__name__}: {error}).",
            f"Download it from {data.source} to {folder}.",
        ) from error


def _argument(value: str) -> str | list[str]:
    return value.split(",") if "," in value else value
