"""Paths and addresses to zarr stores."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout
from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore, ZipStore

from ...core import StoreError

#: The attribute with the key, by which our own stores are known.
OURS = "microsam_nb"


#: File systems date a new file up to a tick of the kernel's clock too early, in seconds.
_CLOCK = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """A folder, zip file or address. ``opened`` is the clock time of opening.

    A zip file cannot be changed in place, and is worthless when its end is missing. So a store grows in the folder
    ``<name>.zip.part`` beside it and is packed when it is complete; a zip file that is there is only read. A lock
    lets only one process write it.
    """

    label: str
    store: Store
    folder: Path | None
    archive: Path | None
    writable: bool
    opened: float
    lock: BaseFileLock | None = None

    def seal(self) -> Place:
        """Tidy up a store that is complete, pack it when it is to be a zip file, and return where it is now."""
        if self.folder is None:
            return self
        for leftover in self.folder.rglob("*.partial"):
            # Temporary files of a process that was killed; newer ones may be another's at work, and be gone by now.
            with contextlib.suppress(FileNotFoundError):
                if leftover.stat().st_mtime < self.opened - _CLOCK:
                    leftover.unlink()
        if self.archive is None:
            return self
        _pack(self.folder, self.archive)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.lock is not None:
            self.lock.release(force=True)
            Path(self.lock.lock_file).unlink(missing_ok=True)
        return find_place(self.archive, writing=False)


def find_place(where: str | os.PathLike[str], writing: bool) -> Place:
    """Return the place of a store; folders are made when they are written to. Raises StoreError."""
    text = os.fspath(where)
    now = time.time()
    if "://" in text and not text.startswith("file://"):
        # Web servers hand out files and take none.
        writing = writing and not text.startswith(("http://", "https://"))
        return Place(text, _remote(text, writing), None, None, writing, now)
    path = Path(text.removeprefix("file://")).expanduser()
    if path.suffix.lower() == ".zip":
        return _zip(path, writing, now)
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path} is a file.", "Name a folder, a .zip file, or an address such as s3://bucket/name.")
    _refuse_other_files(path)
    return Place(str(path), LocalStore(path, read_only=not writing), path, None, writing, now)


def _zip(path: Path, writing: bool, now: float) -> Place:
    part = path.with_name(f"{path.name}.part")
    if path.is_file():
        if not zipfile.is_zipfile(path):
            raise StoreError(f"{path} is no zip file, or its end is missing.", "Delete it and compute it again.")
        if writing and _is_ours(part) and _holds_group(path):
            shutil.rmtree(part, ignore_errors=True)  # of a process that was killed after packing
        return Place(str(path), ZipStore(path, mode="r"), None, None, False, now)
    _refuse_other_files(part)
    lock = _take_lock(path) if writing else None
    return Place(str(path), LocalStore(part, read_only=not writing), part, path, writing, now, lock)


def _is_ours(folder: Path) -> bool:
    """Whether a folder holds a store that this library made."""
    try:
        found = json.loads((folder / "zarr.json").read_bytes())
        return OURS in found["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _holds_group(archive: Path) -> bool:
    try:
        with zipfile.ZipFile(archive) as file:
            return "zarr.json" in file.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _take_lock(archive: Path) -> BaseFileLock:
    """Lock a zip file for this process; the operating system releases it when the process dies."""
    lock = FileLock(archive.with_name(f"{archive.name}.lock"), timeout=0, is_singleton=True)
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise StoreError(
            f"{archive} is being written by another process.", "Wait for it, or use a folder, which several may write."
        ) from error
    except (OSError, NotImplementedError) as error:
        raise cannot_write(str(archive), error) from error
    return lock


def _remote(url: str, writing: bool) -> Store:
    try:
        return FsspecStore.from_url(url, read_only=not writing)
    except ImportError as error:
        raise StoreError(
            f"{url} needs a package that is not installed ({error}).", "Install it with pip, then try again."
        ) from error
    except ValueError as error:
        raise StoreError(
            f"{url} is no address that can be opened ({error}).", "Write it like s3://bucket/name or gs://bucket/name."
        ) from error


def _refuse_other_files(folder: Path) -> None:
    """Raise StoreError for a folder that holds something, but no zarr group."""
    if not folder.is_dir() or any((folder / name).exists() for name in ("zarr.json", ".zgroup")):
        return
    if any(not one.name.endswith(".partial") for one in folder.iterdir()):
        raise StoreError(f"{folder} holds other files and no store.", "Name a new or empty folder.")


def _pack(folder: Path, archive: Path) -> None:
    """Write a zip file of a folder."""
    part = archive.with_name(f"{archive.name}.packing")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED, allowZip64=True) as out:
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                # A fixed date makes equal stores equal files.
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
                with path.open("rb") as source, out.open(entry, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target, 1 << 20)
        os.replace(part, archive)
    finally:
        part.unlink(missing_ok=True)


def cannot_write(label: str, error: Exception) -> StoreError:
    """Say why a store cannot be written."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"There is no room left for {label}.", "Free some and go on; what is done is kept.")
    return StoreError(
        f"{label} cannot be written ({error or type(error).__name__}).",
        "Check the place and its permissions, then go on; what is done is kept.",
    )
