"""The command line: python -m microsam_nb lab | info | embed | segment | track | prompt | train-embedded."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .core import FileError, MicrosamError, PromptError

if TYPE_CHECKING:
    from .annotators.segment_files import Job
    from .core import Image, Prompt
    from .engine.models import Model
    from .engine.registry import RegisteredModel
    from .engine.tiling import Tiling

_START = "00_start_here.ipynb"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done; 1: nothing was found, or some images failed; 2: an error that was said in one line; 130: interrupted.
    """
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    options.rest = rest
    if rest and options.run is not _lab:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except MicrosamError as error:
        print(f"microsam-nb: {error}", file=sys.stderr)  # noqa: T201
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="microsam-nb", description="Segment Anything for Microscopy in a notebook.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    lab = commands.add_parser(
        "lab",
        help="open JupyterLab on the first notebook",
        epilog="Further options go to JupyterLab, for example --no-browser --port=8899.",
    )
    lab.set_defaults(run=_lab)

    info = commands.add_parser(
        "info",
        help="show versions, devices and models, and download models",
        description="Show versions, devices, and every model with its size and whether it is on this computer.",
        epilog="Models are kept in the cache folder that is shared with micro-sam; MICROSAM_CACHEDIR sets another.",
    )
    info.add_argument(
        "--download", nargs="+", metavar="NAME", help="get these models now, to have them without a network; or: all"
    )
    info.set_defaults(run=_info)

    _add_embed(commands)
    _add_segment(commands)
    _add_track(commands)
    _add_prompt(commands)

    train = commands.add_parser("train-embedded", help="train the embedded model from scratch")
    train.add_argument("--data", type=Path, required=True, help="folder of a data pack with manifest.csv")
    train.add_argument("--run", dest="folder", type=Path, required=True, help="folder of the checkpoint; resumes there")
    train.add_argument(
        "--set",
        dest="settings",
        metavar="NAME=NUMBER",
        action="append",
        default=[],
        help="a training setting, such as steps=3000",
    )
    train.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    train.add_argument("-o", "--output", type=Path, help="safetensors file to write at the end")
    train.set_defaults(run=_train_embedded)
    return parser


def _add_prompt(commands: Any) -> None:
    from .files.prompts import FORMAT

    prompt = commands.add_parser(
        "prompt",
        help="segment the objects that a table of prompts points at",
        description="Segment what prompts point at, every plane on its own, and write the objects as a label image.",
        epilog=f"{FORMAT}\nexit codes: 0 objects were found, 1 none was found, 2 an error, said in one line.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    prompt.add_argument("image", type=Path, help="TIFF, PNG, JPEG or .npy image or volume")
    prompt.add_argument("prompts", type=Path, help="CSV or JSON file of prompts, see below")
    prompt.add_argument("-o", "--output", type=Path, required=True, help="label image to write (.tif)")
    prompt.add_argument(
        "-m", "--model", default="nano", help="a name from `info`, or a checkpoint file (default: nano)"
    )
    prompt.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    prompt.add_argument(
        "-e", "--embeddings", metavar="STORE", help="use, and complete, the store that `embed` made of this image"
    )
    prompt.add_argument("--axes", default="", help="yx, yxc, zyx, tyx, zyxc or tyxc, where the guess is wrong")
    prompt.set_defaults(run=_prompt)


def _add_embed(commands: Any) -> None:
    embed = commands.add_parser(
        "embed",
        help="encode images once, so that every later step is quick (nano needs it not)",
        description="Encode images and volumes and keep the embeddings. A store that was begun is gone on with; one "
        "that is complete is left as it is. Ctrl-C stops; the same command goes on.",
        epilog="Exit codes: 0 everything is stored, 1 some images failed, 2 the command is wrong, 130 interrupted. "
        "Addresses such as s3:// need: pip install 'microsam-nb[remote]'.",
    )
    embed.add_argument("images", nargs="+", metavar="INPUT", help="image, zarr folder, folder of images, or pattern")
    embed.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="STORE_OR_FOLDER",
        help="for one image a store: NAME.zarr, NAME.zip or an address ending so (s3://bucket/NAME.zarr); otherwise "
        "a folder or address in which every image gets its own STEM.zarr",
    )
    embed.add_argument("-m", "--model", default="nano", help="a name from 'info', or a checkpoint file (default: nano)")
    embed.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    embed.add_argument("--precision", default="auto", help="auto, fp32, bf16 or fp16 (default: auto)")
    embed.add_argument("--tile", nargs=2, type=int, metavar=("H", "W"), help="cut planes into tiles of H x W pixels")
    embed.add_argument(
        "--auto-tile", action="store_true", help="cut planes into tiles as suits the model and the image"
    )
    embed.add_argument(
        "--halo", nargs=2, type=int, metavar=("H", "W"), help="pixels seen around a tile (default: an eighth of it)"
    )
    embed.add_argument("--axes", default="", help="yx, yxc, zyx, tyx, zyxc or tyxc, where the guess is wrong")
    embed.add_argument("--key", default="", help="which array of a zarr group (default: the only one, or the finest)")
    embed.add_argument("--half", action="store_true", help="float16: half the size, but micro-sam cannot use it")
    embed.add_argument("--first-plane", type=int, default=0, metavar="N", help="begin at plane N and go outward")
    embed.add_argument("--batch", type=int, metavar="N", help="encode N together (default: 1 on a CPU, 8 on a GPU)")
    embed.add_argument("-q", "--quiet", action="store_true", help="no progress bar, only errors")
    embed.set_defaults(run=_embed)


def _add_segment(commands: Any) -> None:
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
    _add_finding(segment)
    segment.add_argument(
        "-e", "--embeddings", metavar="STORE_OR_FOLDER",
        help="use, and complete, the stores that 'embed' made; what the model finds is kept there as well",
    )  # fmt: skip
    segment.add_argument("--overwrite", action="store_true", help="also images that have a result")
    segment.add_argument("--no-stitch", action="store_true", help="leave the planes of a volume as they are")
    segment.add_argument("-q", "--quiet", action="store_true", help="no progress bar and no table, only errors")
    known = _add_modes(segment)
    from .engine.automatic.stitch import StitchSettings

    group = segment.add_argument_group("joining the planes of volumes")
    for one in StitchSettings.describe():
        _add_option(group, one, "stitch_")
    segment.set_defaults(run=_segment, settings=known)


def _add_finding(parser: Any) -> None:
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


def _add_modes(parser: Any) -> tuple[str, ...]:
    """Add the settings of all methods, and return their names."""
    from .engine.automatic.settings import KINDS

    known: dict[str, Any] = {}
    for mode, kind in KINDS.items():
        group = parser.add_argument_group(f"settings of {mode}")
        for one in kind.describe():
            if one.name not in known:
                _add_option(group, one)
            known[one.name] = one
    return tuple(known)


def _add_track(commands: Any) -> None:
    track = commands.add_parser(
        "track",
        help="find all objects of a movie and follow them, with divisions",
        description="Find all objects in every frame of a movie, or take labels, link them to tracks with divisions, "
        "and write these. What was segmented is kept until the tracks are written: the same command goes on.",
        epilog="Formats: ctc, a folder of the Cell Tracking Challenge; geff, a Zarr folder; trackmate, XML for Fiji; "
        "csv, a table for napari with the graph and the labels beside. Exit codes: 0 done, 1 nothing was found or it "
        "failed, 2 the command is wrong, 130 interrupted.",
    )
    track.add_argument("movie", type=Path, metavar="MOVIE", help="TIFF, .npy or zarr folder, time first: (t, y, x)")
    track.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER",
        help="folder for the tracks; or the name of a file that ends in .zarr, .xml or .csv",
    )  # fmt: skip
    track.add_argument("--format", help="ctc, geff, trackmate or csv (default: as the ending says, else ctc)")
    track.add_argument(
        "--labels", type=Path, metavar="PATH",
        help="take these labels instead of segmenting: a file (t, y, x), or a folder with one file per frame",
    )  # fmt: skip
    track.add_argument("--overwrite", action="store_true", help="also where there is a result")
    track.add_argument("-q", "--quiet", action="store_true", help="no progress bar and no summary, only errors")
    _add_finding(track)
    from .engine.linking.settings import LinkSettings

    group = track.add_argument_group("linking")
    for one in LinkSettings.describe():
        _add_option(group, one, "link_")
    track.set_defaults(run=_track, settings=_add_modes(track))


def _add_option(group: Any, one: Any, prefix: str = "") -> None:
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


def _segment(options: argparse.Namespace) -> int:
    from .annotators.segment_files import Job, Segmented, segment_file
    from .core import SettingsError
    from .engine.automatic.batches import is_out_of_memory
    from .engine.automatic.maps import check_decoder
    from .engine.automatic.settings import mode_of, needs_decoder
    from .engine.automatic.stitch import StitchSettings
    from .engine.load import load_model
    from .files.inputs import find_images, name_results

    tiling = _checked_tiling(options)
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
            with _bar(path.name, options.quiet) as told:
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


def _track(options: argparse.Namespace) -> int:
    from .annotators.track_files import place_of, track_file
    from .core import SettingsError
    from .engine.automatic.batches import is_out_of_memory
    from .engine.linking.settings import LinkSettings
    from .files.tracks import TrackFormat, check_tracks_path

    if options.format not in (None, *TrackFormat):
        raise SettingsError(f"There is no format {options.format!r} of tracks.", f"Use {', '.join(TrackFormat)}.")
    place, kind = place_of(options.output, None if options.format is None else TrackFormat(options.format))
    given = {
        one.name: value
        for one in LinkSettings.describe()
        if (value := getattr(options, f"link_{one.name}")) is not None
    }
    linking = LinkSettings().changed(given)
    chosen = {name: value for name in options.settings if (value := getattr(options, name)) is not None}
    if options.labels is not None and chosen:
        raise SettingsError(f"--labels leaves {', '.join(chosen)} without use.", "Leave one of them out.")
    if not options.overwrite and (place.is_file() or (place.is_dir() and any(place.iterdir()))):
        check_tracks_path(place, kind)
        if not options.quiet:
            print(f"{place}: skipped, there is a result; --overwrite makes it anew.")  # noqa: T201
        return 0
    try:
        job = None if options.labels is not None else _job(options, chosen)
        with _bar(options.movie.name, options.quiet) as told:
            found = track_file(
                options.movie, place, job, linking, kind,
                labels=options.labels, axes=options.axes, key=options.key, told=told,
            )  # fmt: skip
    except (MemoryError, RuntimeError) as error:
        why = "The memory does not suffice. Use --tile, a smaller model, or cut the movie."
        said = why if is_out_of_memory(error) else f"{error.__class__.__name__}: {error}"
        print(f"microsam-nb: {options.movie}: {said}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command to go on.", file=sys.stderr)  # noqa: T201
        return 130
    if not options.quiet:
        frames, height, width = found.shape
        print(  # noqa: T201
            f"{options.movie.name}: {frames} frames of {height} x {width}, {found.objects} objects, {found.tracks} "
            f"tracks, {found.divisions} divisions, {found.gaps} frames bridged, {found.seconds:.1f} s\n{kind}: {place}"
        )
    return 0 if found.tracks else 1


def _job(options: argparse.Namespace, chosen: Mapping[str, Any]) -> Job:
    """Load the model, and say what is wrong with the options before anything is computed."""
    from .annotators.segment_files import Job
    from .engine.automatic.maps import check_decoder
    from .engine.automatic.settings import needs_decoder
    from .engine.load import load_model

    tiling = _checked_tiling(options)
    model = load_model(options.model, options.device, precision=options.precision)
    job = Job(model, options.mode, chosen, None, tiling, options.batch, options.axes, options.key)
    if needs_decoder(job.settings):
        check_decoder(model)
    return job


def _checked_tiling(options: argparse.Namespace) -> Tiling | None:
    """Check --batch, and read --tile and --halo of the commands that find objects. Raises SettingsError."""
    from .core import SettingsError

    if options.batch is not None and options.batch < 1:
        raise SettingsError(f"{options.batch} prompts cannot be answered together.", "Give --batch 1 or more.")
    if options.halo and not options.tile:
        raise SettingsError("There is a halo without tiles.", "Give --tile as well, or leave --halo out.")
    options.auto_tile = False
    return _tiling(options)


@contextlib.contextmanager
def _bar(name: str, quiet: bool) -> Iterator[Callable[[Any], None]]:
    """A progress bar that follows what is told."""
    from tqdm import tqdm

    bar = tqdm(desc=name, disable=True if quiet else None)

    def told(step: Any) -> None:
        if step.note:
            print(f"microsam-nb: {name}: {step.note}", file=sys.stderr)  # noqa: T201
        if bar.total != (step.total or None) or bar.unit != step.unit:
            bar.reset(step.total or None)
            bar.unit = step.unit
        bar.update(step.done - bar.n)

    with bar:
        yield told


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


def _lab(options: argparse.Namespace) -> int:
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
    here = Path(__file__).parent
    source = here / "notebooks" if (here / "notebooks").is_dir() else here.parent / "notebooks"
    place = folder / "microsam_nb_notebooks"
    place.mkdir(exist_ok=True)
    for one in sorted(source.glob("*.ipynb")):
        if not (place / one.name).exists():
            shutil.copy(one, place / one.name)
    return place / _START


def _info(options: argparse.Namespace) -> int:
    if options.download:
        return _download(options.download)
    import torch

    from .engine.download import cache_folder
    from .engine.load import load_model
    from .engine.precision import fast_dtype, find_device
    from .engine.registry import MODELS

    device = find_device()
    model = load_model("nano", device="cpu")
    parts = [model.sam, *([model.distances] if model.distances is not None else [])]
    weights = sum(p.numel() for part in parts for p in part.parameters())
    others = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    for name, value in (
        ("microsam_nb", __version__),
        ("torch", f"{torch.__version__}, {torch.get_num_threads()} threads"),
        ("device", ", ".join([f"{device} ({str(fast_dtype(device)).removeprefix('torch.')})", *others])),
        ("embedded model", f"nano, {weights / 1e6:.1f} million parameters, {model.spec.hash}"),
        ("cache", str(cache_folder())),
    ):
        print(f"{name + ':':<16}{value}")  # noqa: T201
    print(f"\n{'model':<28}{'here':<14}{'download':<10}{'decoder':<9}good for")  # noqa: T201
    for one in MODELS:
        here, size = _state(one), f"{one.megabytes} MB" if one.weights else "-"
        decoder = "yes" if one.has_decoder else "-"
        print(f"{one.label:<28}{here:<14}{size:<10}{decoder:<9}{one.about}")  # noqa: T201
    print("\nGet models with 'microsam-nb info --download NAME', or by using them.")  # noqa: T201
    return 0


def _state(model: RegisteredModel) -> str:
    """Say how much of a model is on this computer."""
    from .engine.download import cached_files

    sizes = [file.size for file in cached_files(model)]
    if not sizes:
        return "in package"
    if not any(sizes):
        return "-"
    return f"{sum(sizes) / 1e6:.0f} MB" if all(sizes) else "incomplete"


def _download(names: Sequence[str]) -> int:
    from .engine.download import cached_files, fetch
    from .engine.registry import MODELS, find_registered

    # Every name is looked up before the first gigabyte is fetched.
    for model in MODELS if "all" in names else [find_registered(name) for name in names]:
        paths = fetch(model)
        size = sum(file.size for file in cached_files(model)) / 1e6
        where = f"{size:.0f} MB in {paths[0].parent}" if paths else "part of the package"
        print(f"{model.label}: {where}")  # noqa: T201
    return 0


def _embed(options: argparse.Namespace) -> int:
    from .core import SettingsError
    from .engine.load import load_model
    from .files.inputs import find_images, name_results

    if options.halo and not (options.tile or options.auto_tile):
        raise SettingsError("There is a halo without tiles.", "Give --tile as well, or leave --halo out.")
    if options.batch is not None and options.batch < 1:
        raise SettingsError(f"{options.batch} images cannot be encoded together.", "Give --batch 1 or more.")
    tiling = _tiling(options)
    paths = find_images(options.images)
    output = options.output.rstrip("/")
    if Path(output).suffix.lower() in (".tif", ".tiff", ".png", ".jpg", ".npy", ".h5"):
        raise SettingsError(f"{output} is no name for a store.", "End it with .zarr or .zip, or name a folder.")
    if output.endswith((".zarr", ".zip")):
        if len(paths) > 1:
            raise SettingsError(f"{output} is one store for {len(paths)} images.", "Name a folder with -o.")
        places = [output]
    else:
        places = [f"{output}/{name}.zarr" for name in name_results(paths)]
    model = load_model(options.model, options.device, precision=options.precision)
    complete = 0
    for path, place in zip(paths, places, strict=True):
        try:
            _embed_one(options, path, place, model, tiling)
            complete += 1
        except MicrosamError as error:
            print(f"microsam-nb: {path}: {error}", file=sys.stderr)  # noqa: T201
        except KeyboardInterrupt:
            print(  # noqa: T201
                f"\nStopped; {complete} of {len(paths)} images are complete. Run the same command to go on.",
                file=sys.stderr,
            )
            return 130
    if not options.quiet:
        print(f"{complete} of {len(paths)} images are in {output}.")  # noqa: T201
    return 0 if complete == len(paths) else 1


def _tiling(options: argparse.Namespace) -> Tiling | None:
    """Read --tile and --halo; None stands for no tiles, or for what suits each image. Raises SettingsError."""
    from .core import SettingsError
    from .engine.tiling import Tiling

    if options.auto_tile and (options.tile or options.halo):
        raise SettingsError("--auto-tile chooses tile and halo.", "Leave --tile and --halo out.")
    if not options.tile:
        return None
    height, width = options.tile
    return Tiling((height, width), tuple(options.halo or (height // 8, width // 8)))


def _embed_one(options: argparse.Namespace, path: Path, place: str, model: Model, tiling: Tiling | None) -> None:
    from tqdm import tqdm

    from .core import Image
    from .engine import choose_tiling, embed, open_store
    from .files.volumes import open_image

    image = Image(open_image(path, options.key), options.axes, path.stem)
    if options.auto_tile:
        tiling = choose_tiling(image.shape[1:], model)
    store = open_store(place, model, image, tiling, half=options.half, budget=0)
    bar = tqdm(
        total=store.shape[0] * store.tiles,
        desc=path.name,
        unit="plane" if tiling is None else "tile",
        disable=True if options.quiet else None,
    )
    with bar:
        for one in embed(model, image, store, options.first_plane, batch=options.batch):
            bar.update(one.done - bar.n)
        bar.update(bar.total - bar.n if bar.total else 0)


def _prompt(options: argparse.Namespace) -> int:
    from .core import Image, Labels
    from .engine import choose_tiling, load_model, open_store, predict_many
    from .files.labels import check_labels_path, write_labels
    from .files.prompts import read_prompts
    from .files.volumes import open_image

    check_labels_path(options.output)
    if options.output.exists() and options.image.exists() and options.output.samefile(options.image):
        raise FileError(f"{options.output} is the image itself.", "Choose another name for the labels.")
    objects = read_prompts(options.prompts)
    image = Image(open_image(options.image), options.axes, options.image.stem)
    planes = _by_plane(objects, image)
    if image.shape[0] > 1:
        print(image.reading)  # noqa: T201
    model = load_model(options.model, options.device)
    tiling = choose_tiling(image.shape[1:], model)
    if options.embeddings:
        if "://" not in options.embeddings and not Path(options.embeddings).exists():
            raise FileError(
                f"There is no store {options.embeddings}.", "Make it with: microsam-nb embed IMAGE -o STORE."
            )
        tiling = open_store(options.embeddings).tiling
    store = open_store(options.embeddings, model, image, tiling)
    labels = Labels(image.shape)
    for plane, asked in planes.items():
        found = predict_many(model, store, list(asked.values()))
        for number, candidate in zip(asked, found, strict=True):
            try:
                labels.apply(labels.paint(candidate.mask, number))
            except PromptError:
                why = "lies under earlier objects" if candidate.mask.area else "was not found"
                where = f" in plane {plane}" if image.shape[0] > 1 else ""
                print(f"Object {number} {why}{where}; give it more points or a box.", file=sys.stderr)  # noqa: T201
    write_labels(options.output, labels.volume if image.shape[0] > 1 else labels.volume[0])
    print(f"{labels.count()} of {len(objects)} objects are in {options.output}.")  # noqa: T201
    return 0 if labels.count() else 1


def _by_plane(objects: Mapping[int, Sequence[Prompt]], image: Image) -> dict[int, dict[int, list[Prompt]]]:
    """Return the prompts of every plane by object. Raises PromptError that names the object."""
    from .core import Stop
    from .engine.prompting import gather

    planes: dict[int, dict[int, list[Prompt]]] = {}
    for number, prompts in objects.items():
        pointing = [one for one in prompts if not isinstance(one, Stop)]
        if not pointing:
            raise PromptError(f"Object {number} has nothing but stops.", "Give it a point, a box or another prompt.")
        own: dict[int, list[Prompt]] = {}
        for one in pointing:
            own.setdefault(one.plane, []).append(one)
        try:
            for each in prompts:
                each.check(image.shape)
            for some in own.values():
                gather(some, image.shape[1:])
        except PromptError as error:
            raise PromptError(f"Object {number}: {error.what}", error.remedy) from error
        for plane, some in own.items():
            planes.setdefault(plane, {})[number] = some
    return dict(sorted(planes.items()))


def _train_embedded(options: argparse.Namespace) -> int:
    import torch.distributed as dist

    from .engine.training import TrainingSettings, train
    from .engine.training.embedded import embedded_dataset, new_nano, save_embedded
    from .files.pack import read_pack

    settings = TrainingSettings.parse(options.settings)
    if "RANK" in os.environ:  # started by torchrun: every process draws its own crops, gradients are averaged
        dist.init_process_group("gloo")
    data = embedded_dataset(read_pack(options.data, "train", kinds=("2d", "3d", "2dt")))
    model = new_nano(device=options.device)
    first = not dist.is_initialized() or dist.get_rank() == 0
    for result in train(model, data, settings, folder=options.folder):
        if first:
            print(  # noqa: T201
                f"step {result.step:6d}  loss {result.loss:.3f}  IoU {result.first_iou:.3f}, corrected "
                f"{result.last_iou:.3f}  distances {result.distance_loss:.3f}  {result.seconds:.0f} s",
                flush=True,
            )
    if options.output and first:
        save_embedded(model, options.output, note=f"{settings.steps} steps")
    if dist.is_initialized():
        dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
