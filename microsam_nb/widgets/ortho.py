"""The panel of views: sections through a place and a projection, in true proportions."""

from __future__ import annotations

import logging

import ipywidgets as widgets
from ipycanvas import MultiCanvas

from ..core import BoxPrompt, Ellipse, Image, MicrosamError, Point, Prompt
from ..session import Change, Session
from ..view import Look, Patch, Pictures
from ..view.ortho import PROJECTED, Arrangement, Side
from .batch import batch, put
from .closing import close_tree
from .hands import Hands
from .panels import title
from .sections import Sections, Wanted, still

_log = logging.getLogger("microsam_nb")

#: Largest width and height of the pictures together, in CSS pixels.
_ROOM = (416, 416)
_TOP = 2
_CROSS, _RIM = "rgba(255, 213, 79, 0.9)", "rgba(0, 0, 0, 0.5)"


class OrthoPanel:
    """The brightest pixels from above, beside it the section yz and below it xz, with the objects over them.

    A click sets the place of the sections and the plane. The place follows the newest prompt.
    """

    def __init__(self, image: Image, session: Session, hands: Hands, pictures: Pictures | None = None) -> None:
        self._session, self._hands = session, hands
        size = image.voxel_size
        _, height, width = image.shape
        flat = 1.0 if size is None or image.axes[0] == "t" else size.anisotropy
        self._arranged = Arrangement.fit(image.shape, flat, *_ROOM)
        self._place = height // 2, width // 2
        self._followed: Prompt | None = None
        self._number = 0
        down, across = self._arranged.size
        self.canvas = MultiCanvas(3, width=across, height=down)
        # Where the panel is narrower than that it is drawn smaller.
        self.canvas.layout.width, self.canvas.layout.height = "100%", "auto"
        self.canvas.on_client_ready(lambda: hands.post(lambda: self._show(anew=True)))
        self.canvas.on_mouse_down(lambda x, y: hands.post(lambda: self._clicked(y, x)))
        frame = widgets.Box([self.canvas], layout={"width": f"{across}px", "max_width": "100%"})
        frame.add_class("msam-views-canvas")
        caption = widgets.HTML(_caption(image, self._arranged))
        caption.add_class("msam-note")
        self.box = widgets.VBox([title("Views", "click to go there"), frame, caption])
        self.sections = Sections(image, pictures or Pictures(image), self._arranged, self._arrived, self._fail)

    @property
    def place(self) -> tuple[int, int]:
        """Row and column (y, x) of the sections."""
        return self._place

    def show(self, change: Change) -> None:
        prompts = self._session.state.prompts
        newest = prompts[-1] if prompts else None
        if newest is not self._followed:
            self._followed = newest
            self._place = self._within(newest) or self._place
        drawn = change.proposal or change.layers or change.objects or change.labels is not None
        if drawn:
            self._number += 1
        if drawn or change.prompts or change.view:
            self._show()

    def close(self) -> None:
        self.sections.close()
        for number in range(3):
            close_tree(self.canvas[number])

    # On the screen's thread.

    def _show(self, *, anew: bool = False) -> None:
        session, (y, x) = self._session, self._place
        state = session.state
        masks = tuple(one.mask for one in session.shown)
        look, layers = still(Look.of(state.browsing)), state.browsing.layers
        wanted = Wanted(
            state.browsing.plane,
            y,
            x,
            look,
            session.labels,
            layers,
            masks,
            state.target,
            session.selected,
            self._number,
        )
        self.sections.want(wanted, anew=anew)
        with batch():
            self._cross(state.browsing.plane, y, x)

    def _within(self, prompt: Prompt | None) -> tuple[int, int] | None:
        """Return row and column of a prompt that has a middle, None for others."""
        if isinstance(prompt, BoxPrompt | Ellipse):
            y, x = prompt.middle
        elif isinstance(prompt, Point):
            y, x = prompt.y, prompt.x
        else:
            return None
        _, height, width = self._arranged.shape
        return min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)

    def _clicked(self, row: float, column: float) -> None:
        found = self._arranged.at(row, column)
        if found is None:
            return
        plane, y, x = found
        self._place = (self._place[0] if y is None else y), (self._place[1] if x is None else x)
        shown = self._session.state.browsing.plane
        self._show()
        self._hands.look_at(shown if plane is None else plane, *self._place)

    def _put(self, layer: int, side: Side, patch: Patch) -> None:
        top, left = self._arranged.corner(side)
        with batch():
            put(self.canvas[layer], Patch(top, left, patch.height, patch.width, patch.data))

    def _cross(self, plane: int, y: int, x: int) -> None:
        """Draw the lines of the place, and what each picture is called."""
        a, layer = self._arranged, self.canvas[_TOP]
        height, width = a.size
        layer.clear_rect(0, 0, width, height)
        at, row, column = a.on_screen(plane, y, x)
        layer.font = "11px sans-serif"
        for side, down, across in ((Side.TOP, row, column), (Side.FRONT, at, column), (Side.RIGHT, row, at)):
            (top, left), (high, wide) = a.corner(side), a.extent(side)
            for thickness, colour in ((3.0, _RIM), (1.0, _CROSS)):
                layer.line_width, layer.stroke_style = thickness, colour
                layer.stroke_line(left, top + down, left + wide, top + down)
                layer.stroke_line(left + across, top, left + across, top + high)
            if high < 18 or wide < 26:
                continue
            name = "max" if side is Side.TOP else side.value
            for colour, by in ((_RIM, 1), ("#ffffff", 0)):
                layer.fill_style = colour
                layer.fill_text(name, left + 4 + by, top + 13 + by)

    # On the thread of the sections.

    def _arrived(self, layer: int, side: Side, patch: Patch) -> None:
        self._hands.post(lambda: self._put(layer, side, patch))

    def _fail(self, error: Exception) -> None:
        _log.error("The sections failed.", exc_info=error)
        text = str(error) if isinstance(error, MicrosamError) else f"({error.__class__.__name__}: {error})"
        self._session.say(f"The sections cannot be shown. {text}", error=True)


def _caption(image: Image, arrangement: Arrangement) -> str:
    planes, size = image.shape[0], image.voxel_size
    word = "frame" if image.axes[0] == "t" else "plane"
    texts = []
    if word == "plane" and (size is None or size.z is None):
        texts.append("The distance of planes is not known: each is as thick as a pixel is wide.")
    elif size is not None and size.z is not None and word == "plane":
        texts.append(f"Voxels of {size.z:g} × {size.y:g} × {size.x:g} {size.unit} (z, y, x).")
    if arrangement.sampled < planes:
        texts.append(f"Sections show {arrangement.sampled} of {planes} {word}s.")
    if planes > PROJECTED:
        texts.append(f"The brightest pixels are those of {PROJECTED} of {planes} {word}s.")
    return " ".join(texts)
