"""Which part of a plane is visible, and where on the screen. Here (x, y) and (y, x) meet."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..session import View

#: Screen pixels per image pixel at the highest zoom.
CLOSEST = 60.0


@dataclass(frozen=True, slots=True)
class Viewport:
    """A screen of ``width`` x ``height`` pixels on a plane of ``shape`` (height, width).

    ``y``, ``x`` are the image coordinates of the screen's corner, ``zoom`` screen pixels per image pixel.
    """

    width: int
    height: int
    shape: tuple[int, int]
    y: float
    x: float
    zoom: float

    @classmethod
    def fit(cls, width: int, height: int, shape: tuple[int, int]) -> Viewport:
        """Show the whole plane, centred."""
        zoom = min(height / shape[0], width / shape[1])
        return cls(width, height, shape, (shape[0] - height / zoom) / 2, (shape[1] - width / zoom) / 2, zoom)

    @classmethod
    def of(cls, width: int, height: int, shape: tuple[int, int], view: View | None) -> Viewport:
        """Show ``view``, or the whole plane for None."""
        whole = cls.fit(width, height, shape)
        return whole if view is None else replace(whole, y=view.y, x=view.x, zoom=view.zoom).bounded()

    def bounded(self) -> Viewport:
        """Return the nearest viewport with a sensible zoom and a part of the plane in its middle."""
        farthest, closest = self.limits
        zoom = min(max(self.zoom, farthest), closest)
        half_y, half_x = self.height / zoom / 2, self.width / zoom / 2
        y = min(max(self.y + self.height / self.zoom / 2, 0.0), float(self.shape[0])) - half_y
        x = min(max(self.x + self.width / self.zoom / 2, 0.0), float(self.shape[1])) - half_x
        return replace(self, y=y, x=x, zoom=zoom)

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest zoom: half of what shows the whole plane, and single pixels or the whole plane."""
        whole = min(self.height / self.shape[0], self.width / self.shape[1])
        return whole / 2, max(CLOSEST, whole)

    def zoomed(self, factor: float, row: float | None = None, column: float | None = None) -> Viewport:
        """Zoom around a screen position; without one, around the middle of the screen."""
        row = self.height / 2 if row is None else row
        column = self.width / 2 if column is None else column
        y, x = self.to_image(row, column)
        zoom = min(max(self.zoom * factor, 1e-6), self.limits[1])
        return replace(self, zoom=zoom, y=y - row / zoom, x=x - column / zoom).bounded()

    def to_image(self, row: float, column: float) -> tuple[float, float]:
        """Return the image (y, x) at a screen position."""
        return self.y + row / self.zoom, self.x + column / self.zoom

    def to_screen(self, y: float, x: float) -> tuple[float, float]:
        """Return the screen (row, column) of an image position."""
        return (y - self.y) * self.zoom, (x - self.x) * self.zoom

    @property
    def visible(self) -> tuple[float, float, float, float]:
        """The part of the plane on screen: y0, x0, y1, x1 in image coordinates."""
        y1, x1 = self.to_image(self.height, self.width)
        return max(0.0, self.y), max(0.0, self.x), min(float(self.shape[0]), y1), min(float(self.shape[1]), x1)

    @property
    def view(self) -> View:
        return View(self.y, self.x, self.zoom)
