"""Prompts of training in the model's frame: where crops lie in it, first prompts, and answers that are fed back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..models import Model
from ..prompting import SURE
from .batches import Batch
from .clicks import boxes_of, first_points, scattered_points
from .settings import TrainingSettings


@dataclass(slots=True)
class Draws:
    """The random draws of one step: choices for all objects, and numbers for each."""

    random: np.random.Generator
    noise: torch.Generator


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a crop lies in the model's frame: ``position`` encoding (1, c, h, w), its corner (x, y), px per cell."""

    position: Tensor
    corner: Tensor
    pitch: float

    def points(self, where: Tensor) -> Tensor:
        """Cells (..., 2) as (row, column) to points (..., 2) as (x, y) in the middle of each."""
        return where.flip(-1) * self.pitch + (self.pitch - 1) / 2 + self.corner

    def boxes(self, cells: Tensor) -> Tensor:
        return cells * self.pitch + self.corner.repeat(2)


@dataclass(slots=True)
class Prompts:
    points: Tensor | None = None
    labels: Tensor | None = None
    boxes: Tensor | None = None
    logits: Tensor | None = None

    def add(self, point: Tensor, label: Tensor) -> None:
        """Add one point (n, 1, 2) with its label (n, 1) per object."""
        self.points = point if self.points is None else torch.cat([self.points, point], 1)
        self.labels = label if self.labels is None else torch.cat([self.labels, label], 1)

    @property
    def lone(self) -> bool:
        return self.boxes is None and self.logits is None and self.points is not None and self.points.shape[1] == 1


def frame_of(model: Model, batch: Batch, random: np.random.Generator) -> Frame:
    """Place the crops at random in the frame, so that every part of the position encoding is learned."""
    whole = model.sam.prompt_encoder.get_dense_pe()
    stride = model.frame / whole.shape[-1]
    grid = round(batch.images.shape[-1] / stride)
    top, left = (int(v) for v in random.integers(0, whole.shape[-1] - grid + 1, 2))
    position = whole[..., top : top + grid, left : left + grid]
    corner = torch.tensor([left, top], device=whole.device) * stride
    return Frame(position, corner, batch.images.shape[-1] / batch.targets.shape[-1])


def first_prompts(batch: Batch, frame: Frame, s: TrainingSettings, draws: Draws) -> Prompts:
    """Draw the first prompt: a box, perhaps with points, several points, or one point."""
    prompts, random = Prompts(), draws.random
    kind = random.random()
    boxed = kind < s.box_chance
    if boxed:
        prompts.boxes = frame.boxes(boxes_of(batch.targets, s.box_jitter, draws.noise))
    # Without such a chance nothing is drawn: trainings that were begun before go on as they would have.
    pointed = bool(s.box_points_chance) and random.random() < s.box_points_chance
    if pointed if boxed else kind < s.box_chance + s.several_chance:
        inside, beside = int(random.integers(1, 5)), int(random.integers(0, 4))
        # One point alone is another question, but not beside a box.
        beside = beside if inside > 1 or boxed else beside + 1
        where, labels = scattered_points(batch.targets, inside, beside, draws.noise, batch.known)
        prompts.points, prompts.labels = frame.points(where), labels
    elif not boxed:
        where = first_points(batch.targets, batch.depth, draws.noise)
        prompts.add(frame.points(where)[:, None], torch.ones(len(where), 1, device=where.device))
    return prompts


def mask_prompt(answer: Tensor, random: np.random.Generator) -> Tensor:
    """Feed an answer (n, h, w) back, as it is or, as often, as the sure mask that a shape or an edit gives."""
    if random.random() < 0.5:
        return answer[:, None].clamp(-16, 16)
    return torch.where(answer > 0, SURE, -SURE)[:, None]
