"""Encode images once, so that every later step is quick."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import MicrosamError
from .on_cluster import add_cluster, on_cluster, source_of, wants_cluster
from .shared import read_tiling

if TYPE_CHECKING:
    from ..engine.models import Model
    from ..engine.tiling import Tiling


def add(commands: Any) -> None:
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
    add_cluster(embed)
    embed.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..core import SettingsError
    from ..engine.load import load_model
    from ..files.inputs import find_images, name_results
    from ..session.wording import be

    if options.halo and not (options.tile or options.auto_tile):
        raise SettingsError("There is a halo without tiles.", "Give --tile as well, or leave --halo out.")
    if options.batch is not None and options.batch < 1:
        raise SettingsError(f"{options.batch} images cannot be encoded together.", "Give --batch 1 or more.")
    shared, tiling = wants_cluster(options), read_tiling(options)
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
    images = list(zip(paths, places, strict=True))
    work = _embed_shared(options, images, model, tiling) if shared else _embed_here(options, images, model, tiling)
    complete = 0
    try:
        for path, error in work:
            if error is None:
                complete += 1
            else:
                print(f"microsam-nb: {path}: {error}", file=sys.stderr)  # noqa: T201
    except KeyboardInterrupt:
        print(  # noqa: T201
            f"\nStopped; {complete} of {len(paths)} images {be(complete)} complete. Run the same command to go on.",
            file=sys.stderr,
        )
        return 130
    if not options.quiet:
        print(f"{complete} of {len(paths)} images {be(complete)} in {output}.")  # noqa: T201
    return 0 if complete == len(paths) else 1


def _embed_here(
    options: argparse.Namespace, images: Sequence[tuple[Path, str]], model: Model, tiling: Tiling | None
) -> Iterator[tuple[Path, Exception | None]]:
    """Embed one image after the other, and yield what was wrong with each."""
    for path, place in images:
        try:
            _embed_one(options, path, place, model, tiling)
        except MicrosamError as error:
            yield path, error
        else:
            yield path, None


def _embed_shared(
    options: argparse.Namespace, images: Sequence[tuple[Path, str]], model: Model, tiling: Tiling | None
) -> Iterator[tuple[Path, Exception | None]]:
    """Embed all images on a cluster, and yield what was wrong with each."""
    from ..annotators.cluster import Failure, embed_plan

    source = source_of(model, options)
    plans = (
        (
            path,
            embed_plan(
                model, source, path, place, tiling, auto_tile=options.auto_tile, axes=options.axes, key=options.key,
                half=options.half, first_plane=options.first_plane, batch=options.batch,
            ),
        )
        for path, place in images
    )  # fmt: skip
    for path, found in on_cluster(options, plans, "plane" if tiling is None else "tile"):
        yield path, found.error if isinstance(found, Failure) else None


def _embed_one(options: argparse.Namespace, path: Path, place: str, model: Model, tiling: Tiling | None) -> None:
    from tqdm import tqdm

    from ..core import Image
    from ..engine import choose_tiling, embed, open_store
    from ..files.volumes import open_image

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
