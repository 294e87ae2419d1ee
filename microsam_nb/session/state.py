"""What a session holds at one moment; frozen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Box, Candidate, Lineage, Mask, Overlap, Prompt
from .requests import Request, Setting


class Tool(StrEnum):
    """What a press on the image does."""

    POINT = "point"
    BOX = "box"
    ELLIPSE = "ellipse"
    POLYGON = "polygon"
    LASSO = "lasso"
    SCRIBBLE = "scribble"
    BRUSH = "brush"
    ERASER = "eraser"
    FILL = "fill"
    PICK = "pick"
    MERGE = "merge"
    SPLIT = "split"
    DELETE = "delete"
    PARTS = "parts"
    DELETE_INSIDE = "delete-inside"
    CLASSIFY = "classify"
    CHOOSE = "choose"
    HAND = "hand"


#: Tools for committed objects, of no use for prompts.
EDITING = (Tool.PICK, Tool.MERGE, Tool.SPLIT, Tool.DELETE, Tool.PARTS, Tool.DELETE_INSIDE, Tool.HAND)


class LayerName(StrEnum):
    """What lies on the screen, from below."""

    IMAGE = "image"
    OBJECTS = "objects"
    CANDIDATES = "candidates"
    PROPOSAL = "proposal"
    NEIGHBOURS = "neighbours"
    PROMPTS = "prompts"


@dataclass(frozen=True, slots=True)
class Layer:
    """Whether a layer is shown, and how opaque, in [0, 1]."""

    visible: bool = True
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Layers:
    """How every layer is shown; ``contours``: objects as outlines instead of filled.

    ``by_class``: objects in the colours of their classes, instead of one each.

    ``neighbours``: outlines of the object in hand in the planes above and below, of volumes only.
    """

    image: Layer = Layer()
    objects: Layer = Layer(opacity=0.45)
    candidates: Layer = Layer(opacity=0.35)
    neighbours: Layer = Layer(opacity=0.4)
    proposal: Layer = Layer(opacity=0.5)
    prompts: Layer = Layer()
    contours: bool = False
    by_class: bool = False


@dataclass(frozen=True, slots=True)
class Channel:
    """How one channel is shown: ``colour`` as "#rrggbb", "" for the image's own; intensities for black and white.

    ``low`` and ``high`` None: the window that the model sees.
    """

    visible: bool = True
    colour: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class View:
    """The visible part of a plane: image coordinates (y, x) of its corner, screen pixels per image pixel."""

    y: float
    x: float
    zoom: float


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the status line."""

    text: str
    error: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """What runs in the background: ``done`` of ``total`` (0: unknown) in ``unit``; seconds left, if known."""

    what: str
    done: int = 0
    total: int = 0
    unit: str = ""
    left: float | None = None


@dataclass(frozen=True, slots=True)
class Automatic:
    """How the candidates were found: the mode ("amg", "ais" or "apg"), all its settings, and by which model.

    ``volume``: in all planes.
    """

    mode: str
    options: tuple[Setting, ...] = ()
    model: str = ""
    volume: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """What an automatic segmentation had to choose from: ``scores`` in 0..1 and ``areas`` in pixels, both (n,)."""

    mode: str
    scores: NDArray[np.float32]
    areas: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Browsing:
    """How the user looks, with which tool and options; undo leaves it alone.

    ``view`` None fits the image. ``live``: the model answers after every prompt, else when it is asked to.
    ``batched``: every positive point, box and region is an object of its own. ``brush``: diameter in image pixels.
    ``channels``: how each channel is shown, () for the image's own way. ``as_model``: show what the model sees.
    ``classes``: those that objects can be given, in their order, and ``category`` the one that is given now.
    """

    plane: int = 0
    tool: Tool = Tool.POINT
    positive: bool = True
    view: View | None = None
    live: bool = True
    batched: bool = False
    overlap: Overlap = Overlap.KEEP
    selected: tuple[int, ...] = ()
    brush: float = 10.0
    layers: Layers = field(default_factory=Layers)
    channels: tuple[Channel, ...] = ()
    as_model: bool = False
    classes: tuple[str, ...] = ()
    category: str = ""


@dataclass(frozen=True, slots=True)
class Extension:
    """The object in hand is carried through the planes of a volume, with settings other than the model's own.

    ``planes``: only their neighbourhood is to be computed again, () for all of it; ``done`` once that is so.
    ``taken``: the object was there before any prompt, and stays when the last one is removed. ``stopped`` by the user
    before it was done: it is what was found until then, and goes on when it is asked for, or prompts change.
    """

    options: tuple[Setting, ...] = ()
    planes: tuple[int, ...] = ()
    done: bool = False
    taken: bool = False
    stopped: bool = False

    @property
    def waits(self) -> bool:
        """Whether there are planes to be computed."""
        return not (self.done or self.stopped)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well an object in hand goes on in a plane; what ``Section`` says, without the mask.

    In planes with prompts ``agreement`` is 1.
    """

    place: int
    plane: int
    agreement: float
    score: float


@dataclass(frozen=True, slots=True)
class State:
    """Everything drawn, except the committed labels.

    ``answered`` is True when ``proposals`` are the model's answer to ``prompts`` (none: it found nothing), or what
    the user made of it. ``target`` is the committed object that is being improved, 0 for a new one. ``candidates``
    come from elsewhere, for example an automatic segmentation, and may overlap; ``automatic`` says how that was made.
    ``rejected``: what was rejected of them, which is not suggested again.

    Of volumes only: ``stale`` are the planes whose prompts were changed since the model answered them, the newest
    last; ``extension`` says that the object is carried through the planes, and ``sections`` how well it goes on.

    Of movies only: the ``lineage`` of the committed objects, which are tracks; what is committed next becomes a
    daughter of the track ``mother``, 0 for none.
    """

    prompts: tuple[Prompt, ...] = ()
    proposals: tuple[Candidate, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    rejected: tuple[Mask, ...] = ()
    answered: bool = True
    target: int = 0
    next_id: int = 1
    automatic: Automatic | None = None
    browsing: Browsing = field(default_factory=Browsing)
    stale: tuple[int, ...] = ()
    extension: Extension | None = None
    sections: tuple[Agreement, ...] = ()
    lineage: Lineage | None = None
    mother: int = 0

    @property
    def proposal(self) -> Candidate | None:
        """The first proposal, where there is one."""
        return self.proposals[0] if self.proposals else None

    @property
    def unanswered(self) -> bool:
        """Whether there are prompts that the model has not answered; how far the object is carried does not matter."""
        return bool(self.prompts) and not self.answered and (bool(self.stale) or self.extension is None)

    @property
    def extending(self) -> bool:
        """Whether the prompts are answered, and planes of the object still to be computed."""
        return self.extension is not None and self.extension.waits and not self.stale

    def emptied(self, **changes: Any) -> State:
        """Return the state without the object in hand, and with other ``changes``."""
        without = replace(
            self, prompts=(), proposals=(), answered=True, target=0, stale=(), extension=None, sections=()
        )
        return replace(without, **changes)


@dataclass(frozen=True, slots=True)
class Change:
    """What must be painted again. ``labels`` is the box that was written; ``objects``: the table of objects."""

    prompts: bool = False
    proposal: bool = False
    candidates: bool = False
    view: bool = False
    tool: bool = False
    layers: bool = False
    objects: bool = False
    notice: bool = False
    work: bool = False
    labels: Box | None = None
    lineage: bool = False

    def __or__(self, other: Change) -> Change:
        if self.labels is None or other.labels is None:
            labels = self.labels or other.labels
        else:
            labels = self.labels.union(other.labels)
        return Change(
            self.prompts or other.prompts,
            self.proposal or other.proposal,
            self.candidates or other.candidates,
            self.view or other.view,
            self.tool or other.tool,
            self.layers or other.layers,
            self.objects or other.objects,
            self.notice or other.notice,
            self.work or other.work,
            labels,
            self.lineage or other.lineage,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What ``Session.handle`` returns: what to paint and what to compute."""

    change: Change
    requests: tuple[Request, ...] = ()
