"""Whole files or none."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replaced_whole(path: Path) -> Iterator[Path]:
    """Give a temporary name next to ``path`` to write to; renamed to ``path`` at the end, removed after an error.

    Raises OSError as it comes: who writes says what that means.
    """
    # Neither another process nor another thread that writes the same file is disturbed; the last one wins.
    part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
