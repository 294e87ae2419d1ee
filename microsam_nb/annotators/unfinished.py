"""Labels that are not complete yet: what was done lies beside the output until it is put in its place."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from ..core import FileError, Image
from ..core.replacing import replaced_whole
from ..engine.automatic.settings import AutomaticSettings, mode_of
from ..engine.store.key import fingerprint
from ..engine.tiling import Tiling

#: Side of the chunks of labels on disk.
_CHUNK = 1024


class Work:
    """The folder beside an output that holds what was done so far; another image, model or setting begins anew."""

    def __init__(
        self, output: Path, image: Image, model: str, tiling: Tiling | None, settings: AutomaticSettings
    ) -> None:
        self.folder = output.with_name(f"{output.name}.part")
        self._about = {
            "image": fingerprint(image),
            "model": model,
            "mode": str(mode_of(settings)),
            "settings": {one.name: str(getattr(settings, one.name)) for one in settings.describe()},
            "tiling": None if tiling is None else [list(tiling.tile), list(tiling.halo)],
            "shape": list(image.shape),
        }
        self.state: dict[str, Any] = {}

    def __enter__(self) -> Work:
        path = self.folder / "progress.json"
        try:
            known = json.loads(path.read_text())
            if known["about"] == self._about:
                self.state = known["state"]
                return self
        except (OSError, ValueError, KeyError, TypeError):
            pass
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise FileError(
                f"{self.folder} cannot be made ({error.strerror or error}).", "Choose a folder that you may write to."
            ) from error
        self.save()
        return self

    def __exit__(self, *_: object) -> None:
        """What was done stays for the next call."""

    def labels(self, shape: tuple[int, ...]) -> Any:
        """Return the labels, zeros at first."""
        where = self.folder / "labels"
        if is_labels(where):
            return zarr.open_array(where, mode="r+")
        # What was done has gone with the labels that are missing.
        self.state = {}
        self.save()
        return make_labels(where, shape)

    def save(self, **state: Any) -> None:
        """Write how far it is, as a whole."""
        self.state.update(state)
        with replaced_whole(self.folder / "progress.json") as part:
            part.write_text(json.dumps({"about": self._about, "state": self.state}))

    def done(self) -> None:
        """Remove the folder, first of all what says that something is done."""
        (self.folder / "progress.json").unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def make_labels(where: Path, shape: tuple[int, ...]) -> Any:
    """Make an array of labels, zeros, in the place of what is there."""
    chunks = (1,) * (len(shape) - 2) + tuple(min(_CHUNK, side) for side in shape[-2:])
    return zarr.create_array(
        where, shape=shape, chunks=chunks, dtype=np.uint32, fill_value=0, overwrite=True,
        compressors=[ZstdCodec(level=1)], dimension_names=["z", "y", "x"][-len(shape) :],
    )  # fmt: skip


def is_labels(folder: Path) -> bool:
    """Whether a folder holds a zarr array of labels."""
    try:
        return bool(zarr.open_array(folder, mode="r").dtype.kind in "ui")
    except Exception:  # noqa: BLE001 - whatever it is, it holds no labels
        return False


@contextmanager
def writing(output: Path) -> Iterator[None]:
    """Say what is wrong with the disk or the folder."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise FileError(
            f"{output} cannot be written ({error.strerror or error}).",
            "Free some space and run it again: what is done is kept."
            if full
            else "Choose a folder that you may write to.",
        ) from error


def put_in_place(made: Path, output: Path) -> None:
    """Put an array in its place."""
    old = output.with_name(f"{output.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        output.rename(old)
    made.rename(output)
    shutil.rmtree(old, ignore_errors=True)
