"""Whole volumes of labels as text."""

from __future__ import annotations

import base64
import binascii
import math
import zlib

import numpy as np
from numpy.typing import NDArray

from ..core.box import Triple


def pack(volume: NDArray[np.uint32]) -> str:
    """Return labels as runs of equal numbers: the numbers, then their lengths, uint32, each deflated, base64.

    A tenth of the time and of the size of deflating the pixels, where objects are larger than a few of them.
    """
    flat = np.ascontiguousarray(volume).reshape(-1)
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, flat.size), bool), flat[1:] != flat[:-1]]))
    lengths = np.diff(starts, append=flat.size)
    parts = (zlib.compress(values.astype("<u4").tobytes(), 6) for values in (flat[starts], lengths))
    return " ".join(base64.b64encode(part).decode("ascii") for part in parts)


def unpack(data: str, shape: Triple) -> NDArray[np.uint32]:
    """Return the labels (planes, h, w) that ``pack`` described. Raises ValueError when they are damaged."""
    try:
        numbers, lengths = (
            np.frombuffer(zlib.decompress(base64.b64decode(part, validate=True)), "<u4") for part in data.split(" ")
        )
    except (zlib.error, binascii.Error) as error:
        raise ValueError(f"the labels are damaged ({error})") from error
    if len(numbers) != len(lengths) or int(lengths.sum(dtype=np.int64)) != math.prod(shape):
        raise ValueError("the labels are damaged: their runs do not fill the image")
    return np.repeat(numbers.astype(np.uint32), lengths).reshape(shape)
