"""Weights by name: micro-sam's cache folder, and downloads that can be cut off at any moment.

A download grows in a ``.part`` file beside its place, goes on where it stopped, and gets its name only when its
hash is right.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import xxhash
from filelock import FileLock, Timeout

from ..core import ModelError
from .registry import RegisteredModel, Source

_VARIABLE = "MICROSAM_CACHEDIR"
_BLOCK = 1 << 20
#: What is lost at most when a connection breaks.
_PORTION = 1 << 16
_ATTEMPTS = 20
#: Seconds before a cut connection is tried again; seconds to connect and to wait for the next bytes.
_PAUSE = 1.0
_PATIENCE = (20.0, 60.0)


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A file of the registry and its place in the cache, whether it is there or not."""

    name: str
    source: Source
    path: Path

    @property
    def size(self) -> int:
        """Bytes in the cache, 0 if it is not there."""
        return _size(self.path)

    def is_intact(self) -> bool:
        """Whether the file is there with the right content; reads it."""
        try:
            return self.path.is_file() and file_hash(self.path) == self.source.identity
        except OSError as error:
            raise ModelError(
                f"{self.path} cannot be read ({error.strerror or error}).",
                f"Give yourself the right to read it, or set {_VARIABLE} to another folder.",
            ) from error

    @property
    def by_hand(self) -> str:
        """How to get the file without this program."""
        return f"fetch {self.source.url} with a browser or on another computer and save it as {self.path}."


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a download has got so far in bytes; ``total`` is None where it is not known."""

    name: str
    done: int
    total: int | None


def cache_folder() -> Path:
    """Return the folder that is shared with micro-sam: MICROSAM_CACHEDIR, or the system's place for caches."""
    import pooch

    return Path(os.environ.get(_VARIABLE) or pooch.os_cache("micro_sam")).expanduser()


def cached_files(model: RegisteredModel) -> list[CachedFile]:
    """Return the model's weights and, where it has one, its decoder; nothing for an embedded model."""
    folder = cache_folder() / "models"
    parts = ((model.name, model.weights), (f"{model.name}_decoder", model.decoder))
    return [CachedFile(name, source, folder / name) for name, source in parts if source is not None]


def fetch(model: RegisteredModel) -> list[Path]:
    """Return the model's files, weights first; what is missing or damaged is downloaded with a progress bar.

    Raises ModelError with what to do when it cannot be had.
    """
    files = cached_files(model)
    for file in files:
        if not file.is_intact():
            _show(download(file))
    return [file.path for file in files]


def download(file: CachedFile) -> Iterator[Transfer]:
    """Bring the file into the cache. Stop iterating to cancel; the next time goes on from there.

    While another process downloads the same file, its progress is given and its file is taken.
    """
    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{file.path}.lock", thread_local=False)
        while True:
            try:
                lock.acquire(timeout=1)
                break
            except Timeout:
                yield Transfer(file.name, _size(_part(file)), None)
    except OSError as error:
        raise _unwritable(file, error) from error
    try:
        if not file.is_intact():
            yield from _complete(file)
    except OSError as error:
        raise _unwritable(file, error) from error
    finally:
        lock.release()


def file_hash(path: Path) -> str:
    """Return the identity of a file's content, ``xxh128:`` and hexadecimal digits."""
    digest = xxhash.xxh128()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return f"xxh128:{digest.hexdigest()}"


def _show(transfers: Iterator[Transfer]) -> None:
    # Not tqdm.auto: it would load widgets.
    from tqdm import tqdm

    # The bar appears when there is something to show: not above the sentence that the network is down.
    first = next(transfers, None)
    if first is None:
        return
    with tqdm(desc=first.name, unit="B", unit_scale=True, mininterval=0.5) as bar:
        for now in chain([first], transfers):
            bar.total = now.total
            bar.update(now.done - bar.n)


def _complete(file: CachedFile) -> Iterator[Transfer]:
    """Receive until the file is whole, check it, and give it its name."""
    part = _part(file)
    continued = _size(part) > 0
    attempts = 0
    while True:
        before, attempts = _size(part), attempts + 1
        try:
            yield from _receive(file, part)
        except ConnectionError as error:
            if _size(part) <= before or attempts >= _ATTEMPTS:
                raise _cut(file, part, error) from error
            time.sleep(_PAUSE)
            continue
        if part.is_file() and file_hash(part) == file.source.identity:
            os.replace(part, file.path)
            return
        part.unlink(missing_ok=True)
        if not continued:
            raise ModelError(
                f"What the server sent for {file.name} is not the expected file (its hash differs).",
                f"A proxy or a login page may stand in between: try another network, or {file.by_hand}",
            )
        continued = False  # the beginning was not ours or damaged: once more, from scratch


def _receive(file: CachedFile, part: Path) -> Iterator[Transfer]:
    """Append what is missing to the part file. Raises ConnectionError when the connection breaks."""
    import requests

    have = _size(part)
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    try:
        with requests.get(file.source.url, headers=headers, stream=True, timeout=_PATIENCE) as response:
            if response.status_code == 416:  # there is nothing after what we have; the hash decides
                return
            if response.status_code >= 400:
                raise ModelError(
                    f"{file.name} cannot be downloaded: the server answers {response.status_code} {response.reason}.",
                    f"Try again later, or {file.by_hand}",
                )
            if response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                mode = "ab"
            else:
                mode, have = "wb", 0
            length = response.headers.get("Content-Length", "")
            total = have + int(length) if length.isdigit() else None
            _check_room(file, (total or 0) - have)
            yield Transfer(file.name, have, total)
            with part.open(mode) as out:
                for block in response.iter_content(_PORTION):
                    out.write(block)
                    have += len(block)
                    yield Transfer(file.name, have, total)
    except requests.exceptions.SSLError as error:
        raise ModelError(
            f"There is no secure connection to {_host(file)}: its certificate is not trusted here.",
            f"Set REQUESTS_CA_BUNDLE to the certificates of your proxy, or {file.by_hand}",
        ) from error
    except (requests.RequestException, ConnectionError, TimeoutError) as error:
        raise ConnectionError(str(error)) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            part.unlink(missing_ok=True)
            raise _full(file, None) from error
        raise _unwritable(file, error) from error
    if total is not None and have < total:
        raise ConnectionError("the server stopped early")


def _check_room(file: CachedFile, needed: int) -> None:
    if shutil.disk_usage(file.path.parent).free < needed:
        raise _full(file, needed)


def _full(file: CachedFile, needed: int | None) -> ModelError:
    room = "Make room" if needed is None else f"Free {-(-needed // 1_000_000)} MB"
    return ModelError(
        f"The disk of {file.path.parent} has no room for {file.name}.",
        f"{room}, or set {_VARIABLE} to a folder on another disk.",
    )


def _unwritable(file: CachedFile, error: OSError) -> ModelError:
    return ModelError(
        f"{file.name} cannot be written to {file.path.parent} ({error.strerror or error}).",
        f"Set {_VARIABLE} to a folder that you may write to.",
    )


def _cut(file: CachedFile, part: Path, error: Exception) -> ModelError:
    if have := _size(part):
        return ModelError(
            f"The download of {file.name} was cut off after {have / 1e6:.1f} MB.",
            f"Run it again: it goes on from there where the server allows. Or {file.by_hand}",
        )
    return ModelError(
        f"{file.name} is not in the cache, and {_host(file)} cannot be reached.",
        f"Check the network, or {file.by_hand}",
    )


def _host(file: CachedFile) -> str:
    return file.source.url.split("/")[2]


def _part(file: CachedFile) -> Path:
    # With the hash: the beginning of an older version is not continued.
    return file.path.with_name(f"{file.name}.{file.source.xxh128[:8]}.part")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
