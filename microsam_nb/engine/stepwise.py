"""Networks that can be left between two blocks, and gone on with later.

Such work is a generator that yields nothing, but a place to do something else, and returns its result.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from .precision import inference

T = TypeVar("T")

Steps = Generator[None, None, T]


@runtime_checkable
class Stepwise(Protocol):
    """An image encoder that can be left between its blocks; ``forward`` goes through the same steps."""

    def steps(self, x: Tensor) -> Steps[Tensor]:
        """Do what ``forward`` does, and yield between blocks."""


def finish(steps: Steps[T]) -> T:
    """Go through all steps; return their result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def run_stepwise(encoder: nn.Module, x: Tensor, device: torch.device, precision: str) -> Steps[Tensor]:
    """Encode (n, 3, h, w) to contiguous float32 features as inference does; others take one step.

    Whoever computes in between finds neither inference mode nor autocast.
    """
    steps = _steps(encoder, x)
    del x
    before: torch.cuda.Event | None = None
    while True:
        with inference(device, precision):
            try:
                next(steps)
            except StopIteration as end:
                features: Tensor = end.value.float().contiguous()
                return features
        if device.type == "cuda":
            # Blocks are begun much faster than they are done: without this all of them would be waiting already. One
            # stays ahead, so that the GPU always has work.
            now = torch.cuda.Event()
            now.record(torch.cuda.current_stream(device))
            if before is not None:
                before.synchronize()
            before = now
        yield


def _steps(encoder: nn.Module, x: Tensor) -> Steps[Tensor]:
    if isinstance(encoder, Stepwise):
        return (yield from encoder.steps(x))
    found: Tensor = encoder(x)
    return found
