"""Read a data pack: a folder of labelled images with a ``manifest.csv``."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ..core import FileError, LabelledImage
from .images import read_image


def read_pack(folder: Path, split: str, *, kinds: tuple[str, ...] = ("2d",)) -> list[LabelledImage]:
    """Read every image of one split ("train", "val" or "test"); volumes and movies become their planes.

    ``kinds`` are "2d", "3d" and "2dt". Groups are named "source | modality". Raises FileError without a manifest.
    """
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise FileError(f"{folder} has no manifest.csv.", "Give the folder of a data pack.")
    out: list[LabelledImage] = []
    with manifest.open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["split"] != split or row["kind"] not in kinds:
                continue
            pixels = read_image(folder / row["path_image"])
            labels = read_image(folder / row["path_label"]).astype(np.int32)
            group = f"{row['source']} | {row['modality']}"
            name = Path(row["path_image"]).stem
            if row["kind"] == "2d":
                out.append(LabelledImage(pixels, labels, group, name))
            else:
                planes = zip(pixels, labels, strict=True)
                out.extend(LabelledImage(p, q, group, f"{name}:{i}") for i, (p, q) in enumerate(planes))
    return out
