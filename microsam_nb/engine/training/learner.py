"""One optimiser step: one encoder pass per batch, all prompts of the batch decoded together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from ..models import Model
from ..precision import fast_dtype
from .asked import Draws
from .batches import Batch, draw_batch, grids_of
from .dataset import CropDataset
from .interactive import Prompted, teach
from .losses import distance_loss
from .parts import learn_mode, moving, network
from .schedule import rate_at
from .settings import TrainingPrecision, TrainingSettings


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step has shown; ``skipped`` when its gradient was no number and nothing was learned."""

    loss: float
    first: float
    last: float
    distances: float
    skipped: bool


class Learner:
    """The weights that learn, their optimiser and their moving average.

    All random draws depend on nothing but the seed, the process, the step and the batch within it. ``most``: every
    step takes as many turns of prompts as any may.
    """

    def __init__(self, model: Model, data: CropDataset, settings: TrainingSettings, *, most: bool = False) -> None:
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.model, self.data, self.settings, self.step = model, data, settings, 0
        self.device = model.device
        self.factor, self.most = 1.0, most
        grids_of(model, settings.crop)
        self.net = network(model)
        self.net.to(memory_format=torch.channels_last)
        self.begin()
        self.weights = [p for p in self.net.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in self.weights if p.ndim > 1], "weight_decay": settings.decay},
            {"params": [p for p in self.weights if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.rate, betas=(0.9, 0.98))
        self.names = moving(self.net)
        self.mean = self.copy()
        self.dtype = _dtype(self.device, settings)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)

    def begin(self) -> None:
        """Switch the network to training."""
        learn_mode(self.model, self.settings)

    def copy(self) -> dict[str, Tensor]:
        """Return what moves in the network as it is now."""
        return {k: v.detach().clone() for k, v in self.net.state_dict().items() if k in self.names}

    def put(self, values: dict[str, Tensor]) -> None:
        """Set what moves in the network."""
        self.net.load_state_dict(values, strict=False)

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "net": {k: v for k, v in self.net.state_dict().items() if k in self.names},
            "mean": self.mean,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.put(state["net"])
        for name, value in state["mean"].items():
            self.mean[name].copy_(value)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler.is_enabled() and state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])
        self.step = int(state["step"])

    def steps(self, count: int) -> Iterator[StepResult]:
        """Take ``count`` steps, yielding the result of each; batches are drawn ahead on a thread of their own."""
        each = self.settings.accumulate
        with ThreadPoolExecutor(1) as pool:
            coming: list[Future[Batch]] = [pool.submit(self._draw, self.step, i) for i in range(each)]
            for left in range(count - 1, -1, -1):
                batches = coming
                coming = [pool.submit(self._draw, self.step + 1, i) for i in range(each if left else 0)]
                yield self._learn([one.result() for one in batches])

    def _random(self, step: int, batch: int, what: int) -> np.random.Generator:
        return np.random.default_rng([self.settings.seed, self.rank, step, batch, what])

    def _draw(self, step: int, batch: int) -> Batch:
        return draw_batch(self.model, self.data, self.settings, self._random(step, batch, 0))

    def _learn(self, batches: list[Batch]) -> StepResult:
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.settings, self.step) * self.factor
        # A gradient that is no number comes from a pass that may have spoilt running statistics, too.
        running = {k: v.clone() for k, v in self.net.named_buffers() if k in self.names}
        sums = np.zeros(4)
        for i, batch in enumerate(batches):
            noise = torch.Generator(self.device)
            noise.manual_seed(int(self._random(self.step, i, 2).integers(2**31)))
            sums += self._backward(batch.to(self.device), Draws(self._random(self.step, i, 1), noise), len(batches))
        self.scaler.unscale_(self.optimizer)
        self._share()
        norm = float(nn.utils.clip_grad_norm_(self.weights, self.settings.clip))
        skipped = not math.isfinite(norm)
        if skipped:
            for name, value in self.net.named_buffers():
                if name in running:
                    value.copy_(running[name])
        else:
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if not skipped:
            self._average()
        loss, first, last, distances = (float(v) for v in sums / len(batches))
        return StepResult(loss, first, last, distances, skipped)

    def _backward(self, batch: Batch, draws: Draws, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Add the gradient of one batch; return its loss, first and last IoU, and the instance decoder's loss."""
        s, model = self.settings, self.model
        encoder = model.sam.image_encoder
        learns = any(p.requires_grad for p in encoder.parameters())
        with self._cast(), torch.set_grad_enabled(learns):
            features = encoder(batch.images)
        leaf = features.detach().float().requires_grad_(learns)

        def backward(loss: Tensor) -> None:
            if loss.requires_grad:
                self.scaler.scale(loss / count).backward()

        prompted = Prompted(0.0, 0.0, 0.0)
        if s.prompts:
            balance = max(0.0, 1 - self.step / (s.balanced * s.steps)) if s.balanced else 0.0
            prompted = teach(
                model, batch, leaf, s, draws, balance=balance, dtype=self.dtype, backward=backward, most=self.most
            )
        distance = 0.0
        if model.distances is not None and s.distances > 0:
            with self._cast():
                logits = model.distances(leaf)
            logits = _to_side(logits.float(), batch.distances.shape[-1])
            loss = distance_loss(logits, batch.distances, batch.learned)
            backward(loss * s.distances)
            distance = float(loss.detach())
        if learns and leaf.grad is not None:
            features.backward(leaf.grad.to(features.dtype))
        return np.array([prompted.loss + s.distances * distance, prompted.first, prompted.last, distance])

    def _cast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not torch.float32)

    def _share(self) -> None:
        """Average the gradients of all processes of a distributed run."""
        if not dist.is_initialized():
            return
        for p in self.weights:
            # A process whose prompts left a weight out (the mask prompt's, say) still takes part in the mean.
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        flat = torch.cat([p.grad.flatten() for p in self.weights if p.grad is not None])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for p, part in zip(self.weights, flat.split([p.numel() for p in self.weights]), strict=True):
            p.grad = part.view_as(p)

    @torch.no_grad()
    def _average(self) -> None:
        # The average follows closely at first, when the weights still move fast.
        keep = min(self.settings.average, (1 + self.step) / (10 + self.step))
        for name, value in self.net.state_dict().items():
            if name not in self.names:
                continue
            if value.dtype.is_floating_point:
                self.mean[name].lerp_(value, 1 - keep)
            else:
                self.mean[name].copy_(value)


def _dtype(device: torch.device, settings: TrainingSettings) -> torch.dtype:
    return torch.float32 if settings.precision is TrainingPrecision.FULL else fast_dtype(device)


def _to_side(maps: Tensor, side: int) -> Tensor:
    if maps.shape[-1] == side:
        return maps
    return F.interpolate(maps, (side, side), mode="bilinear", align_corners=False)
