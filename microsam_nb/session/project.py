"""A project folder: meta data, journal and lock."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..core import Image, ProjectError
from .journal import Journal

_FORMAT = 1
#: Projects opened by this process; opening one again takes it over.
_open: dict[Path, Project] = {}


@dataclass(frozen=True, slots=True)
class Meta:
    """What a project belongs to."""

    format: int
    version: str
    image: str
    name: str
    axes: str
    shape: tuple[int, ...]
    dtype: str
    model: str


class Project:
    """A folder that keeps one annotation. Open it with ``Project.open``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = Journal(folder / "journal.jsonl")
        self._closed = False

    @classmethod
    def open(cls, folder: Path, image: Image, model: str) -> Project:
        """Open or make the project of ``image`` in ``folder``.

        Raises ProjectError when the folder belongs to another image, is not a project, cannot be written, or is
        open in another kernel.
        """
        folder = folder.resolve()
        expected = Meta(
            _FORMAT, __version__, image.fingerprint(), image.name, image.axes,
            tuple(image.pixels.shape), image.pixels.dtype.str, model,
        )  # fmt: skip
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _check_meta(folder, expected)
            if folder in _open:
                _open[folder].close()
            _take_lock(folder)
        except OSError as error:
            raise ProjectError(
                f"The project folder {folder} cannot be written ({error.strerror}).",
                "Choose another place with project='...', or project=False to work without one.",
            ) from error
        project = cls(folder)
        _open[folder] = project
        return project

    def check(self) -> None:
        """Raise ProjectError when this project was closed or taken over."""
        if self._closed:
            raise ProjectError(
                "This annotator is closed; its project was opened again elsewhere in this notebook.",
                "Continue in the newer one.",
            )

    def close(self) -> None:
        """Release the lock. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        _open.pop(self.folder, None)
        (self.folder / "lock").unlink(missing_ok=True)


def _check_meta(folder: Path, expected: Meta) -> None:
    path = folder / "meta.json"
    if not path.exists():
        if any(p.name not in ("lock", "meta.json.part") for p in folder.iterdir()):
            raise ProjectError(
                f"{folder} holds other files and no project.", "Name an empty or new folder for the project."
            )
        part = path.with_name("meta.json.part")
        part.write_text(json.dumps(asdict(expected), indent=1))
        os.replace(part, path)
        return
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        number = int(found["format"])
        same = found["image"] == expected.image
    except (ValueError, KeyError, TypeError) as error:
        raise ProjectError(f"{path} cannot be read.", "Restore the file, or open another project.") from error
    if number > _FORMAT:
        raise ProjectError(
            f"{folder} was made by microsam_nb {found.get('version')}.", "Update microsam_nb to open it."
        )
    if not same:
        raise ProjectError(
            f"{folder} belongs to another image ({found.get('name')}, shape {found.get('shape')}).",
            "Open it with that image, or choose another project folder.",
        )


def _take_lock(folder: Path) -> None:
    path = folder / "lock"
    mine = {"pid": os.getpid(), "host": socket.gethostname()}
    for _ in range(2):
        try:
            with path.open("x") as file:
                json.dump(mine, file)
            return
        except FileExistsError:
            try:
                found = json.loads(path.read_text())
                owner = {"pid": int(found["pid"]), "host": str(found["host"])}
            except (ValueError, KeyError, TypeError, FileNotFoundError):
                owner = {}  # not written by us, or torn
            if _alive(owner):
                raise ProjectError(
                    f"{folder} is open in another kernel (process {owner.get('pid')} on {owner.get('host')}).",
                    f"Close that notebook, or delete {path} if it no longer runs.",
                ) from None
            path.unlink(missing_ok=True)
    raise ProjectError(f"{folder} was locked by another kernel just now.", "Try again.")


def _alive(owner: dict[str, Any]) -> bool:
    if owner.get("host") != socket.gethostname():
        return bool(owner)
    pid = owner["pid"]
    if pid <= 0 or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
