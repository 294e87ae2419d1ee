"""Train the embedded model from scratch."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the command."""
    train = commands.add_parser("train-embedded", help="train the embedded model from scratch")
    train.add_argument("--data", type=Path, required=True, help="folder of a data pack with manifest.csv")
    train.add_argument("--folder", type=Path, required=True, help="folder of the checkpoint; resumes there")
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
    train.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    import torch.distributed as dist

    from ..engine.training import TrainingSettings, train
    from ..engine.training.embedded import embedded_dataset, new_nano, save_embedded
    from ..files.pack import read_pack

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
