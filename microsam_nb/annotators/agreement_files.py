"""Several annotators of the same images: how much they have in common, and labels that speak for all of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core import FileError, Image, LabelError
from ..engine.evaluation.consensus import consensus
from ..engine.evaluation.report import Report, Scored
from ..engine.evaluation.scores import score
from ..files.importing import read_objects
from ..files.labels import write_labels
from ..files.volumes import open_image
from .evaluate_files import find_pairs, flat


def compare_annotators(folders: Sequence[str], output: Path | None = None) -> Report:
    """Return the scores of every two annotators on every image that both have; their order does not matter for mSA.

    ``folders`` hold label files of the same names, one folder per annotator. ``output``: a folder for labels that speak
    for all of them, NAME.tif of every image that all have. Raises FileError and LabelError.
    """
    if len(folders) < 2:
        raise FileError("One annotator agrees with himself.", "Give the folders of two annotators at least.")
    names = _names(folders)
    rows: list[Scored] = []
    paths: dict[str, dict[str, Path]] = {}
    for (one, first), (other, second) in itertools.combinations(zip(names, folders, strict=True), 2):
        for pair in find_pairs([first], second):
            a, b = _labels(pair.image), _labels(pair.labels)
            if a.shape != b.shape:
                raise LabelError(
                    f"{pair.image} and {pair.labels} have the sizes {a.shape} and {b.shape}.",
                    "Give labels of the same images.",
                )
            rows.append(Scored(pair.name, mode=f"{one} and {other}", scores=score(a, b)))
            paths.setdefault(pair.name, {}).update({one: pair.image, other: pair.labels})
    if output is not None:
        _write(paths, len(folders), output)
    return Report(tuple(rows), {"annotators": dict(zip(names, map(str, folders), strict=True))})


def _names(folders: Sequence[str]) -> list[str]:
    """Return short names of folders, the whole paths where these would be the same."""
    short = [Path(one).name or str(one) for one in folders]
    return short if len(set(short)) == len(short) else [str(one) for one in folders]


def _labels(path: Path) -> NDArray[np.uint32]:
    """Return labels uint32 (y, x), of volumes (z, y, x)."""
    return flat(read_objects(path, Image(open_image(path), "", path.name).shape, name=path.name).labels)


def _write(paths: dict[str, dict[str, Path]], count: int, output: Path) -> None:
    """Write the consensus of every image that all annotators have."""
    for name, own in paths.items():
        if len(own) < count:
            continue
        found = consensus([_labels(path) for path in own.values()])
        target = output / f"{Path(name).with_suffix('')}.tif"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_labels(target, found)
