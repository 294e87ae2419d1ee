"""What several commands have in common: options, and how far they are."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..annotators.segment_files import Job
    from ..engine.tiling import Tiling


def add_finding(parser: Any) -> None:
    """Add the options that say how objects are found, but for the settings of the methods."""
    parser.add_argument("--mode", default="auto", help="auto, amg, ais or apg (default: auto, what suits the model)")
    parser.add_argument(
        "-m", "--model", default="nano", help="a name from 'info', or a checkpoint file (default: nano)"
    )
    parser.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--precision", default="auto", help="auto, fp32, bf16 or fp16 (default: auto)")
    parser.add_argument("--tile", nargs=2, type=int, metavar=("H", "W"), help="cut planes into tiles of H x W pixels")
    parser.add_argument("--halo", nargs=2, type=int, metavar=("H", "W"), help="pixels seen around a tile")
    parser.add_argument("--batch", type=int, metavar="N", help="answer N prompts together (amg, apg)")
    parser.add_argument("--axes", default="", help="yx, yxc, zyx, tyx, zyxc or tyxc, where the guess is wrong")
    parser.add_argument("--key", default="", help="which array of a zarr group (default: the only one, or the finest)")


def check_new(path: Path, *, overwrite: bool) -> None:
    """Raise FileError where a file cannot be written, or is there already and must not be replaced."""
    from ..core import FileError
    from ..files.replacing import check_writable

    check_writable(path)
    if path.exists() and not overwrite:
        raise FileError(f"{path} is there already.", "Name another file, or use --overwrite.")


def add_modes(parser: Any) -> tuple[str, ...]:
    """Add the settings of all methods, and return their names."""
    from ..engine.automatic.settings import KINDS

    known: dict[str, Any] = {}
    for mode, kind in KINDS.items():
        group = parser.add_argument_group(f"settings of {mode}")
        for one in kind.describe():
            if one.name not in known:
                add_option(group, one)
            known[one.name] = one
    return tuple(known)


def add_option(group: Any, one: Any, prefix: str = "") -> None:
    """Add an option of the command line for a setting; left out it is None."""
    from enum import Enum

    flag, unit = f"--{one.name.replace('_', '-')}", f" in {one.unit}" if one.unit else ""
    about = f"{one.help} (from {one.low:g} to {one.high:g}{unit})" if one.kind in (int, float) else one.help
    about = about.replace("%", "%%")
    if one.kind is bool:
        group.add_argument(flag, dest=prefix + one.name, action=argparse.BooleanOptionalAction, help=about)
    elif issubclass(one.kind, Enum):
        choices = [str(member.value) for member in one.kind]
        group.add_argument(flag, dest=prefix + one.name, choices=choices, help=about)
    else:
        group.add_argument(flag, dest=prefix + one.name, type=one.kind, metavar="N", help=about)


def read_job(options: argparse.Namespace, chosen: Mapping[str, Any]) -> Job:
    """Load the model, and say what is wrong with the options before anything is computed."""
    from ..annotators.segment_files import Job
    from ..engine.automatic.maps import check_decoder
    from ..engine.automatic.settings import needs_decoder
    from ..engine.load import load_model

    tiling = checked_tiling(options)
    model = load_model(options.model, options.device, precision=options.precision)
    job = Job(model, options.mode, chosen, None, tiling, options.batch, options.axes, options.key)
    if needs_decoder(job.settings):
        check_decoder(model)
    return job


def checked_tiling(options: argparse.Namespace) -> Tiling | None:
    """Check --batch, and read --tile and --halo of the commands that find objects. Raises SettingsError."""
    from ..core import SettingsError

    if options.batch is not None and options.batch < 1:
        raise SettingsError(f"{options.batch} prompts cannot be answered together.", "Give --batch 1 or more.")
    if options.halo and not options.tile:
        raise SettingsError("There is a halo without tiles.", "Give --tile as well, or leave --halo out.")
    options.auto_tile = False
    return read_tiling(options)


def read_tiling(options: argparse.Namespace) -> Tiling | None:
    """Read --tile and --halo; None stands for no tiles, or for what suits each image. Raises SettingsError."""
    from ..core import SettingsError
    from ..engine.tiling import Tiling

    if options.auto_tile and (options.tile or options.halo):
        raise SettingsError("--auto-tile chooses tile and halo.", "Leave --tile and --halo out.")
    if not options.tile:
        return None
    height, width = options.tile
    return Tiling((height, width), tuple(options.halo or (height // 8, width // 8)))


@contextlib.contextmanager
def progress_bar(name: str, quiet: bool) -> Iterator[Callable[[Any], None]]:
    """A progress bar that follows what is told."""
    from tqdm import tqdm

    bar = tqdm(desc=name, disable=True if quiet else None)
    unit = ""

    def told(step: Any) -> None:
        nonlocal unit
        if step.note:
            print(f"microsam-nb: {name}: {step.note}", file=sys.stderr)  # noqa: T201
        # A bar that is not shown, in a log, has no unit to ask for.
        if bar.total != (step.total or None) or unit != step.unit:
            bar.reset(step.total or None)
            bar.unit = unit = step.unit
        bar.update(step.done - bar.n)

    with bar:
        yield told
