"""Show versions, devices and models, and download models."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import __version__

if TYPE_CHECKING:
    from ..engine.registry import RegisteredModel


def add(commands: Any) -> None:
    """Add the command."""
    info = commands.add_parser(
        "info",
        help="show versions, devices and models, and download models",
        description="Show versions, devices, and every model with its size and whether it is on this computer.",
        epilog="Models are kept in the cache folder that is shared with micro-sam; MICROSAM_CACHEDIR sets another.",
    )
    info.add_argument(
        "--download", nargs="+", metavar="NAME", help="get these models now, to have them without a network; or: all"
    )
    info.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.download:
        return _download(options.download)
    import torch

    from ..engine.download import cache_folder
    from ..engine.load import load_model
    from ..engine.precision import fast_dtype, find_device
    from ..engine.registry import MODELS

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
    from ..engine.download import cached_files

    sizes = [file.size for file in cached_files(model)]
    if not sizes:
        return "in package"
    if not any(sizes):
        return "-"
    return f"{sum(sizes) / 1e6:.0f} MB" if all(sizes) else "incomplete"


def _download(names: Sequence[str]) -> int:
    from ..engine.download import cached_files, fetch
    from ..engine.registry import MODELS, find_registered

    # Every name is looked up before the first gigabyte is fetched.
    for model in MODELS if "all" in names else [find_registered(name) for name in names]:
        paths = fetch(model)
        size = sum(file.size for file in cached_files(model)) / 1e6
        where = f"{size:.0f} MB in {paths[0].parent}" if paths else "part of the package"
        print(f"{model.label}: {where}")  # noqa: T201
    return 0
