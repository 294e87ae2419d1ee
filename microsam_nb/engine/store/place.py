"""Paths and addresses to zarr stores."""

from __future__ import annotations

import os
import shutil
import time
import uuid
import zipfile
from dataclasses import dataclass
from pathlib import Path

from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore, ZipStore

from ...core import StoreError


@dataclass(frozen=True, slots=True)
class Place:
    """A folder, zip file or address. ``opened`` is the clock time of opening.

    A zip file cannot be changed in place, and is worthless when its end is missing. So a store grows in the folder
    ``<name>.zip.part`` beside it and is packed when it is complete; a zip file that is there is only read.
    """

    label: str
    store: Store
    folder: Path | None
    archive: Path | None
    writable: bool
    opened: float

    def seal(self) -> Place:
        """Tidy up a store that is complete, pack it when it is to be a zip file, and return where it is now."""
        if self.folder is None:
            return self
        for leftover in self.folder.rglob("*.partial"):
            # Temporary files of a process that was killed; newer ones may be another's at work.
            if leftover.stat().st_mtime < self.opened:
                leftover.unlink(missing_ok=True)
        if self.archive is None:
            return self
        _pack(self.folder, self.archive)
        shutil.rmtree(self.folder, ignore_errors=True)
        return find_place(self.archive, writing=False)


def find_place(where: str | os.PathLike[str], writing: bool) -> Place:
    """Return the place of a store; folders are made when they are written to. Raises StoreError."""
    text = os.fspath(where)
    now = time.time()
    if "://" in text and not text.startswith("file://"):
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
        for leftover in (part, *path.parent.glob(f"{path.name}.*.packing")):
            # Of a process that was killed after packing.
            shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink(missing_ok=True)
        if not zipfile.is_zipfile(path):
            raise StoreError(f"{path} is no zip file, or its end is missing.", "Delete it and compute it again.")
        return Place(str(path), ZipStore(path, mode="r"), None, None, False, now)
    _refuse_other_files(part)
    return Place(str(path), LocalStore(part, read_only=not writing), part, path, writing, now)


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
    """Write a zip file of a folder, unless another process has done so: it removes the folder while we read."""
    part = archive.with_name(f"{archive.name}.{uuid.uuid4().hex}.packing")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED, allowZip64=True) as out:
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                # A fixed date makes equal stores equal files.
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
                with path.open("rb") as source, out.open(entry, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target, 1 << 20)
        try:
            os.link(part, archive)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            if not archive.exists():
                os.replace(part, archive)
    finally:
        part.unlink(missing_ok=True)
