"""Find all objects of images and volumes, and write them as labels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import FileError, MicrosamError
from .on_cluster import add_cluster, on_cluster, source_of, wants_cluster
from .shared import add_finding, add_modes, add_option, checked_tiling, progress_bar

if TYPE_CHECKING:
    from ..annotators.segment_files import Job, Segmented


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
    add_cluster(segment)
    segment.set_defaults(run=run, settings=known)


def run(options: argparse.Namespace) -> int:
    from ..annotators.segment_files import Job, Segmented
    from ..core import SettingsError
    from ..engine.automatic.maps import check_decoder
    from ..engine.automatic.settings import mode_of, needs_decoder
    from ..engine.automatic.stitch import StitchSettings
    from ..engine.load import load_model
    from ..files.inputs import find_images, name_results

    shared, tiling = wants_cluster(options), checked_tiling(options)
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
    failed, left = 0, []
    for one in zip(paths, places, stores, strict=True):
        if one[1].exists() and not options.overwrite:
            rows.append((one[0], "skipped: there is a result; --overwrite makes it anew"))
        else:
            left.append(one)
    work = _segment_shared(options, job, left) if shared and left else _segment_here(options, job, left)
    try:
        for path, found in work:
            if isinstance(found, Segmented):
                rows.append(found)
                continue
            failed += 1
            rows.append((path, "failed"))
            print(f"microsam-nb: {path}: {_told(found)}", file=sys.stderr)  # noqa: T201
    except KeyboardInterrupt:
        print("\nStopped. Run the same command to go on.", file=sys.stderr)  # noqa: T201
        return 130
    order = {path: number for number, path in enumerate(paths)}
    rows.sort(key=lambda row: order[row[0] if isinstance(row, tuple) else row.path])
    if not options.quiet:
        _print_table(rows, f"{model.spec.label}, mode {mode_of(settings)}")
    return 1 if failed else 0


def _segment_here(
    options: argparse.Namespace, job: Job, images: Sequence[tuple[Path, Path, str | None]]
) -> Iterator[tuple[Path, Segmented | Exception]]:
    """Segment one image after the other, and yield what became of each."""
    from ..annotators.segment_files import segment_file

    for path, place, store in images:
        try:
            with progress_bar(path.name, options.quiet) as told:
                yield path, segment_file(path, place, job, store, told)
        except (MicrosamError, MemoryError, RuntimeError) as error:
            # One image that is too large, or a library that gives up, must not keep the others from being done.
            yield path, error


def _segment_shared(
    options: argparse.Namespace, job: Job, images: Sequence[tuple[Path, Path, str | None]]
) -> Iterator[tuple[Path, Segmented | Exception]]:
    """Segment all images on a cluster, and yield what became of each."""
    from ..annotators.cluster import Failure, segment_plan

    source = source_of(job.model, options)
    plans = ((path, segment_plan(job, source, path, place, store)) for path, place, store in images)
    for path, found in on_cluster(options, plans, "part"):
        yield path, found.error if isinstance(found, Failure) else found


def _told(error: Exception) -> str:
    """Say what was wrong with an image."""
    from ..engine.automatic.batches import is_out_of_memory

    if isinstance(error, MicrosamError):
        return str(error)
    why = "The memory does not suffice. Use --tile, a smaller model, or -o NAME.zarr for a volume."
    return why if is_out_of_memory(error) else f"{error.__class__.__name__}: {error}"


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
