"""Images of microscopes in formats of their makers, read by the optional package bioio."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import FileError
from .volumes import PLUGINS, Lazy, times_and_planes
from .voxels import voxel_size

#: Without it a plane of these is read with all others of its stack.
_OPTIONS = {".lif": {"chunk_dims": ["Y", "X", "S"]}}


class _Scene:
    """The pixels of one image in a file, (t, c, z, y, x) and perhaps colours; read where they are asked for."""

    def __init__(self, opened: Any) -> None:
        self._opened, self._pixels = opened, opened.dask_data
        self.shape, self.dtype, self.chunks = self._pixels.shape, self._pixels.dtype, self._pixels.chunksize

    def __getitem__(self, key: Any) -> NDArray[np.generic]:
        return np.asarray(self._pixels[key])


def open_with_bioio(path: Path, key: str = "") -> Lazy:
    """Open an image plane by plane, with its axes and voxel size; ``key`` names it in a file with several ("scenes").

    Raises FileError, with what to install.
    """
    plugin = PLUGINS[path.suffix.lower()]
    if not (_there("bioio") and _there(plugin)):
        raise FileError(
            f"To read {path.suffix} a package is needed that is not installed.",
            f"Run: pip install bioio {plugin}; or save the image as OME-TIFF.",
        )
    try:
        opened = importlib.import_module("bioio").BioImage(path, **_OPTIONS.get(path.suffix.lower(), {}))
        scenes = [str(one) for one in opened.scenes]
        if key in scenes:
            opened.set_scene(key)
        elif key or len(scenes) > 1:
            some = ", ".join(repr(one) for one in scenes[:6]) + (" ..." if len(scenes) > 6 else "")
            raise FileError(
                f"{path} holds {f'no image {key!r} but ' if key else ''}the images {some}.",
                f"Open one with files.volumes.open_image(path, {scenes[0]!r}) (--key on the command line).",
            )
        axes = str(opened.dims.order).lower()
        scene = _Scene(opened)
        long = {name for name, side in zip(axes, scene.shape, strict=True) if side > 1}
        sizes = opened.physical_pixel_sizes
    except FileError:
        raise
    except Exception as error:  # readers have no common base error
        raise FileError(f"{path} cannot be read as an image ({error}).", "Save it as OME-TIFF.") from error
    if {"t", "z"} <= long:
        raise times_and_planes(path, axes)
    if {"c", "s"} <= long:
        raise FileError(f"{path} has both channels and colours.", "Save one channel by itself.")
    lazy = Lazy(scene, axes.replace("s", "c"))
    # bioio gives µm.
    lazy.voxel_size = voxel_size(sizes.Z if "z" in long else None, sizes.Y, sizes.X, "µm")
    return lazy


def _there(package: str) -> bool:
    return importlib.util.find_spec(package.replace("-", "_")) is not None
