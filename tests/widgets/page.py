"""A page without a browser: it does what the canvas commands say, with numpy, and fails where a browser would hang."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field

import numpy as np
from ipycanvas import Canvas
from ipycanvas.canvas import COMMANDS
from ipywidgets.widgets.widget import _instances
from PIL import Image as Picture

NAMES = {number: name for name, number in COMMANDS.items()}
ATTRS = Canvas.ATTRS
#: dtypes that the browser's side knows.
KNOWN = {"float32", "float64", "int8", "int16", "int32", "uint8", "uint16", "uint32"}


@dataclass
class Surface:
    """One canvas: straight RGBA, float64 (h, w, 4), and its drawing state."""

    pixels: np.ndarray
    alpha: float = 1.0
    mode: str = "source-over"
    transform: tuple[float, ...] = (1, 0, 0, 1, 0, 0)


@dataclass
class Page:
    """All canvases of a page, and what was sent to it."""

    surfaces: dict[str, Surface] = field(default_factory=dict)
    messages: list[list] = field(default_factory=list)
    #: Bytes of every picture, each of which the tab keeps.
    pictures: list[int] = field(default_factory=list)
    sent: int = 0

    def receive(self, commands, buffers=()):
        commands = commands if isinstance(commands[0], list) else [commands]
        self.messages.append(commands)
        self.sent += sum(len(memoryview(b).cast("B")) for b in buffers)
        buffers = list(buffers)
        current = None
        for command in commands:
            name, args = NAMES[command[0]], command[1] if len(command) > 1 else []
            if name == "switchCanvas":
                current = args[0].removeprefix("IPY_MODEL_")
                continue
            assert current is not None, "the page does not know which canvas is meant"
            count = command[2] if len(command) > 2 else 0
            mine, buffers = buffers[:count], buffers[count:]
            self._check(name, args)
            getattr(self, f"_{name}", lambda *_: None)(self.surface(current), args, mine)

    def surface(self, canvas):
        """The surface of a canvas, or of the id of one; blank again when its size has changed."""
        widget = _instances[canvas] if isinstance(canvas, str) else canvas
        shape = (widget.height, widget.width)
        found = self.surfaces.get(widget.model_id)
        if found is None or found.pixels.shape[:2] != shape:
            found = self.surfaces[widget.model_id] = Surface(np.zeros((*shape, 4)))
        return found

    def pixels(self, canvas):
        """RGBA of a canvas, uint8."""
        return np.rint(self.surface(canvas).pixels).astype(np.uint8)

    def reload(self):
        """Another page: every canvas is blank."""
        self.surfaces.clear()

    def names(self, message):
        return [NAMES[c[0]] for c in message]

    def _check(self, name, args):
        for one in args:
            if isinstance(one, dict):
                assert one["dtype"] in KNOWN, f"{name}: unknown dtype {one['dtype']}"
            elif isinstance(one, (int, float)):
                assert type(one) in (int, float, bool), f"{name}: {type(one)} cannot be sent"
                assert math.isfinite(one), f"{name}: {one} is no JSON"

    def _set(self, surface, args, _):
        number, value = args
        if number == ATTRS["global_alpha"]:
            surface.alpha = value
        elif number == ATTRS["global_composite_operation"]:
            surface.mode = value

    def _setTransform(self, surface, args, _):
        surface.transform = tuple(args)

    def _resetTransform(self, surface, args, _):
        surface.transform = (1, 0, 0, 1, 0, 0)

    def _clearRect(self, surface, args, _):
        x, y, width, height = args
        assert surface.transform == (1, 0, 0, 1, 0, 0)
        surface.pixels[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)] = 0

    def _putImageData(self, surface, args, buffers):
        assert surface.transform == (1, 0, 0, 1, 0, 0)
        data = bytes(buffers[0])
        self.pictures.append(len(data))
        self._draw(surface, np.asarray(Picture.open(io.BytesIO(data)).convert("RGBA"), np.float64), *args)

    def _drawImage(self, surface, args, _):
        source = self.surface(args[0].removeprefix("IPY_MODEL_"))
        self._draw(surface, source.pixels.copy(), args[1], args[2])

    def _draw(self, surface, source, x, y):
        """Draw with the transform, each pixel from the nearest one."""
        scale, _, _, _, right, down = surface.transform
        height, width = surface.pixels.shape[:2]
        rows = np.floor((np.arange(height) + 0.5 - down) / scale - y).astype(int)
        columns = np.floor((np.arange(width) + 0.5 - right) / scale - x).astype(int)
        ys, xs = (rows >= 0) & (rows < len(source)), (columns >= 0) & (columns < source.shape[1])
        new = np.zeros((height, width, 4))
        new[np.ix_(ys, xs)] = source[np.ix_(rows[ys], columns[xs])]
        if surface.mode == "copy":
            surface.pixels[:] = new
            return
        assert surface.mode == "source-over"
        above = new[..., 3:] / 255 * surface.alpha
        below = surface.pixels[..., 3:] / 255
        total = above + below * (1 - above)
        with np.errstate(invalid="ignore", divide="ignore"):
            mixed = (new[..., :3] * above + surface.pixels[..., :3] * below * (1 - above)) / total
        surface.pixels[..., :3] = np.where(total > 0, mixed, 0)
        surface.pixels[..., 3:] = total * 255

    def _fillCircles(self, surface, args, buffers):
        assert all(isinstance(a, dict) or a >= 0 for a in args), "a negative radius throws"
