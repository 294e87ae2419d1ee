"""Bundled sample images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def tissue() -> NDArray[np.uint8]:
    """Return a stained tissue section, uint8 (256, 320, 3): a crop of an image that scikit-image ships.

    Colon gland among connective tissue: FHL2 in brown (DAB), nuclei in blue (haematoxylin). Acquired at the Center for
    Microscopy and Molecular Imaging (CMMI); scikit-image gives it with "No known copyright restrictions".
    """
    from skimage.data import immunohistochemistry

    return np.ascontiguousarray(immunohistochemistry()[256:512, 150:470])


def nuclei() -> NDArray[np.uint8]:
    """Return a drawn volume of 26 nuclei, uint8 (z, y, x) = (24, 160, 160), for voxels of 2 x 0.5 x 0.5 um.

    Textured ellipsoids, blurred along z most, with noise: the same every time.
    """
    from scipy import ndimage

    random = np.random.default_rng(7)
    shape, voxel = (24, 160, 160), np.array((2.0, 0.5, 0.5))
    volume = np.zeros(shape)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) * voxel
    middles: list[NDArray[np.float64]] = []
    while len(middles) < 26:
        middle = random.uniform((8, 7, 7), (40, 73, 73))
        if all(np.linalg.norm(middle - other) > 12.5 for other in middles):
            middles.append(middle)
    for middle in middles:
        turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
        away = ((grid - middle) @ turn) / random.uniform(4.5, 6.5, 3)
        volume[(away**2).sum(-1) < 1] = random.uniform(0.6, 1.0)
    texture = ndimage.gaussian_filter(random.normal(size=shape), (0.5, 2, 2))
    volume *= 1 + 0.25 * texture / texture.std()
    volume = ndimage.gaussian_filter(volume, (0.8, 1.2, 1.2))
    noisy: NDArray[np.float64] = 25 + 170 * volume + random.normal(0, 6, shape)
    return noisy.clip(0, 255).astype(np.uint8)


def dividing() -> NDArray[np.uint8]:
    """Return a drawn movie of nuclei that move and divide, uint8 (t, y, x) = (16, 160, 200).

    ``dividing_tracks`` has the truth.
    """
    from scipy import ndimage

    tracks, _ = dividing_tracks()
    random = np.random.default_rng(5)
    movie = np.zeros(tracks.shape)
    brightness = random.uniform(0.55, 0.95, int(tracks.max()) + 1)
    for frame, plane in enumerate(tracks):
        texture = ndimage.gaussian_filter(random.normal(size=plane.shape), 2)
        bright = np.where(plane > 0, brightness[plane] * (1 + 0.15 * texture / texture.std()), 0)
        movie[frame] = ndimage.gaussian_filter(bright, 1.0)
    noisy: NDArray[np.float64] = 25 + 180 * movie + random.normal(0, 6, movie.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def dividing_tracks() -> tuple[NDArray[np.uint32], dict[int, tuple[int, ...]]]:
    """Return the true tracks of ``dividing``: labels (t, y, x), and the daughters of the tracks that divide.

    Eleven cells at first, of which three divide, one of its daughters again; one leaves the picture, one comes in.
    """
    random = np.random.default_rng(11)
    frames, height, width = 16, 160, 200
    labels = np.zeros((frames, height, width), np.uint32)
    rows, columns = np.mgrid[:height, :width]
    # Track, first and last frame, place then, pixels per frame, mother.
    cells: list[tuple[int, int, int, tuple[float, float], tuple[float, float]]] = [
        (1, 0, 5, (40, 45), (1.0, 1.5)), (2, 0, 15, (30, 110), (0.8, -0.5)), (3, 0, 8, (75, 90), (-0.5, 1.2)),
        (4, 0, 15, (120, 40), (-0.6, 1.0)), (5, 0, 15, (140, 95), (-0.8, -0.3)), (6, 0, 10, (110, 150), (0.6, -0.8)),
        (7, 0, 6, (60, 192), (0.0, 2.6)), (8, 0, 15, (20, 165), (0.7, 0.6)), (9, 0, 15, (80, 18), (0.7, 0.3)),
        (10, 0, 15, (145, 180), (-0.5, -0.4)), (11, 7, 15, (4, 140), (2.0, -0.3)),
        (12, 6, 10, (38, 62), (-1.0, 1.4)), (13, 6, 15, (57, 46), (1.0, -0.4)),
        (14, 9, 15, (62, 106), (-0.6, 0.9)), (15, 9, 15, (80, 98), (1.0, 0.3)),
        (16, 11, 15, (109, 133), (-0.8, -0.4)), (17, 11, 15, (124, 151), (0.8, 0.5)),
        (18, 11, 15, (24, 78), (-0.6, 1.2)), (19, 11, 15, (41, 76), (0.8, 0.7)),
    ]  # fmt: skip
    for track, first, last, (y, x), (dy, dx) in cells:
        turn, grow = random.uniform(0, np.pi), random.uniform(0.9, 1.1)
        # Daughters are smaller than what they come from.
        radius = (7.0 if track > 11 else 9.0) * grow
        for frame in range(first, last + 1):
            step = frame - first
            wobble = random.normal(0, 0.4, 2)
            a, b = rows + 0.5 - y - dy * step - wobble[0], columns + 0.5 - x - dx * step - wobble[1]
            long, short = a * np.cos(turn) + b * np.sin(turn), b * np.cos(turn) - a * np.sin(turn)
            inside = (long / (1.15 * radius)) ** 2 + (short / (0.87 * radius)) ** 2 < 1
            labels[frame][inside & (labels[frame] == 0)] = track
            turn += random.normal(0, 0.05)
    return labels, {1: (12, 13), 3: (14, 15), 6: (16, 17), 12: (18, 19)}
