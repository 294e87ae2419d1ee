"""Labels that a format may get wrong."""

import numpy as np

from microsam_nb.core import Candidate, Image, Mask, ObjectInfo, VoxelSize

_ROWS = [
    "1111000002",
    "1001033300",
    "1071033304",
    "1111033300",
    "0000000055",
    "6600000050",
    "6600880005",
]


def _drawn():
    return np.array([[int(one) for one in row] for row in _ROWS], np.uint32)


def _large_numbers():
    labels = _drawn()
    labels[labels == 3] = 70_000
    labels[labels == 8] = 2**32 - 1
    return labels


def _volume():
    flat = _drawn()
    moved = np.roll(flat, 1, axis=1)
    moved[moved == 6] = 0
    return np.stack([flat, np.zeros_like(flat), moved])


#: A hole with another object in it, one pixel, at the border, touching, parts that touch at a corner.
LABELS = {
    "all at once": _drawn(),
    "large numbers": _large_numbers(),
    "no objects": np.zeros((5, 9), np.uint32),
    "one object": np.pad(np.ones((2, 3), np.uint32), 2),
    "everything": np.full((4, 6), 3, np.uint32),
    "one row": np.array([[0, 1, 1, 0, 2]], np.uint32),
    "a volume": _volume(),
    "an empty volume": np.zeros((3, 4, 5), np.uint32),
    "volume of one plane": _drawn()[None],
}
INFOS = {
    1: ObjectInfo(0.9375, "Zelle № 1 / äöü 細胞", "mitosis"),
    3: ObjectInfo(0.5, "", "interphase"),
    5: ObjectInfo(None, 'zwei: Teile, "so"', ""),
}
VOXEL = VoxelSize(2.0, 0.25, 0.5)


def image_of(labels, axes=""):
    """Brightness 10 per number."""
    return Image((labels % 1000 * 10).astype(np.uint16), axes, "Bild 1", voxel_size=VOXEL)


def candidates(shape):
    """Two that overlap each other and the objects."""
    one, other = np.zeros(shape, bool), np.zeros(shape, bool)
    one[..., 1:4, 2:6] = True
    other[..., 2:6, 3:8] = True
    return Candidate(Mask.crop(one), 0.75, "box"), Candidate(Mask.crop(other), 0.5, "points")
