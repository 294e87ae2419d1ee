"""Training checkpoints: written whole, read without running code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...core import ModelError
from ...core.replacing import replaced_whole


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` under a temporary name, then rename it: a crash leaves the earlier checkpoint whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced_whole(path) as part:
        torch.save(state, part)


def try_checkpoint(path: Path, state: dict[str, Any]) -> str:
    """Write ``state`` as ``save_checkpoint`` does; return a sentence when the disk does not take it, else ""."""
    try:
        save_checkpoint(path, state)
    # torch says in a RuntimeError of its own that a file could not be written.
    except (OSError, RuntimeError) as error:
        kept = "the earlier one is kept" if path.exists() else "there is none yet"
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "the disk may be full"
        return (
            f"The checkpoint {path.name} could not be written ({reason}); {kept} and the training goes on. "
            "Make room on the disk: the next checkpoint is written as usual."
        )
    return ""


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint (tensors and plain values only). Raises ModelError when it is not one."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(
            f"The training checkpoint {path.name} cannot be read ({error.__class__.__name__}).",
            "Delete it to start the training anew.",
        ) from error
    return state
