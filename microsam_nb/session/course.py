"""What the events of a training add up to, as far as somebody who watches wants to know."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

#: Notes that are kept: the newest.
_NOTES = 6


@dataclass(frozen=True, slots=True)
class Scores:
    """How good the weights are on validation images, 0..1, NaN where not measured.

    ``first`` and ``last``: mean IoU after the first prompt and after all of them; ``accuracy``: mean segmentation
    accuracy (mSA) of automatic segmentation; ``total`` decides which epoch is the best.
    """

    first: float = math.nan
    last: float = math.nan
    accuracy: float = math.nan
    total: float = math.nan


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch up to ``step``: the mean loss, and what was measured after it; ``best`` so far or not."""

    step: int
    loss: float
    scores: Scores = field(default_factory=Scores)
    best: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """Crops segmented with the weights of ``step``, in ``file`` of the run; mSA of each in ``scores``."""

    step: int
    file: str
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Course:
    """How far a training is and what it has shown.

    ``step`` of ``steps``; ``before``: scores of the weights it began with. ``why``: how it ended other than as planned;
    ``failure``: what went wrong for good, with the remedy. ``since``: when and at which step it last began or went on,
    ``at``: when the newest step was told, in seconds since 1970.
    """

    model: str = ""
    device: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0
    steps: int = 0
    before: Scores | None = None
    epochs: tuple[Epoch, ...] = ()
    previews: tuple[Preview, ...] = ()
    preflight: str = ""
    notes: tuple[str, ...] = ()
    why: str = ""
    failure: str = ""
    since: tuple[float, int] | None = None
    at: float = 0.0

    @property
    def best(self) -> Epoch | None:
        """The epoch whose weights are exported; the last one where nothing could be measured."""
        good = [one for one in self.epochs if one.best]
        return good[-1] if good else self.epochs[-1] if self.epochs else None

    @property
    def measuring(self) -> bool:
        """Whether the steps of an epoch are done, but what they have brought is not known yet."""
        every = int(self.settings.get("steps_per_epoch", 0))
        ended = self.step == self.steps or (every > 0 and self.step % every == 0)
        return self.step > 0 and ended and not any(one.step == self.step for one in self.epochs)

    @property
    def left(self) -> float | None:
        """Seconds until the planned end at the pace since it last went on; None where that is not known yet."""
        if self.since is None or self.step <= self.since[1] or self.at <= self.since[0]:
            return None
        return (self.at - self.since[0]) / (self.step - self.since[1]) * max(0, self.steps - self.step)

    def after(self, event: Mapping[str, Any]) -> Course:
        """Return the course with one more event; of kinds that are not known nothing changes."""
        heard = _HEARD.get(str(event.get("kind")))
        return self if heard is None else heard(self, event)


def _begun(now: Course, event: Mapping[str, Any]) -> Course:
    # What came after the checkpoint that it goes on from is done once more.
    step = int(event.get("step", 0))
    settings = dict(event.get("settings") or now.settings)
    return replace(
        now,
        model=str(event.get("model", now.model)), device=str(event.get("device", now.device)), settings=settings,
        step=step, steps=int(settings.get("steps", now.steps)),
        epochs=tuple(one for one in now.epochs if one.step <= step),
        previews=tuple(one for one in now.previews if one.step <= step),
        why="", failure="", since=None,
    )  # fmt: skip


def _preflight(now: Course, event: Mapping[str, Any]) -> Course:
    settings = {**now.settings, **(event.get("settings") or {})}
    steps = int(settings.get("steps", now.steps))
    return replace(now, preflight=str(event.get("text", "")), settings=settings, steps=steps)


def _before(now: Course, event: Mapping[str, Any]) -> Course:
    return replace(now, before=_scores(event.get("score")))


def _progress(now: Course, event: Mapping[str, Any]) -> Course:
    step, at = int(event["step"]), float(event.get("time", 0.0))
    steps = int(event.get("steps", now.steps))
    return replace(now, step=step, steps=steps, at=at, since=now.since or (at, step))


def _epoch(now: Course, event: Mapping[str, Any]) -> Course:
    one = Epoch(int(event["step"]), _number(event.get("loss")), _scores(event.get("score")), bool(event.get("best")))
    at = float(event.get("time", now.at))
    notes = tuple(str(note) for note in event.get("notes", ()))
    return replace(
        now, step=one.step, at=at, epochs=(*now.epochs, one), notes=(*now.notes, *notes)[-_NOTES:],
    )  # fmt: skip


def _preview(now: Course, event: Mapping[str, Any]) -> Course:
    scores = tuple(_number(one) for one in event.get("scores") or ())
    one = Preview(int(event["step"]), str(event["file"]), scores)
    return replace(now, previews=(*(old for old in now.previews if old.step != one.step), one))


def _waited(now: Course, _: Mapping[str, Any]) -> Course:
    return replace(now, since=None)


def _finished(now: Course, event: Mapping[str, Any]) -> Course:
    return replace(now, step=int(event.get("step", now.step)), why=str(event.get("why", "")), since=None)


def _failed(now: Course, event: Mapping[str, Any]) -> Course:
    said = f"{event.get('message', 'The training failed.')} {event.get('remedy', '')}".strip()
    return replace(now, failure=said, since=None)


_HEARD = {
    "begun": _begun, "preflight": _preflight, "before": _before, "progress": _progress, "epoch": _epoch,
    "preview": _preview, "paused": _waited, "resumed": _waited, "finished": _finished, "failed": _failed,
}  # fmt: skip


def _scores(told: Mapping[str, Any] | None) -> Scores:
    if not told:
        return Scores()
    return Scores(*(_number(told.get(name)) for name in ("first_iou", "last_iou", "accuracy", "total")))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
