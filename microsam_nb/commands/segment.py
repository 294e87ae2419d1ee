"""Find all objects of images and volumes, and write them as labels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core import FileError, MicrosamError
from .shared import add_finding, add_modes, add_option, checked_tiling, progress_bar


def add(commands: Any) -> None:
    segment = commands.add_parser(
        "segment",
        help="find all objects of images and volumes, and write them as labels",
        description="Find all objects of images, volumes and movies. Images that have a result are skipped; one that "
        "was begun is gone on with. The planes of a volume (axes zyx) are joined to 3D objects, the frames of a movie "
        "are not.",
        epilog="Exit codes: 0 everything is segmented, 1 some images failed, 2 the command is wrong, 130 interrupted. "
        "Settings that are not given are those that suit the model.",
    )
    segment.add_argument("images", nargs="+", metavar="INPUT", help="image, zarr folder, folder of images, or pattern")
    segment.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="LABELS_OR_FOLDER",
        help="for one image NAME.tif or NAME.zarr (for what does not fit the memory); otherwise a folder in which "
        "every image gets its own STEM.tif",
    )
    segment.add_argument("--zarr", action="store_true", help="in a folder, write STEM.zarr instead of STEM.tif")
    add_finding(segment)
    segment.add_argument(
        "-e", "--embeddings", metavar="STORE_OR_FOLDER",
        help="use, and complete, the stores that 'embed' made; what the model finds is kept there as well",
    )  # fmt: skip
    segment.add_argument("--overwrite", action="store_true", help="also images that have a result")
    segment.add_argument("--no-stitch", action="store_true", help="leave the planes of a volume as they are")
    segment.add_argument("-q", "--quiet", action="store_true", help="no progress bar and no table, only errors")
    known = add_modes(segment)
    from ..engine.automatic.stitch import StitchSettings

    group = segment.add_argument_group("joining the planes of volumes")
    for one in StitchSettings.describe():
        add_option(group, one, "stitch_")
    segment.set_defaults(run=run, settings=known)


def run(options: argparse.Namespace) -> int:
    from ..annotators.segment_files import Job, Segmented, segment_file
    from ..core import SettingsError
    from ..engine.automatic.batches import is_out_of_memory
    from ..engine.automatic.maps import check_decoder
    from ..engine.automatic.settings import mode_of, needs_decoder
    from ..engine.automatic.stitch import StitchSettings
    from ..engine.load import load_model
    from ..files.inputs import find_images, name_results

    tiling = checked_tiling(options)
    joined = {
        one.name: value
        for one in StitchSettings.describe()
        if (value := getattr(options, f"stitch_{one.name}")) is not None
    }
    if options.no_stitch and joined:
        raise SettingsError(f"--no-stitch leaves {', '.join(joined)} without use.", "Leave one of them out.")
    stitching = None if options.no_stitch else StitchSettings(**joined)
    paths = find_images(options.images)
    output = Path(options.output)
    ending = ".zarr" if options.zarr else ".tif"
    single = output.suffix.lower() in (".tif", ".tiff", ".zarr")
    if single and len(paths) > 1:
        raise SettingsError(f"{output} is one file for {len(paths)} images.", "Name a folder with -o.")
    if not single and output.suffix.lower() in (".png", ".jpg", ".jpeg", ".npy", ".h5"):
        raise SettingsError(f"Labels cannot be written as {output.suffix}.", "Use .tif, .zarr, or a folder.")
    names = name_results(paths)
    places = [output] if single else [output / f"{name}{ending}" for name in names]
    for path, place in zip(paths, places, strict=True):
        if place.exists() and path.exists() and place.resolve() == path.resolve():
            raise FileError(f"{place} is the image itself.", "Choose another name or folder for the labels.")
    given = options.embeddings.rstrip("/") if options.embeddings else ""
    stores: list[str | None] = [f"{given}/{name}.zarr" if given else None for name in names]
    if given.endswith((".zarr", ".zip")):
        if len(paths) > 1:
            raise SettingsError(f"{given} is one store for {len(paths)} images.", "Name a folder of stores with -e.")
        stores = [given]
    chosen = {name: value for name in options.settings if (value := getattr(options, name)) is not None}
    model = load_model(options.model, options.device, precision=options.precision)
    job = Job(model, options.mode, chosen, stitching, tiling, options.batch, options.axes, options.key)
    # What is wrong with the command is said before the first image.
    settings = job.settings
    if needs_decoder(settings):
        check_decoder(model)
    if not single:
        output.mkdir(parents=True, exist_ok=True)
    rows: list[Segmented | tuple[Path, str]] = []
    failed = 0
    for path, place, store in zip(paths, places, stores, strict=True):
        if place.exists() and not options.overwrite:
            rows.append((path, "skipped: there is a result; --overwrite makes it anew"))
            continue
        try:
            with progress_bar(path.name, options.quiet) as told:
                rows.append(segment_file(path, place, job, store, told))
        except MicrosamError as error:
            failed += 1
            rows.append((path, "failed"))
            print(f"microsam-nb: {path}: {error}", file=sys.stderr)  # noqa: T201
        except (MemoryError, RuntimeError) as error:
            # One image that is too large, or a library that gives up, must not keep the others from being done.
            failed += 1
            rows.append((path, "failed"))
            why = "The memory does not suffice. Use --tile, a smaller model, or -o NAME.zarr for a volume."
            said = why if is_out_of_memory(error) else f"{error.__class__.__name__}: {error}"
            print(f"microsam-nb: {path}: {said}", file=sys.stderr)  # noqa: T201
        except KeyboardInterrupt:
            print("\nStopped. Run the same command to go on.", file=sys.stderr)  # noqa: T201
            return 130
    if not options.quiet:
        _print_table(rows, f"{model.spec.label}, mode {mode_of(settings)}")
    return 1 if failed else 0


def _print_table(rows: Sequence[Any], title: str) -> None:
    """Print what became of every image."""
    print(f"{title}\n\n{'image':<40}{'planes':>7}{'size':>14}{'objects':>9}{'seconds':>9}  labels")  # noqa: T201
    for row in rows:
        if isinstance(row, tuple):
            print(f"{row[0].name[:39]:<40}{row[1]}")  # noqa: T201
            continue
        planes, height, width = row.shape
        size = f"{height} x {width}"
        print(  # noqa: T201
            f"{row.path.name[:39]:<40}{planes:>7}{size:>14}{row.objects:>9}{row.seconds:>9.1f}  {row.output}"
        )
