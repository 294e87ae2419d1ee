"""Looking around, choosing tools and models: never steps of the history."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ...core import Overlap, SettingsError
from ..planes import check_objects
from ..requests import Embed, LoadModel, StopSearch
from ..state import Channel, Layer, LayerName, Notice, Tool, View, Work
from ..wording import listed
from .base import Action

if TYPE_CHECKING:
    from ..session import Session

_HELP = {
    Tool.POINT: "Point tool: click on an object, right-click beside it.",
    Tool.BOX: "Box tool: drag around an object.",
    Tool.ELLIPSE: "Ellipse tool: drag around an object.",
    Tool.POLYGON: "Polygon tool: click corner by corner around an object; a double click or Enter ends, Escape leaves.",
    Tool.LASSO: "Lasso tool: draw around an object.",
    Tool.SCRIBBLE: "Scribble tool: draw along an object, with the right button beside it.",
    Tool.BRUSH: "Brush: paint the object by hand; with a picked object, paint on that.",
    Tool.ERASER: "Eraser: rub out of the proposal, of the picked object, or of any object.",
    Tool.FILL: "Fill: click into a hole, or on an object to fill all its holes.",
    Tool.PICK: "Pick tool: click on an object to work on it, Shift-click to pick several.",
    Tool.MERGE: "Merge tool: click on one object, then on each one that belongs to it.",
    Tool.SPLIT: "Split tool: draw a line through an object.",
    Tool.CHOOSE: "Choose tool: click on a candidate to keep it, right-click to reject it; draw around several.",
    Tool.CLASSIFY: "Classify tool: click on objects of the chosen class, or draw over several; the right button takes "
    "the class away, 1 to 5 choose another one.",
    Tool.DELETE: "Delete tool: click on an object to remove it.",
    Tool.PARTS: "Parts tool: click once on each part of an object, then Enter takes it apart; Escape leaves.",
    Tool.DELETE_INSIDE: "Delete lasso: draw around objects to remove them.",
    Tool.HAND: "Hand: drag to move the image.",
}


@dataclass(frozen=True)
class SetTool(Action):
    """Choose what a press on the image does."""

    tool: Tool
    step: ClassVar[bool] = False

    def __post_init__(self) -> None:
        # A plain string must mean the same now and when the journal is replayed; so below.
        object.__setattr__(self, "tool", Tool(self.tool))

    def apply(self, session: Session) -> None:
        # What was picked for something else is not what is meant to be merged into.
        merging = self.tool is Tool.MERGE and session.state.browsing.tool is not Tool.MERGE
        _browse(session, tool=self.tool, **({"selected": ()} if merging else {}))
        session.notice = Notice(_HELP[self.tool])


@dataclass(frozen=True)
class SetPolarity(Action):
    """Choose whether the left button adds positive or negative prompts; None switches over."""

    positive: bool | None = None
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        now = session.state.browsing.positive
        _browse(session, positive=not now if self.positive is None else self.positive)


@dataclass(frozen=True)
class SetView(Action):
    """Show the part of the plane that begins at (y, x) at a zoom; without zoom, the whole plane.

    Raises SettingsError.
    """

    y: float = 0.0
    x: float = 0.0
    zoom: float | None = None
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> bool:
        view = None if self.zoom is None else View(float(self.y), float(self.x), float(self.zoom))
        if view is not None and not (math.isfinite(view.y) and math.isfinite(view.x) and 0 < view.zoom < math.inf):
            raise SettingsError(f"There is nothing to see at {view}.", "Give a finite place and a zoom above 0.")
        if view == session.state.browsing.view:
            return False
        _browse(session, view=view)
        return True


@dataclass(frozen=True)
class SetPlane(Action):
    """Show another plane. Raises SettingsError for one that is not there."""

    plane: int
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> bool:
        plane, count = int(self.plane), session.shape[0]
        if not 0 <= plane < count:
            raise SettingsError(f"There is no {session.word} {plane}.", f"Choose one from 0 to {count - 1}.")
        if plane == session.state.browsing.plane:
            return False
        _browse(session, plane=plane)
        session.want(Embed(plane))
        return True


@dataclass(frozen=True)
class SetLive(Action):
    """Choose whether the model answers after every prompt, or only when it is asked; None switches over."""

    live: bool | None = None
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        before = session.state.browsing.live
        live = not before if self.live is None else self.live
        _browse(session, live=live)
        # Whether an answer is still to come must not matter: when the journal is replayed, failures are forgotten.
        if live and not before and not session.state.answered:
            session.go_on()
        session.notice = Notice("The model answers after every prompt." if live else "The model waits for S.")


@dataclass(frozen=True)
class SetBatched(Action):
    """Choose whether every positive point, box and region is an object of its own; None switches over.

    Raises PromptError where prompts in several planes would mean several objects.
    """

    batched: bool | None = None
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        now = session.state.browsing
        batched = not now.batched if self.batched is None else self.batched
        if not session.state.target:
            check_objects(session.state.prompts, batched=batched)
        _browse(session, batched=batched)
        if session.state.prompts and batched != now.batched and now.live:
            session.ask()
        text = (
            "Every positive point and every box is an object of its own." if batched else "All points mean one object."
        )
        session.notice = Notice(text)


@dataclass(frozen=True)
class SetOverlap(Action):
    """Choose what happens where a new object meets committed ones."""

    overlap: Overlap
    step: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "overlap", Overlap(self.overlap))

    def apply(self, session: Session) -> None:
        _browse(session, overlap=self.overlap)


@dataclass(frozen=True)
class SetBrush(Action):
    """Choose the diameter of brush and eraser, in image pixels. Raises SettingsError unless 1 <= size <= 1000."""

    size: float
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        if not 1 <= self.size <= 1000:
            raise SettingsError(f"A brush of {self.size} pixels is not possible.", "Choose a size from 1 to 1000.")
        _browse(session, brush=float(self.size))


@dataclass(frozen=True)
class Select(Action):
    """Pick objects by number; with ``more``, add them to those picked, or put those down that were."""

    labels: tuple[int, ...] = ()
    more: bool = False
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        wanted = tuple(dict.fromkeys(int(n) for n in self.labels if n in session.labels))
        if self.more:
            old = session.selected
            wanted = tuple(n for n in old if n not in wanted) + tuple(n for n in wanted if n not in old)
        before = session.selected
        _browse(session, selected=wanted)
        if wanted:
            session.notice = Notice(f"Picked: {listed(wanted, session.noun.lower())}.")
        elif before:
            session.notice = Notice("Nothing is picked.")
        elif session.state.browsing.tool in (Tool.PICK, Tool.MERGE):
            session.notice = Notice(f"There is no {session.noun.lower()} here. Click on one to pick it.")


@dataclass(frozen=True)
class SetLayer(Action):
    """Show or hide a layer, or change how opaque it is, in [0, 1]. Raises SettingsError."""

    layer: LayerName
    visible: bool | None = None
    opacity: float | None = None
    step: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", LayerName(self.layer))

    def apply(self, session: Session) -> None:
        layers = session.state.browsing.layers
        old: Layer = getattr(layers, self.layer.value)
        opacity = old.opacity if self.opacity is None else float(self.opacity)
        if not 0 <= opacity <= 1:
            raise SettingsError(f"An opacity of {self.opacity} is not possible.", "Choose one from 0 to 1.")
        new = Layer(old.visible if self.visible is None else self.visible, opacity)
        changes: dict[str, Any] = {self.layer.value: new}
        _browse(session, layers=replace(layers, **changes))


@dataclass(frozen=True)
class SetContours(Action):
    """Choose whether objects are shown as outlines or filled; None switches over."""

    contours: bool | None = None
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        layers = session.state.browsing.layers
        contours = not layers.contours if self.contours is None else self.contours
        _browse(session, layers=replace(layers, contours=contours))


@dataclass(frozen=True)
class ColourByClass(Action):
    """Choose whether objects have the colours of their classes or one each; None switches over."""

    on: bool | None = None
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        layers = session.state.browsing.layers
        _browse(session, layers=replace(layers, by_class=not layers.by_class if self.on is None else self.on))


@dataclass(frozen=True)
class SetChannels(Action):
    """Choose how every channel is shown; () for the image's own way."""

    channels: tuple[Channel, ...] = ()
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        for one in self.channels:
            if one.colour and not re.fullmatch(r"#[0-9a-fA-F]{6}", one.colour):
                raise SettingsError(f"{one.colour!r} is no colour.", 'Write it as "#rrggbb", for example "#00ff00".')
            given = [value for value in (one.low, one.high) if value is not None]
            if not all(math.isfinite(value) for value in given) or (len(given) == 2 and not given[0] < given[1]):
                raise SettingsError(
                    f"A window from {one.low} to {one.high} is not possible.", "Choose black below white."
                )
        _browse(session, channels=tuple(self.channels), as_model=False)


@dataclass(frozen=True)
class ShowAsModel(Action):
    """Choose whether the picture is what the model sees; None switches over."""

    as_model: bool | None = None
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        now = session.state.browsing.as_model
        _browse(session, as_model=not now if self.as_model is None else self.as_model)


@dataclass(frozen=True)
class UseModel(Action):
    """Change over to another model, by name or path of a file."""

    name: str
    journaled: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        if session.seeking:
            # Nobody waits for what the model before finds.
            session.want(StopSearch())
        session.leave_search()
        session.work = Work(f"Loading the model {self.name}")
        session.want(LoadModel(self.name))


def _browse(session: Session, **changes: Any) -> None:
    session.amend(replace(session.state, browsing=replace(session.state.browsing, **changes)))
