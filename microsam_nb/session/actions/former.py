"""What the lines of journals of format 1 meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...core import BoxPrompt
from .base import Action
from .prompting import checked, prompt_with

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True, slots=True)
class OnlyBox(Action):
    """Draw a box that takes the place of an earlier one: there was one object at a time."""

    y0: float
    x0: float
    y1: float
    x1: float
    plane: int = 0
    gist: ClassVar[str] = "adding a box"

    def apply(self, session: Session) -> None:
        box = BoxPrompt(self.plane, float(self.y0), float(self.x0), float(self.y1), float(self.x1))
        others = tuple(p for p in session.state.prompts if not isinstance(p, BoxPrompt))
        prompt_with(session, (*others, checked(session, box)))


def renewed(data: dict[str, Any]) -> dict[str, Any]:
    """Return a line of format 1 as one of the present format. Raises KeyError, TypeError or AttributeError."""
    kind, values = data["do"], dict(data)
    if kind == "Predicted" and "mask" in values:
        # There was one object per answer.
        values["found"] = [{name: values.pop(name) for name in ("mask", "score", "origin")}]
    elif kind == "AddBox":
        values["do"] = "OnlyBox"
    elif kind == "AddPrompt" and values["prompt"].get("kind") == "box":
        box = {name: value for name, value in values["prompt"].items() if name != "kind"}
        return {"do": "OnlyBox", **box}
    return values
