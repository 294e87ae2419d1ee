"""Where the weights of a model lie; nothing here needs torch."""

from __future__ import annotations

import os
from pathlib import Path

from ..core import ModelError
from .download import cached_files
from .registry import find_registered, registered, suggestion

EMBEDDED = Path(__file__).parent / "weights" / "nano.safetensors"


def is_name(name_or_path: str | os.PathLike[str]) -> bool:
    """Whether this is the name of a model, not a path."""
    return isinstance(name_or_path, str) and registered(name_or_path) is not None


def find_weights(name_or_path: str | os.PathLike[str]) -> tuple[Path, str]:
    """Return the file of a model and its name, without reading or downloading it. Raises ModelError.

    The file of a registered model may not be there yet.
    """
    text = os.fspath(name_or_path)
    if text == "nano":
        return EMBEDDED, text
    if is_name(name_or_path):
        return cached_files(find_registered(text))[0].path, text
    path = Path(os.path.expanduser(text))
    if path.is_file():
        return path, path.stem
    if path.suffix or path.name != text:
        raise ModelError(
            f"There is no checkpoint file {text}.", f"Check the name and the folder; paths start at {Path.cwd()}."
        )
    raise ModelError(f"There is no model or file named {text!r}.", suggestion(text))
