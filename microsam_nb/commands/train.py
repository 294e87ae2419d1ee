"""Finetune a model on images whose objects are known."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .shared import progress_bar


def add(commands: Any) -> None:
    """Add the command."""
    train = commands.add_parser(
        "train",
        help="finetune a model on images and their labels",
        description="Finetune a model on images whose objects are known: label files, projects and series of the "
        "annotators. What it learns is measured on images that it does not learn from; the best weights are kept.",
        epilog="The folder gets all that happens (events.jsonl), checkpoints and model.safetensors or model.pt, which "
        "every --model and model= takes. Ctrl-C writes a checkpoint: the same command, or --folder alone, goes on from "
        "it; so it does after a crash. finetune(folder=...) in a notebook shows the same training. Several GPUs: "
        "torchrun --nproc_per_node=N -m microsam_nb train ... Exit codes: 0 done, 1 failed, 2 the command is wrong, "
        "130 interrupted.",
    )
    train.add_argument("--folder", type=Path, required=True, help="folder of the training; goes on there")
    train.add_argument("--images", nargs="+", metavar="INPUT", help="images, volumes, folders or patterns")
    train.add_argument("--labels", metavar="FOLDER", help="their labels: a folder or a pattern")
    train.add_argument("--projects", nargs="+", metavar="FOLDER", help="projects, series, or folders of projects")
    train.add_argument("--validation-images", nargs="+", metavar="INPUT", help="images to measure with (default: some)")
    train.add_argument("--validation-labels", metavar="FOLDER", help="their labels")
    train.add_argument("--share", type=float, default=0.2, help="of the images to measure with (default: 0.2)")
    train.add_argument(
        "--complete", action=argparse.BooleanOptionalAction, help="all objects are labelled (default: as it seems)"
    )
    train.add_argument("--axes", default="", help="yx, yxc, zyx, tyx, zyxc or tyxc, where the guess is wrong")
    train.add_argument("-m", "--model", default="nano", help="a name, or a file of weights (default: nano)")
    train.add_argument("--preset", default="", help="cpu, gpu4 ... gpu80: settings for a machine (default: this one's)")
    train.add_argument(
        "--set", dest="settings", metavar="NAME=VALUE", action="append", default=[],
        help="a setting, such as steps=300 or lora_rank=4",
    )  # fmt: skip
    train.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    train.add_argument("--no-preflight", action="store_true", help="do not measure a step first")
    train.add_argument("-o", "--output", type=Path, metavar="FILE", help="also write the weights to this file")
    train.add_argument("--detach", action="store_true", help="start it in the background and return")
    train.add_argument("-q", "--quiet", action="store_true", help="print only errors")
    train.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    import torch.distributed as dist

    several = "RANK" in os.environ  # started by torchrun
    if several:
        import torch

        dist.init_process_group("nccl" if torch.cuda.is_available() and options.device != "cpu" else "gloo")
    try:
        found = _prepared(options, several)
        if options.detach:
            return _detached(found, options.quiet)
        return _worked(found, options)
    finally:
        if several:
            dist.destroy_process_group()


def _prepared(options: argparse.Namespace, several: bool) -> Any:
    """Return the run: a new one, or the one that is there."""
    import torch.distributed as dist

    from ..annotators.training_process import prepare_run
    from ..core import SettingsError
    from ..session.training_run import TrainingRun

    new = options.images is not None or options.projects is not None
    if not new:
        _check_old(options)
    if several and options.detach:
        raise SettingsError("Several processes cannot be left in the background.", "Leave --detach out.")
    first = not several or dist.get_rank() == 0
    if new and first:
        found = prepare_run(
            options.folder, _data(options), model=options.model, settings=_settings(options), device=options.device,
            preflight=not options.no_preflight and not several,
        )  # fmt: skip
    if several:
        dist.barrier()
    return found if new and first else TrainingRun(options.folder)


def _check_old(options: argparse.Namespace) -> None:
    """Raise SettingsError for options of new trainings where one goes on as it was begun."""
    from ..core import SettingsError

    old: dict[str, Any] = {
        "labels": None, "validation_images": None, "validation_labels": None, "share": 0.2, "complete": None,
        "axes": "", "model": "nano", "preset": "", "settings": [], "device": "auto", "no_preflight": False,
    }  # fmt: skip
    flags = {"settings": "--set"}
    given = [
        flags.get(name, f"--{name.replace('_', '-')}") for name, value in old.items() if getattr(options, name) != value
    ]
    if given:
        raise SettingsError(
            f"A training goes on as it was begun, without {', '.join(given)}.",
            "Leave them out, or begin a new one with --images or --projects.",
        )


def _data(options: argparse.Namespace) -> Any:
    from ..annotators.training_data import collect, summary
    from ..core import SettingsError

    if options.images is not None and options.projects is not None:
        raise SettingsError("There are images and projects.", "Give --images with --labels, or --projects.")
    if options.images is not None and options.labels is None:
        raise SettingsError("There are images without labels.", "Give --labels, a folder or a pattern.")
    images = options.projects if options.images is None else options.images
    data = collect(
        images, options.labels, validation=options.validation_images, validation_labels=options.validation_labels,
        share=options.share, complete=options.complete, axes=options.axes,
    )  # fmt: skip
    if not options.quiet:
        print(summary(data))  # noqa: T201
    return data


def _settings(options: argparse.Namespace) -> Any:
    from ..annotators.training_choices import preset_chosen

    return preset_chosen(options.model, options.device, options.preset).settings.with_text(options.settings)


def _detached(run: Any, quiet: bool) -> int:
    from ..annotators.training_process import start

    start(run)
    if not quiet:
        print(f"The training goes on in the background; watch it with finetune(folder={str(run.folder)!r}).")  # noqa: T201
    return 0


def _worked(run: Any, options: argparse.Namespace) -> int:
    from ..annotators.training_work import Left, work
    from ..core import MicrosamError
    from ..engine.training import export as write

    # Of several processes only the first hears what happens.
    silent = options.quiet or os.environ.get("RANK", "0") != "0"
    try:
        with progress_bar(run.folder.name, silent) as bar:
            work(run, lambda event: None if silent else _show(event, bar))
    except Left:
        print("\nStopped. Run the same command to go on.", file=sys.stderr)  # noqa: T201
        return 130
    except MicrosamError as error:
        print(f"microsam-nb: {error}", file=sys.stderr)  # noqa: T201
        return 1
    first = os.environ.get("RANK", "0") == "0"
    if first and options.output is not None and run.result is not None:
        from ..engine.load import load_model

        write(load_model(run.result, "cpu", trainable=True), options.output)
    return 0


def _show(event: dict[str, Any], bar: Callable[[Any], None]) -> None:
    """Print what an event says above the bar that shows the steps."""
    from tqdm import tqdm

    from ..engine.automatic import Progress

    if event["kind"] == "progress":
        bar(Progress(event["step"], event["steps"], "steps"))
    text = _line(event)
    if text:
        with tqdm.external_write_mode():
            print(text, flush=True)  # noqa: T201


def _line(event: dict[str, Any]) -> str:
    """Return an event as a line of the log, "" for one that needs none."""
    kind = event["kind"]
    if kind == "begun":
        return f"{event['model']} on {event['device']}, from step {event['step']}"
    if kind == "preflight":
        return str(event["text"])
    if kind == "before":
        return f"before      {_scored(event['score'])}"
    if kind == "epoch":
        notes = "".join(f"\n  {note}" for note in event["notes"])
        mark = "  best" if event["best"] else ""
        return f"step {event['step']:6d} {_scored(event['score'])}  loss {event['loss']:.3f}{mark}{notes}"
    if kind in ("paused", "resumed"):
        return f"{kind} at step {event['step']}"
    if kind == "finished":
        return f"{event['why']} The weights are in {event['file']}.".strip()
    return ""


def _scored(score: dict[str, float | None] | None) -> str:
    if score is None:
        return ""
    words = {"accuracy": "mSA", "first_iou": "IoU after a click", "last_iou": "after all"}
    return "  ".join(f"{said} {score[name]:.3f}" for name, said in words.items() if score.get(name) is not None)
