"""Replay a project with another model, and report what has changed."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..annotators.projects import image_of
from ..core import SettingsError
from .shared import check_new, read_tiling

if TYPE_CHECKING:
    from ..annotators.rerun import Rerun
    from ..core import Image

#: Rows that a table in the terminal has.
_ROWS = 40


def add(commands: Any) -> None:
    """Add the command."""
    rerun = commands.add_parser(
        "rerun",
        help="replay a project with another model: same prompts, new answers",
        description="Replay what was done in a project with another model, and tell object by object what has changed. "
        "The project itself stays as it is. What was painted, merged or cut is done again as it was; what cannot be "
        "done again is listed.",
        epilog="Exit codes: 0 done, 2 an error, said in one line, 130 interrupted.",
    )
    rerun.add_argument("project", type=Path, metavar="PROJECT", help="project folder, NAME-HASH.msam")
    rerun.add_argument("-m", "--model", required=True, help="a name from 'info', or a checkpoint file")
    rerun.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    rerun.add_argument("--image", type=Path, help="the image, where it is not where the project was opened from")
    rerun.add_argument("--key", default="", help="which array of a zarr group")
    rerun.add_argument("--tile", nargs=2, type=int, metavar=("H", "W"), help="cut planes into tiles of H x W pixels")
    rerun.add_argument("--halo", nargs=2, type=int, metavar=("H", "W"), help="pixels seen around a tile")
    rerun.add_argument("-e", "--embeddings", metavar="STORE", help="use, and complete, a store that 'embed' made")
    rerun.add_argument("-o", "--output", type=Path, metavar="NEW_PROJECT", help="a new project folder for the result")
    rerun.add_argument("--csv", type=Path, metavar="FILE", help="write the table of all objects")
    rerun.add_argument("--overwrite", action="store_true", help="also where there is a table")
    rerun.add_argument("-q", "--quiet", action="store_true", help="no progress bar and no table, only errors")
    rerun.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..annotators.rerun import check_output
    from ..files.replacing import replacing
    from ..session.story import read_story

    if options.halo and not options.tile:
        raise SettingsError("There is a halo without tiles.", "Give --tile as well, or leave --halo out.")
    if options.tile and options.embeddings:
        raise SettingsError("A store has its own tiling.", "Leave --tile and --halo out.")
    if options.output is not None:
        check_output(options.output)
    if options.csv is not None:
        check_new(options.csv, overwrite=options.overwrite)
    image, _ = image_of(read_story(options.project), options.image, options.key)
    try:
        found = _rerun(options, image)
    except KeyboardInterrupt:
        print("\nStopped. Neither a project nor a table was written.", file=sys.stderr)  # noqa: T201
        return 130
    if options.csv is not None:
        with replacing(options.csv) as part:
            found.table().to_csv(part, index=False)
    if not options.quiet:
        _print(found)
    return 0


def _rerun(options: argparse.Namespace, image: Image) -> Rerun:
    from tqdm import tqdm

    from ..annotators.rerun import rerun
    from ..engine import load_model, open_store

    model = load_model(options.model, options.device)
    options.auto_tile = False
    with tempfile.TemporaryDirectory() as place, tqdm(unit="action", disable=True if options.quiet else None) as bar:
        embeddings = options.embeddings
        if options.tile:
            embeddings = f"{place}/tiles.zarr"
            open_store(embeddings, model, image, read_tiling(options))

        def told(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return rerun(options.project, image, model, embeddings=embeddings, output=options.output, told=told)


def _print(found: Rerun) -> None:
    from ..session.wording import be, counted

    print(f"{'object':>7}{'now':>7}{'pixels':>10}{'now':>10}{'IoU':>7}")  # noqa: T201
    rows = sorted(found.objects, key=lambda one: one.iou)
    for one in rows[:_ROWS]:
        before, after = one.before or "-", one.after or "-"
        print(f"{before:>7}{after:>7}{one.area_before:>10}{one.area_after:>10}{one.iou:>7.2f}  {one.what}")  # noqa: T201
    if len(rows) > _ROWS:
        print(f"... and {len(rows) - _ROWS} that have changed less; --csv FILE writes all.")  # noqa: T201
    kept = [one.iou for one in rows if one.what == "kept"]
    mean = f", mean IoU {sum(kept) / len(kept):.3f}" if kept else ""
    counts = {what: sum(one.what == what for one in rows) for what in ("lost", "added")}
    print(f"{counted(len(kept), 'object')} {be(len(kept))} kept{mean}, {counts['lost']} lost, {counts['added']} added.")  # noqa: T201
    for note in dict.fromkeys(found.notes):
        print(f"  {note}")  # noqa: T201
