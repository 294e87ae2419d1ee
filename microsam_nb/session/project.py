"""A project folder: meta data, journal, labels and lock."""

from __future__ import annotations

import contextlib
import errno
import getpass
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .. import __version__
from ..core import Image, ProjectError, ProjectInUseError
from ..core.box import Triple
from ..core.replacing import replaced_whole
from .journal import Journal
from .origin import origin_of
from .signal import Signal
from .stored import StoredLabels

#: 1: one object per answer, no checksums, no labels.zarr.
_FORMAT = 2
#: Projects opened by this process; opening one again takes it over.
_open: dict[Path, Project] = {}


@dataclass(frozen=True, slots=True)
class Meta:
    """What a project belongs to, and the model that it was begun with; each answer in the journal names its own.

    ``origin``: where the image was read from when it was opened last, as ``origin_of`` gives it. ``begun``: what tells
    the objects that it was begun with from others, "" for none.
    """

    format: int
    version: str
    image: str
    name: str
    axes: str
    shape: tuple[int, ...]
    dtype: str
    model: str
    origin: Mapping[str, str] = field(default_factory=dict)
    begun: str = ""


class Project:
    """A folder that keeps one annotation. Open it with ``Project.open``."""

    def __init__(self, folder: Path, lock: FileLock) -> None:
        self.folder = folder
        self._lock = lock
        #: Told before the folder is released, and after.
        self.closing: Signal[None] = Signal()
        self.closed: Signal[None] = Signal()
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
            origin_of(image.source, folder),
        )  # fmt: skip
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Nothing is written into what is none of ours, and nothing before the folder is locked.
            _check_meta(folder, expected)
            if folder in _open:
                _open[folder].close()
            lock = _take_lock(folder)
            try:
                if not _check_meta(folder, expected):
                    _write_meta(folder / "meta.json", asdict(expected))
                _renew_meta(folder, expected)
            except BaseException:
                lock.release()
                raise
        except OSError as error:
            raise ProjectError(
                f"The project folder {folder} cannot be written ({error.strerror}).",
                "Choose another place with project='...', or project=False to work without one.",
            ) from error
        project = cls(folder, lock)
        _open[folder] = project
        return project

    def stored(self, shape: Triple) -> StoredLabels:
        """Return the place of the labels, of shape ``shape`` (planes, h, w)."""
        return StoredLabels(self.folder / "labels.zarr", shape)

    @property
    def begun(self) -> str:
        """What ``begin`` was told; "" in a project that began with nothing."""
        with contextlib.suppress(OSError, ValueError):
            return str(json.loads((self.folder / "meta.json").read_text()).get("begun", ""))
        return ""

    def begin(self, fingerprint: str) -> None:
        """Remember what the project begins with, to know it again when it is given another time."""
        path = self.folder / "meta.json"
        with contextlib.suppress(OSError):  # it is only a sentence more the next time
            _write_meta(path, json.loads(path.read_text()) | {"begun": fingerprint})

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
        self.closing.emit(None)
        self.journal.finish()
        with contextlib.suppress(OSError):  # a folder that became read-only must not stay locked
            (self.folder / "owner.json").unlink(missing_ok=True)
        self._lock.release()
        if _open.get(self.folder) is self:
            del _open[self.folder]
        self.closed.emit(None)


def holder(folder: Path) -> str | None:
    """Return who has a project open, None when nobody has, or this process."""
    if folder.resolve() in _open or not (folder / "owner.json").exists():
        return None
    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return _owner(folder)
    except (OSError, NotImplementedError):
        return None
    lock.release()  # it was left by a process that was killed
    return None


def _check_meta(folder: Path, expected: Meta) -> bool:
    """Return whether a folder is a project already. Raises ProjectError when it is something else."""
    path = folder / "meta.json"
    if not path.exists():
        # Of an image that comes next the embeddings may be there already.
        known = ("lock", "owner.json", "meta.json.", "embeddings-")
        if not all(p.name.startswith(known) for p in folder.iterdir()):
            raise ProjectError(
                f"{folder} holds other files and no project.", "Name an empty or new folder for the project."
            )
        return False
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        number = int(found["format"])
        same = found["image"] == expected.image
        axes = str(found["axes"])
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
    if axes.startswith("t") != expected.axes.startswith("t"):
        what, door = ("a movie", "annotate_tracks") if axes.startswith("t") else ("no movie", "annotate_3d")
        raise ProjectError(
            f"{folder} was begun with the axes {axes!r}, as {what}.",
            f"Open it with {door} and axes={axes!r}, or choose another project folder.",
        )
    return True


def _renew_meta(folder: Path, expected: Meta) -> None:
    """Keep older versions out of a project that is about to get lines that they do not know; note a moved image."""
    path = folder / "meta.json"
    found: dict[str, Any] = json.loads(path.read_text())
    new = dict(found)
    if int(found["format"]) < _FORMAT:
        new |= {"format": _FORMAT, "version": __version__}
    if expected.origin:
        new["origin"] = dict(expected.origin)
    if new != found:
        _write_meta(path, new)


def _write_meta(path: Path, values: dict[str, Any]) -> None:
    with replaced_whole(path) as part:
        part.write_text(json.dumps(values, indent=1))


def _take_lock(folder: Path) -> FileLock:
    """Lock the folder for this process; the operating system releases it when the process dies."""
    # Opened on one thread it may be closed on another.
    lock = FileLock(folder / "lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise ProjectInUseError(
            f"{folder} is open in another kernel ({_owner(folder)}).",
            "Shut that kernel down, then open the project again.",
        ) from None
    except NotImplementedError as error:
        raise OSError(errno.ENOLCK, "its file system cannot lock files") from error
    about = {"pid": os.getpid(), "host": socket.gethostname(), "user": _user()}
    (folder / "owner.json").write_text(json.dumps(about))
    return lock


def _owner(folder: Path) -> str:
    try:
        found = json.loads((folder / "owner.json").read_text())
        user = f"{found['user']}, " if found.get("user") else ""
        return f"{user}process {int(found['pid'])} on {found['host']}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "unknown process"


def _user() -> str:
    # Without a name in the system there is still the process.
    with contextlib.suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return ""
