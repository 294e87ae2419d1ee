"""The buttons above the image, and the options of the chosen tool."""

from __future__ import annotations

import ipywidgets as widgets

from ..core import Overlap
from ..session import Session, SetBrush, SetOverlap, Tool
from ..view import TOOLS, VOLUME, Command, worded
from ..view.gestures import CLICKED
from .buttons import command_button, group, mark, visible
from .hands import Bound, Hands

#: Groups of buttons: command, icon, what it does, text.
_GROUPS: dict[str, tuple[tuple[Command, str, str, str], ...]] = {
    "msam-prompting": (
        (Command.POINT, "crosshairs", "Point: click on an object, right-click beside it", ""),
        (Command.BOX, "square-o", "Box: drag around an object", ""),
        (Command.ELLIPSE, "circle-o", "Ellipse: drag around an object", ""),
        (Command.POLYGON, "draw-polygon", "Polygon: click corner by corner around an object", ""),
        (Command.LASSO, "circle-notch", "Lasso: draw around an object", ""),
        (Command.SCRIBBLE, "signature", "Scribble: draw along an object", ""),
    ),
    "msam-painting": (
        (Command.BRUSH, "paint-brush", "Brush: paint an object by hand", ""),
        (Command.ERASER, "eraser", "Eraser: rub out", ""),
        (Command.FILL, "fill-drip", "Fill holes and gaps", ""),
    ),
    "msam-editing": (
        (Command.PICK, "mouse-pointer", "Pick: click on an object to work on it, Shift-click for several", ""),
        (Command.MERGE, "object-group", "Merge: click on objects that belong together", ""),
        (Command.SPLIT, "cut", "Split: draw a line through an object", ""),
        (Command.DELETE_TOOL, "times-circle", "Delete: click on an object to remove it", ""),
        (Command.CHOOSE, "check-circle-o", "Choose: click on a candidate to keep it, right-click to reject it", ""),
        (Command.HAND, "hand-paper-o", "Hand: drag to move the image", ""),
    ),
    "msam-asking": (
        (Command.FIND, "bullseye", "Find all objects of the image", "Find all"),
        (Command.TOGGLE, "plus", "Switch between positive and negative prompts", "Positive"),
        (Command.SEGMENT, "magic", "Segment: ask the model now", ""),
        (Command.SEGMENT_OBJECT, "cubes", "Segment the object through all planes", ""),
        (Command.STOP_HERE, "flag-checkered", "Stop here: the object ends before this plane", ""),
        (Command.COMMIT, "check", "Commit: keep the object", "Commit"),
        (Command.REMOVE, "step-backward", "Remove the newest prompt", ""),
        (Command.CLEAR, "times", "Clear the prompts", ""),
        (Command.ESCAPE, "ban", "Leave what is begun: a polygon, picked objects, work that runs", ""),
    ),
    "msam-history": (
        (Command.UNDO, "undo", "Undo", ""),
        (Command.REDO, "repeat", "Redo", ""),
    ),
    "msam-picked": (
        (Command.PREVIOUS, "chevron-left", "Go to the object before", ""),
        (Command.NEXT, "chevron-right", "Go to the next object", ""),
        (Command.IMPROVE, "edit", "Improve the picked object: its mask becomes a prompt", ""),
        (Command.DELETE, "trash", "Delete the picked objects", ""),
    ),
    "msam-viewing": (
        (Command.FARTHER, "search-minus", "Zoom out", ""),
        (Command.FIT, "arrows-alt", "Fit the image to the window", ""),
        (Command.CLOSER, "search-plus", "Zoom in", ""),
    ),
    "msam-keeping": (
        (Command.SAVE, "save", "Save the labels as TIFF", ""),
        (Command.HELP, "question-circle", "Show or hide the keys", ""),
    ),
    "msam-modes": (
        (Command.LIVE, "bolt", "Live: the model answers after every prompt; off: only when it is asked", ""),
        (Command.BATCHED, "th", "Batch: every point and every box is an object of its own", ""),
    ),
    "msam-brushing": (
        (Command.SMALLER, "minus", "Smaller brush", ""),
        (Command.LARGER, "plus", "Larger brush", ""),
    ),
}
_FIRST_ROW = ("msam-prompting", "msam-painting", "msam-editing")
_SECOND_ROW = ("msam-asking", "msam-history", "msam-picked", "msam-viewing", "msam-modes")
_LARGEST_BRUSH = 300


class Toolbar:
    """Two rows: what a press on the image does, and what can be done with the object in hand, with its options.

    ``buttons`` has one for every command in the rows; ``more`` is put into the first, for the switches of the panels.
    ``brushing`` is to be shown elsewhere. ``volume``: with what there is only where there are several planes, which
    are called frames in a ``movie``.
    """

    def __init__(
        self, hands: Hands, more: widgets.Widget | None = None, *, volume: bool = False, movie: bool = False
    ) -> None:
        self.buttons: dict[Command, widgets.Button] = {}
        groups: dict[str, widgets.Box] = {}
        for name, listed in _GROUPS.items():
            entries = [one for one in listed if volume or one[0] not in VOLUME]
            made = [
                command_button(command, icon, worded(words, movie=movie), hands.act, text)
                for command, icon, words, text in entries
            ]
            self.buttons.update(zip((one[0] for one in entries), made, strict=True))
            groups[name] = group(name, made)
        self.brush = widgets.IntSlider(
            10, 1, _LARGEST_BRUSH, description="Brush", tooltip="Diameter of brush and eraser in pixels of the image",
            style={"description_width": "40px"}, layout={"width": "210px"},
        )  # fmt: skip
        self.brush.add_class("msam-size")
        smaller, larger = groups["msam-brushing"].children
        groups["msam-brushing"].children = (self.brush, smaller, larger)
        #: Options of brush and eraser. Among the buttons they would begin another row and move the image.
        self.brushing = groups["msam-brushing"]
        self.overlap = widgets.Dropdown(
            options=[("Keep existing", Overlap.KEEP), ("Replace pixels", Overlap.REPLACE),
                     ("Replace whole", Overlap.WHOLE)],
            tooltip="What happens where a new object meets committed ones", layout={"width": "126px"},
        )  # fmt: skip
        self.overlap.add_class("msam-overlap")
        groups["msam-modes"].children += (self.overlap,)
        ends = ([more] if more is not None else []) + [groups["msam-keeping"]]
        first = [groups[name] for name in _FIRST_ROW] + ends
        self.box = widgets.VBox([_bar(first), _bar([groups[name] for name in _SECOND_ROW])])
        self._brush = Bound(self.brush, hands, lambda size: hands.handle(SetBrush(float(size))))
        self._overlap = Bound(self.overlap, hands, lambda policy: hands.handle(SetOverlap(policy)))

    def show(self, session: Session) -> None:
        """Mark what is chosen, and disable what can do nothing now."""
        state, browsing, picked = session.state, session.state.browsing, session.selected
        b, busy = self.buttons, session.awaiting is not None
        for command, tool in TOOLS.items():
            if command in b:
                mark(b[command], browsing.tool is tool)
        kind = b[Command.TOGGLE]
        kind.description = "Positive" if browsing.positive else "Negative"
        kind.icon = "plus" if browsing.positive else "minus"
        kind.button_style = "success" if browsing.positive else "danger"
        mark(b[Command.LIVE], browsing.live)
        mark(b[Command.BATCHED], browsing.batched)
        working = bool(state.prompts or state.proposals)
        possible = {
            Command.COMMIT: bool(state.proposals) or busy,
            Command.SEGMENT: bool(state.prompts),
            Command.REMOVE: bool(state.prompts),
            Command.CLEAR: working or bool(state.target),
            Command.ESCAPE: busy or bool(picked) or session.work is not None or browsing.tool in CLICKED,
            Command.UNDO: session.can_undo,
            Command.REDO: session.can_redo,
            Command.NEXT: session.labels.count() > 0,
            Command.PREVIOUS: session.labels.count() > 0,
            Command.IMPROVE: bool(picked) and not working,
            Command.DELETE: bool(picked),
        }
        if Command.STOP_HERE in b:
            possible[Command.SEGMENT_OBJECT] = working
            possible[Command.STOP_HERE] = working
        for command, can in possible.items():
            b[command].disabled = not can
        mark(b[Command.COMMIT], possible[Command.COMMIT], "primary")
        visible(self.brushing, browsing.tool in (Tool.BRUSH, Tool.ERASER))
        self._brush.show(round(min(browsing.brush, _LARGEST_BRUSH)))
        self._overlap.show(browsing.overlap)


def _bar(children: list[widgets.Widget]) -> widgets.Box:
    box = widgets.Box(children)
    box.add_class("msam-bar")
    return box
