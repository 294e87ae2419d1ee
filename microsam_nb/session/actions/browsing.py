"""Looking around and choosing tools: never steps of the history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ..state import Browsing, Notice, Tool, View
from .base import Action

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True)
class SetTool(Action):
    """Choose what a press on the image does."""

    tool: Tool
    journaled: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        _browse(session, replace(session.state.browsing, tool=self.tool))
        box = "Box tool: drag around an object."
        session.notice = Notice(box if self.tool is Tool.BOX else "Point tool: click on an object.")


@dataclass(frozen=True)
class SetPolarity(Action):
    """Choose whether the left button adds positive or negative points; None switches over."""

    positive: bool | None = None
    journaled: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        now = session.state.browsing
        _browse(session, replace(now, positive=not now.positive if self.positive is None else self.positive))


@dataclass(frozen=True)
class SetView(Action):
    """Show the part of the plane that begins at (y, x) at a zoom; without zoom, the whole plane."""

    y: float = 0.0
    x: float = 0.0
    zoom: float | None = None
    journaled: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        view = None if self.zoom is None else View(self.y, self.x, self.zoom)
        _browse(session, replace(session.state.browsing, view=view))


def _browse(session: Session, browsing: Browsing) -> None:
    session.amend(replace(session.state, browsing=browsing))
