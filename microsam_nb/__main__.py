"""The command line: python -m microsam_nb lab | info | prompt | train-embedded."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__
from .core import MicrosamError

if TYPE_CHECKING:
    from .engine.registry import RegisteredModel

_START = "00_start_here.ipynb"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, 1 when nothing was found, or 2 after an error that was said in one line."""
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

    prompt = commands.add_parser("prompt", help="segment the objects that a table of prompts points at")
    prompt.add_argument("image", type=Path, help="TIFF, PNG, JPEG or .npy image of one plane")
    prompt.add_argument("prompts", type=Path, help="CSV: object,y,x[,positive] or object,y0,x0,y1,x1, in pixels")
    prompt.add_argument("-o", "--output", type=Path, required=True, help="label image to write (.tif)")
    prompt.add_argument("-m", "--model", default="nano", help="nano, or a checkpoint file (default: nano)")
    prompt.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    prompt.add_argument("--axes", default="", help="yx or yxc, where the guess is wrong")
    prompt.set_defaults(run=_prompt)

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
    train.add_argument("-o", "--output", type=Path, help="safetensors file to write at the end")
    train.set_defaults(run=_train_embedded)
    return parser


def _lab(options: argparse.Namespace) -> int:
    notebook = _notebook(Path.cwd())
    command = [sys.executable, "-m", "jupyter", "lab", f"--LabApp.default_url=/lab/tree/{notebook.name}", *options.rest]
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


def _prompt(options: argparse.Namespace) -> int:
    from .core import Image, ImageError, Labels, Overlap, PromptError
    from .engine.encode import encode
    from .engine.load import load_model
    from .engine.predict import predict_many
    from .files.images import read_image
    from .files.labels import write_labels
    from .files.prompts import read_prompts

    image = Image(read_image(options.image), options.axes, options.image.stem)
    if image.shape[0] != 1:
        raise ImageError(f"{options.image} holds {image.shape[0]} planes.", "Give an image of one plane.")
    objects = read_prompts(options.prompts)
    for one in (p for prompts in objects.values() for p in prompts):
        one.check(image.shape)
    model = load_model(options.model, options.device)
    found = predict_many(model, encode(model, image.shown()), list(objects.values()))
    labels = Labels(image.shape)
    for number, candidate in zip(objects, found, strict=True):
        try:
            labels.apply(labels.paint(candidate.mask, number, Overlap.KEEP))
        except PromptError:
            why = "lies under earlier objects" if candidate.mask.area else "was not found"
            print(f"Object {number} {why}; give it more points or a box.", file=sys.stderr)  # noqa: T201
    write_labels(options.output, labels.volume[0])
    print(f"{labels.count()} of {len(objects)} objects are in {options.output}.")  # noqa: T201
    return 0 if labels.count() else 1


def _train_embedded(options: argparse.Namespace) -> int:
    import torch.distributed as dist

    from .engine.training import TrainingSettings, train
    from .engine.training.embedded import embedded_dataset, new_nano, save_embedded
    from .files.pack import read_pack

    settings = TrainingSettings.parse(options.settings)
    if "RANK" in os.environ:  # started by torchrun: every process draws its own crops, gradients are averaged
        dist.init_process_group("gloo")
    data = embedded_dataset(read_pack(options.data, "train", kinds=("2d", "3d", "2dt")))
    model = new_nano()
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
