"""What is said about a training: its data, what learns, how far it is and how good it became."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..session import Work
from ..session.course import Course
from ..session.finetuning import Finetuning, Phase
from ..session.wording import be, counted

#: Settings that say which parts learn, as they are where everything does.
_EVERYTHING: dict[str, Any] = {
    "prompts": True, "freeze_image_encoder": False, "freeze_prompt_encoder": False, "freeze_mask_decoder": False,
    "freeze_decoder": False, "last_blocks": 0, "lora_rank": 0,
}  # fmt: skip

#: What a menu offers to learn, and the settings of it.
LEARNS: dict[str, dict[str, Any]] = {
    "Everything": _EVERYTHING,
    "Decoders, and low-rank additions to the image encoder (LoRA)": _EVERYTHING | {"lora_rank": 4},
    "Decoders, and the last block of the image encoder": _EVERYTHING | {"last_blocks": 1},
    "Decoders only": _EVERYTHING | {"freeze_image_encoder": True},
    "Automatic segmentation only": _EVERYTHING | {"freeze_image_encoder": True, "prompts": False},
}
#: What the menu shows where the settings are others.
AS_SET = "As set below"


def learns(settings: Mapping[str, Any]) -> str:
    """Return the entry of the menu that the settings stand for."""
    for words, some in LEARNS.items():
        if all(settings.get(name, value) == value for name, value in some.items()):
            return words
    return AS_SET


def totals(data: Mapping[str, Any]) -> list[str]:
    """Return how much there is to learn from, and to measure with: "Training: 5 images, 120 objects"."""
    return [_total("Training", data.get("training", ())), _total("Validation", data.get("validation", ()))]


def _total(word: str, images: Sequence[Mapping[str, Any]]) -> str:
    objects = sum(int(one.get("objects", 0)) for one in images)
    return f"{word}: {counted(len(images), 'image')}, {counted(objects, 'object')}"


def progress(state: Finetuning) -> Work | None:
    """Return how far it is, None while nothing runs."""
    now = state.course
    if state.busy:
        return Work(state.busy)
    if state.phase is Phase.STARTING or (state.phase is Phase.RUNNING and not now.preflight and not now.step):
        return Work("Loading the model and measuring one step")
    if state.phase is Phase.RUNNING and now.before is None and not now.step:
        return Work("Measuring how good the model is before")
    if state.phase is Phase.RUNNING and now.measuring:
        return Work("Measuring how good the weights are", now.step, now.steps, "steps")
    if state.phase is Phase.RUNNING:
        return Work("Training", now.step, now.steps, "steps", now.left)
    if state.phase is Phase.PAUSING:
        return Work("Pausing when this step is done")
    if state.phase is Phase.STOPPING:
        return Work("Stopping: the best weights are being kept")
    return None


def headline(state: Finetuning) -> str:
    """Say in what state a training is; "" where its progress says so."""
    now, at = state.course, f"step {state.course.step} of {state.course.steps}"
    if state.phase is Phase.SETUP:
        return "Ready. The training begins with one step that is measured: then you see how long all of it takes."
    if state.phase is Phase.PAUSED:
        return f"Paused at {at}. The checkpoint is on the disk, and nothing is computed until you resume it."
    if state.phase is Phase.INTERRUPTED and now.step:
        return f"Interrupted at {at}. Nothing is lost: Resume goes on from the last checkpoint."
    if state.phase is Phase.INTERRUPTED:
        return "Prepared, but no process is training: Resume starts it."
    if state.phase is Phase.FINISHED:
        return " ".join(filter(None, [f"Finished at {at}.", now.why, gain(now)]))
    if state.phase is Phase.FAILED:
        return now.failure
    return ""


def gain(now: Course) -> str:
    """Say what the best weights are better at than those before; "" while that is not known."""
    best = now.best
    if now.before is None or best is None:
        return ""
    parts = [
        f"{name} {old:.2f} → {new:.2f}"
        for name, old, new in (
            ("automatic segmentation (mSA)", now.before.accuracy, best.scores.accuracy),
            ("first click (IoU)", now.before.first, best.scores.first),
            ("with corrections (IoU)", now.before.last, best.scores.last),
        )
        if not (math.isnan(old) or math.isnan(new))
    ]
    return f"On the validation images, at step {best.step}: {', '.join(parts)}." if parts else ""


def loss_of_stopping(now: Course) -> str:
    """Say what is kept and what is given up when a training is stopped now."""
    best = now.best
    kept = (
        "No epoch is complete yet: the weights stay about as they were"
        if best is None
        else f"The best weights so far, of step {best.step}, are kept"
    )
    left = max(0, now.steps - now.step)
    rest = f"the {counted(left, 'step')} that {be(left)} left cannot be done later"
    return f"{kept}; {rest}. A training that is paused can be resumed."
