"""The training loop: one encoder pass per batch, all prompts of the batch decoded in one call."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from ...core import MicrosamError, SettingsError
from ..backbones.two_way import decode_hidden, draw
from ..decode import SparsePrompts, encode_prompts
from ..models import Model
from ..precision import fast_dtype
from ..prompting import SURE
from .checkpoint import load_checkpoint, save_checkpoint
from .clicks import boxes_of, corrections, first_points, scattered_points
from .dataset import Crop, CropDataset, objects_of
from .losses import distance_loss, mask_loss, overlap
from .settings import TrainingSettings

#: Empty crops in one batch before the training gives up.
_TRIES = 500
#: Share of the training over which the mask loss turns from balanced to plain.
_BALANCED = 0.3
#: Weight of the predicted IoU's squared error: it decides between the answers to a lone click.
_SCORES = 3.0
#: Settings that a training may go on with changed.
_MAY_CHANGE = ("steps", "steps_per_epoch")


@dataclass(frozen=True, slots=True)
class EpochResult:
    """Means over the steps of one epoch."""

    step: int
    loss: float
    first_iou: float
    last_iou: float
    distance_loss: float
    seconds: float


@dataclass(frozen=True, slots=True)
class _Batch:
    images: Tensor
    inside: Tensor
    distances: Tensor
    owner: Tensor
    targets: Tensor
    depth: Tensor


def train(
    model: Model, data: CropDataset, settings: TrainingSettings, *, folder: Path | None = None
) -> Iterator[EpochResult]:
    """Train ``model`` in place, yielding a result per epoch.

    With ``folder`` a checkpoint is written after every epoch and training goes on from it when called again.
    When the iterator ends, the model holds the averaged weights. Stop early by not iterating further.
    """
    run = _Run(model, data, settings)
    path = folder / "checkpoint.pt" if folder else None
    if path and path.exists():
        run.restore(load_checkpoint(path))
    while run.step < settings.steps:
        result = run.epoch()
        # Before the result is handed out: who stops iterating, or is killed, keeps the epoch.
        if path and run.rank == 0:
            save_checkpoint(path, run.state())
        yield result
    run.finish()


class _Run:
    """Everything that changes during a training."""

    def __init__(self, model: Model, data: CropDataset, settings: TrainingSettings) -> None:
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.model, self.data, self.settings, self.step = model, data, settings, 0
        self.device = model.device
        self._seed()
        if settings.crop % 32 or settings.crop > model.frame:
            raise SettingsError(
                f"crop = {settings.crop} px does not fit the model's frame of {model.frame} px.",
                f"Choose a multiple of 32 up to {model.frame}.",
            )
        self.net = nn.ModuleDict({"sam": model.sam})
        if model.distances is not None:
            self.net["distances"] = model.distances
        self.net.to(memory_format=torch.channels_last)
        self.mean = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        weights = [p for p in self.net.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in weights if p.ndim > 1], "weight_decay": settings.decay},
            {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.rate, betas=(0.9, 0.98))
        self.position = model.sam.prompt_encoder.get_dense_pe()

    def _seed(self) -> None:
        """Begin all random draws anew; they depend on nothing but the seed, the process and the step."""
        start = [self.settings.seed, self.rank, self.step]
        self.random = np.random.default_rng([*start, 0])
        # Crops are drawn on a thread of their own.
        self.drawing = np.random.default_rng([*start, 1])
        seed = int(np.random.default_rng([*start, 2]).integers(2**31))
        self.noise = torch.Generator(self.device).manual_seed(seed)
        torch.manual_seed(seed)

    def state(self) -> dict[str, object]:
        return {
            "step": self.step,
            "settings": asdict(self.settings),
            "net": self.net.state_dict(),
            "mean": self.mean,
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, object]) -> None:
        self._check(state.get("settings"))
        self.net.load_state_dict(state["net"])  # type: ignore[arg-type]
        self.mean = state["mean"]  # type: ignore[assignment]
        self.optimizer.load_state_dict(state["optimizer"])  # type: ignore[arg-type]
        self.step = int(state["step"])  # type: ignore[call-overload]
        self._seed()

    def _check(self, before: object) -> None:
        """Raise SettingsError when the training was begun with other settings; steps and reports may change."""
        if not isinstance(before, dict):
            return
        now = asdict(self.settings)
        other = [name for name in now if name not in _MAY_CHANGE and before.get(name, now[name]) != now[name]]
        if other:
            was = ", ".join(f"{name}={before[name]}" for name in other)
            raise SettingsError(
                f"This training was begun with {was}.", "Give the same settings, or another folder to begin anew."
            )

    def finish(self) -> None:
        self.net.load_state_dict(self.mean)
        self.net.eval()

    def epoch(self) -> EpochResult:
        start, sums, count = time.perf_counter(), np.zeros(4), 0
        self.net.train()
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self._draw)
            for _ in range(min(self.settings.steps_per_epoch, self.settings.steps - self.step)):
                batch = coming.result()
                coming = pool.submit(self._draw)
                sums += self._learn(batch)
                count += 1
            coming.result()
        loss, first, last, distance = sums / count
        return EpochResult(self.step, loss, first, last, distance, time.perf_counter() - start)

    def _draw(self) -> _Batch:
        crops: list[Crop] = []
        owner: list[int] = []
        targets: list[Tensor] = []
        depth: list[Tensor] = []
        room = self.settings.batch * self.settings.objects
        misses = 0
        while len(crops) < self.settings.batch:
            crop = self.data.draw(self.settings.crop, self.drawing)
            ids = objects_of(crop.labels, self.settings.objects, self.drawing)
            if not ids:
                misses += 1
                if misses > _TRIES:
                    raise MicrosamError(
                        "The training images show hardly any object of ten pixels or more.",
                        "Add images with larger objects, or enlarge these.",
                    )
                continue
            for one in ids:
                mask = (crop.labels == one).float()
                owner.append(len(crops))
                targets.append(mask)
                depth.append((1 - crop.distances[2]) * mask)
            crops.append(crop)
        # Repeats fill the step up; their prompts differ from the first ones.
        for again in self.drawing.integers(0, len(owner), room - len(owner)):
            owner.append(owner[again])
            targets.append(targets[again])
            depth.append(depth[again])
        sam = self.model.sam
        images = torch.stack([c.image for c in crops])
        inside = torch.stack([c.inside for c in crops])
        images = (images - sam.pixel_mean.cpu()) / sam.pixel_std.cpu() * inside[:, None]
        parts = (
            images.contiguous(memory_format=torch.channels_last),
            inside[:, ::2, ::2],
            torch.stack([c.distances for c in crops]),
            torch.tensor(owner),
            torch.stack(targets),
            torch.stack(depth),
        )
        return _Batch(*(part.to(self.device) for part in parts))

    def _learn(self, batch: _Batch) -> NDArray[np.float64]:
        """Take one step; return its loss, first and last IoU, and the instance decoder's loss."""
        s = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        half = self._dtype() is torch.bfloat16
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half), self.device:
            features = self.model.sam.image_encoder(batch.images)
            prompted, first, last = self._prompt(batch, features)
            decoder = self.model.distances if s.distances > 0 else None
            logits = decoder(features) if decoder is not None else None
            distance = torch.zeros(())
        if logits is not None:
            distance = distance_loss(logits.float(), batch.distances, batch.inside)
        loss = prompted + s.distances * distance
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._share()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self._average()
        return np.array([loss.item(), first, last, distance.item()])

    def _share(self) -> None:
        """Average the gradients of all processes of a distributed run."""
        if not dist.is_initialized():
            return
        weights = [p for p in self.net.parameters() if p.requires_grad]
        for p in weights:
            # A process whose prompts left a weight out (the mask prompt's, say) still takes part in the mean.
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        flat = torch.cat([p.grad.flatten() for p in weights if p.grad is not None])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for p, part in zip(weights, flat.split([p.numel() for p in weights]), strict=True):
            p.grad = part.view_as(p)

    def _prompt(self, batch: _Batch, features: Tensor) -> tuple[Tensor, float, float]:
        """Prompt every object, correct it, and return the mean loss, first and last IoU."""
        s, sam = self.settings, self.model.sam
        grid = features.shape[-1]
        room = self.position.shape[-1] - grid
        # A crop lies at a random place of the frame, so that every part of the position encoding is learned.
        top, left = (int(v) for v in self.random.integers(0, room + 1, 2))
        position = self.position[..., top : top + grid, left : left + grid]
        shift = torch.tensor([left, top]) * (sam.image_encoder.img_size / self.position.shape[-1])
        targets, own = batch.targets, features[batch.owner]
        boxes = points = labels = logits = None
        kind = self.random.random()
        if kind < s.box_chance:
            boxes = boxes_of(targets, s.box_jitter, self.noise) * 2 + shift.repeat(2)
        elif kind < s.box_chance + s.several_chance:
            inside, beside = int(self.random.integers(1, 5)), int(self.random.integers(0, 4))
            where, labels = scattered_points(targets, inside, beside if inside > 1 else beside + 1)
            points = where.flip(2) * 2 + 0.5 + shift
        else:
            where = first_points(targets, batch.depth)
            points, labels = (where.flip(1) * 2 + 0.5 + shift)[:, None], torch.ones(len(where), 1)
        total: Tensor = torch.zeros(())
        first = last = 0.0
        # Half of all steps end with the first answer: it is what users see most.
        turns = min(int(self.random.geometric(0.5)), s.corrections + 1)
        for turn in range(turns):
            prompts = SparsePrompts(points, labels, boxes, logits)
            sparse, dense = encode_prompts(sam.prompt_encoder, prompts, features.shape[-2:])
            lone = turn == 0 and boxes is None and points is not None and points.shape[1] == 1
            masks, scores, loss, real = self._answer(own, position, sparse, dense, targets, lone)
            if lone:
                # The best of three answers learns, and so does the single one.
                prompted = loss[:, 1:].amin(1).mean() + 0.5 * loss[:, 0].mean()
                best = scores[:, 1:].argmax(1) + 1
            else:
                prompted = loss.mean()
                best = torch.zeros(len(scores), dtype=torch.long)
            total = total + prompted + _SCORES * (scores - real).square().mean()
            rows = torch.arange(len(best))
            answer = masks[rows, best]
            last = float(real[rows, best].mean())
            first = last if turn == 0 else first
            if turn + 1 < turns:
                where, sign = corrections(answer, targets)
                new = (where.flip(1) * 2 + 0.5 + shift)[:, None]
                points = new if points is None else torch.cat([points, new], 1)
                signs = sign[:, None].float()
                labels = signs if labels is None else torch.cat([labels, signs], 1)
                logits = self._mask_prompt(answer) if self.random.random() < s.mask_chance else None
        return total / turns, first, last

    def _mask_prompt(self, answer: Tensor) -> Tensor:
        """Feed an answer (n, h, w) back, as it is or, as often, as the sure mask that a shape or an edit gives."""
        if self.random.random() < 0.5:
            return answer[:, None].clamp(-16, 16)
        return torch.where(answer > 0, SURE, -SURE)[:, None]

    def _answer(
        self, own: Tensor, position: Tensor, sparse: Tensor, dense: Tensor, targets: Tensor, lone: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Decode encoded prompts; return logits (detached), scores, losses and real IoU per mask."""
        decoder = self.model.sam.mask_decoder
        wanted = range(4) if lone else range(1)
        with torch.autocast(self.device.type, enabled=False):
            hidden = decode_hidden(decoder, own, position, sparse.float(), dense, self._dtype())
            masks = draw(decoder, hidden, wanted).float()
        loss = mask_loss(masks, targets[:, None], self._balance())
        scores = hidden.scores[:, wanted.start : wanted.stop]
        return masks.detach(), scores, loss, overlap(masks.detach(), targets[:, None])

    def _dtype(self) -> torch.dtype:
        # float16 would need its losses scaled; without bfloat16 the training runs in float32.
        return torch.bfloat16 if fast_dtype(self.device) is torch.bfloat16 else torch.float32

    def _balance(self) -> float:
        return max(0.0, 1 - self.step / (_BALANCED * self.settings.steps))

    def _rate(self) -> float:
        s = self.settings
        if self.step < s.warmup:
            return s.rate * (self.step + 1) / s.warmup
        done = (self.step - s.warmup) / max(1, s.steps - s.warmup)
        return s.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))

    @torch.no_grad()
    def _average(self) -> None:
        # The average follows closely at first, when the weights still move fast.
        keep = min(self.settings.average, (1 + self.step) / (10 + self.step))
        for name, value in self.net.state_dict().items():
            if value.dtype.is_floating_point:
                self.mean[name].lerp_(value, 1 - keep)
            else:
                self.mean[name].copy_(value)
