"""Open JupyterLab on the first notebook."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_START = "00_start_here.ipynb"


def add(commands: Any) -> None:
    """Add the command."""
    lab = commands.add_parser(
        "lab",
        help="open JupyterLab on the first notebook",
        epilog="Further options go to JupyterLab, for example --no-browser --port=8899.",
    )
    lab.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    notebook = _notebook(Path.cwd())
    command = [
        sys.executable, "-m", "jupyter", "lab", f"--LabApp.default_url=/lab/tree/{notebook.name}",
        # What the kernel says reaches the browser without delay.
        "--ServerApp.jpserver_extensions=microsam_nb.server=True", *options.rest,
    ]  # fmt: skip
    return subprocess.call(command, cwd=notebook.parent)  # noqa: S603


def _notebook(folder: Path) -> Path:
    """Return the first notebook: that of a clone in ``folder``, or a copy of the installed one in a folder below."""
    if (folder / "notebooks" / _START).is_file():
        return folder / "notebooks" / _START
    here = Path(__file__).parents[1]
    source = here / "notebooks" if (here / "notebooks").is_dir() else here.parent / "notebooks"
    place = folder / "microsam_nb_notebooks"
    place.mkdir(exist_ok=True)
    for one in sorted(source.glob("*.ipynb")):
        if not (place / one.name).exists():
            shutil.copy(one, place / one.name)
    return place / _START
