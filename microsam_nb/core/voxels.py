"""How large a pixel is in the real world."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from .errors import ImageError


@dataclass(frozen=True, slots=True)
class VoxelSize:
    """Distance between planes and size of a pixel, (z, y, x) in ``unit``; ``z`` is None where it is not known.

    Raises ImageError unless every known size is a finite number above 0.
    """

    z: float | None
    y: float
    x: float
    unit: str = "µm"

    def __post_init__(self) -> None:
        for name in ("z", "y", "x"):
            value = getattr(self, name)
            if value is None and name == "z":
                continue
            try:
                number = float(value)
            except (TypeError, ValueError):
                number = math.nan
            if not (math.isfinite(number) and number > 0):
                raise ImageError(
                    f"A voxel cannot be {value!r} {self.unit} in {name}.",
                    "Give (z, y, x) as numbers above 0, for example voxel_size=(0.5, 0.1, 0.1).",
                )
            object.__setattr__(self, name, number)

    @classmethod
    def read(cls, value: VoxelSize | Sequence[Any]) -> Self | VoxelSize:
        """Make a voxel size of (y, x) or (z, y, x) numbers in µm. Raises ImageError."""
        if isinstance(value, VoxelSize):
            return value
        sizes = () if isinstance(value, (str, bytes)) else tuple(value) if hasattr(value, "__iter__") else ()
        if len(sizes) not in (2, 3):
            raise ImageError(
                f"{value!r} is not a voxel size.", "Give (z, y, x), for example voxel_size=(0.5, 0.1, 0.1)."
            )
        return cls(*sizes) if len(sizes) == 3 else cls(None, *sizes)

    @property
    def anisotropy(self) -> float:
        """How many times farther apart planes are than pixels; 1 where that is not known."""
        return 1.0 if self.z is None else self.z / math.sqrt(self.y * self.x)
