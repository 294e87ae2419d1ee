"""The screen: what a session holds, on a canvas. Pixels travel once, views and edits as small commands."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import ipywidgets as widgets
from ipycanvas import Canvas, MultiCanvas

from ..core import Box, Candidate, Image, Mask, MaskPrompt, MicrosamError, Prompt
from ..session import Change, Layers, Session
from ..view import Look, Pictures, Viewport, snapshot
from ..view.classes import Classes
from ..view.differences import CHANGES, Comparison
from ..view.marks import marks
from ..view.overlays import (
    AFTER,
    BEFORE,
    CANDIDATES,
    MASKS,
    PROPOSALS,
    Source,
    Style,
    edge_opacity,
    label_source,
    mask_source,
    neighbour_source,
    objects,
)
from ..view.trails import Trails
from .batch import batch, number
from .closing import close_tree
from .overlay import Overlay
from .picture import Picture
from .prompts import draw_marks

_log = logging.getLogger("microsam_nb")

_IMAGE, _OBJECTS, _PROMPTS, _TOP = range(4)
_MANY = 64  # boxes that are drawn one by one


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """All that decides about what is on screen, but for the pixels of image and labels."""

    view: Viewport
    density: float
    look: Look
    compared: Comparison | None
    classes: Classes | None
    layers: Layers
    selected: tuple[int, ...]
    target: int
    proposals: tuple[Candidate, ...]
    candidates: tuple[Candidate, ...]
    prompts: tuple[Prompt, ...]


class Screen:
    """Draws a session on a MultiCanvas: image, objects and proposals, prompts; the top layer stays clear.

    Image and objects lie on hidden canvases at their own resolution, so that another view costs a few commands.
    """

    def __init__(self, image: Image, session: Session, width: int, height: int) -> None:
        self._session = session
        self._image = image
        self._plane_size = image.shape[1:]
        self._lock = threading.RLock()
        self._density = 1.0
        #: What the browser shows; None when that is not known.
        self._drawn: _Scene | None = None
        self._new_page = True
        #: Whether any page has ever shown the screen.
        self.opened = False
        #: What the masks of the state look like on a raster, with the tuple that they were taken from, and the plane.
        self._sources: dict[str, tuple[object, int, Source]] = {}
        self.pictures = Pictures(image)
        self._picture = Picture(self.pictures, self._plane_size, self._lock, self._arrived, self._failed)
        self._objects, self._candidates, self._proposals, self._masks, self._changes = (Overlay() for _ in range(5))
        #: What became of objects, while that is to be seen.
        self._compared: Comparison | None = None
        #: Of volumes: what lies in the planes before and after the one that is shown.
        self._neighbours = (Overlay(), Overlay()) if image.shape[0] > 1 else ()
        #: Of movies: where picked tracks come from; shown with those.
        self._trails = Trails(session) if session.movie else None
        self._beside: dict[Style, tuple[int, Source | None]] = {}
        self._overlays = (
            self._objects,
            self._candidates,
            self._proposals,
            self._masks,
            self._changes,
            *self._neighbours,
        )
        self.canvas = MultiCanvas(4, width=width, height=height)
        self.canvas.on_client_ready(self._page_opened)
        self.canvas.layout.width = self.canvas.layout.height = "100%"
        self.box = widgets.Box(
            [self.canvas],
            layout=widgets.Layout(
                width=f"{width}px", max_width="100%", height=f"{height}px", max_height="65vh", overflow="hidden"
            ),
        )
        self.box.add_class("msam-canvas")

    @property
    def viewport(self) -> Viewport:
        """The visible part of the plane, in pixels of the canvas."""
        return Viewport.of(self.canvas.width, self.canvas.height, self._plane_size, self._session.state.browsing.view)

    @property
    def idle(self) -> bool:
        """Whether no part of the image is still to come."""
        return self._picture.idle

    def wait(self, timeout: float = 30.0) -> None:
        """Return when all of the image that can be seen is drawn. Raises TimeoutError."""
        if not self._picture.wait(timeout):
            raise TimeoutError(f"The image is still being read after {timeout:g} s; wait longer.")

    def resize(self, width: float, height: float, density: float) -> bool:
        """Take the size in CSS pixels and the device pixels per CSS pixel; return whether anything changed.

        What was drawn is gone then: paint a change of the view.
        """
        density = min(max(number(density), 0.5), 4.0)
        size = (max(50, round(number(width) * density)), max(50, round(number(height) * density)))
        with self._lock, batch():
            if size == (self.canvas.width, self.canvas.height) and density == self._density:
                return False
            self._density = density
            self.canvas.width, self.canvas.height = size
        return True

    def paint(self, change: Change, *, everything: bool = False) -> None:
        """Draw what changed as one message; with ``everything``, all that is visible.

        Pixels are sent again only to a page that was opened since they were.
        """
        self._picture.prepare(Look.of(self._session.state.browsing))
        with self._lock:
            now, old = self._scene(), None if everything else self._drawn
            empty, self._new_page = self._new_page and old is None, self._new_page and old is not None
            try:
                with batch():
                    self._paint(now, old, change, empty=empty)
            except BaseException:
                # Nothing was sent: what the browser holds is not what was meant to be there.
                self._drawn, self._new_page = None, True
                raise
            self._drawn = now

    def compare(self, comparison: Comparison | None) -> None:
        """Show what became of objects, with the objects themselves as outlines; None: no longer. Paint layers then."""
        self._compared = comparison

    def snapshot(self, width: int = 900) -> bytes:
        """Return a PNG of the whole plane with all that lies on it, without asking the browser."""
        return snapshot(self._image, self._session, width, self.pictures)

    def close(self) -> None:
        self._picture.close()
        sheets = [self._picture.overview, self._picture.detail]
        sheets += [sheet for one in self._overlays for sheet in (one.fill, one.lines)]
        for one in (*(sheet.canvas for sheet in sheets), *(self.canvas[i] for i in range(4))):
            close_tree(one)
        close_tree(self.box)

    def _scene(self) -> _Scene:
        state = self._session.state
        return _Scene(
            view=self.viewport,
            density=self._density,
            look=Look.of(state.browsing),
            compared=self._compared,
            classes=Classes.shown(self._session) if state.browsing.layers.by_class else None,
            layers=state.browsing.layers,
            selected=self._session.selected,
            target=state.target,
            proposals=self._session.shown,
            candidates=self._session.suggested,
            prompts=state.prompts,
        )

    def _page_opened(self) -> None:
        self._new_page = self.opened = True

    def _paint(self, now: _Scene, old: _Scene | None, change: Change, *, empty: bool) -> None:
        if empty:
            for overlay in self._overlays:
                overlay.forget()
        before = self._drawn if old is None and not empty else old
        moved = old is None or now.view != old.view or now.density != old.density
        layered = old is None or now.layers != old.layers
        pictured = self._picture.look(now.look, now.view, everything=empty)
        if before is not None and now.look.plane != before.look.plane:
            moved = True
            for overlay in self._overlays:
                overlay.empty()
        drawn = self._update(now, before, change.labels)
        if moved or pictured or old is None or now.layers.image != old.layers.image:
            self._show_image(now)
        if moved or layered or drawn:
            self._show_objects(now)
        prompted = moved or layered or old is None or now.prompts is not old.prompts
        if self._trails is not None:
            if change.labels is not None or old is None:
                self._trails.forget()
            prompted = prompted or old is None or now.selected != old.selected or change.labels is not None
        if prompted:
            self._show_prompts(now)
        told = change.view or change.prompts or change.proposal or change.candidates or change.layers or change.labels
        if prompted or pictured or drawn or told:
            # The browser waits for this layer to know that a new picture is complete.
            self.canvas[_TOP].clear_rect(0, 0, 1, 1)

    def _update(self, now: _Scene, old: _Scene | None, written: Box | None) -> bool:
        """Bring the overlays up to date; return whether any of them changed."""
        plane, layers = now.look.plane, now.layers
        drawn = False
        drawn |= self._update_changes(now, old)
        if layers.objects.visible and any(True for _ in self._session.labels):
            changed = [] if old is None else [now.target, old.target] if now.target != old.target else []
            picked = [] if old is None else sorted(set(now.selected) ^ set(old.selected))
            boxes = [] if written is None or not written.start[0] <= plane < written.stop[0] else [written]
            source = label_source(self._session.labels, plane, now.target)
            style, marked = objects(layers.contours or now.compared is not None), now.selected
            if now.classes is not None:
                source, style = now.classes.source(source), now.classes.style(style)
                marked = tuple(now.classes.number(label) for label in marked)
            if old is not None and now.classes != old.classes:
                drawn |= self._objects.empty()
            drawn |= self._objects.update(
                now.view, source, style, now.density, boxes + self._boxes(changed), self._boxes(picked), marked
            )
        else:
            drawn |= self._objects.empty()
        for overlay, layer, style, name in (
            (self._candidates, layers.candidates, CANDIDATES, "candidates"),
            (self._proposals, layers.proposal, PROPOSALS, "proposals"),
            (self._masks, layers.prompts, MASKS, "prompts"),
        ):
            given, before = getattr(now, name), () if old is None else getattr(old, name)
            masks = _masks(given)
            if not layer.visible or not masks:
                drawn |= overlay.empty()
                continue
            kept = self._sources.get(name)
            if kept is None or kept[0] is not given or kept[1] != plane:
                kept = self._sources[name] = given, plane, mask_source(masks, plane)
            boxes = [] if given is before else _changed(masks, _masks(before))
            drawn |= overlay.update(now.view, kept[2], style, now.density, boxes, ())
        for overlay, style, step in zip(self._neighbours, (BEFORE, AFTER), (-1, 1), strict=False):
            drawn |= self._update_neighbour(overlay, style, plane + step, now, old, written)
        return drawn

    def _update_changes(self, now: _Scene, old: _Scene | None) -> bool:
        """Draw what became of objects; return whether anything changed."""
        stale = old is None or now.compared is not old.compared
        drawn = self._changes.empty() if stale or now.compared is None else False
        if now.compared is None:
            return drawn
        source = now.compared.source(now.look.plane)
        return self._changes.update(now.view, source, CHANGES, now.density, [], []) or drawn

    def _update_neighbour(
        self, overlay: Overlay, style: Style, plane: int, now: _Scene, old: _Scene | None, written: Box | None
    ) -> bool:
        """Draw the outlines of a plane that is not shown; return whether anything changed."""
        stale = old is None or now.proposals is not old.proposals or now.selected != old.selected
        kept = self._beside.get(style)
        if kept is None or kept[0] != plane or stale or (written is not None and now.selected):
            source = neighbour_source(self._session.labels, plane, now.selected, _masks(now.proposals))
            kept, stale = (plane, source), True
            self._beside[style] = kept
        source = kept[1] if now.layers.neighbours.visible else None
        drawn = overlay.empty() if stale or source is None else False
        return drawn if source is None else overlay.update(now.view, source, style, now.density, [], []) or drawn

    def _boxes(self, labels: list[int]) -> list[Box]:
        found = []
        for label in labels:
            try:
                found.append(self._session.box(label))
            except (MicrosamError, KeyError):
                continue  # it is gone: what was written tells where
        return _together(found)

    def _show_image(self, now: _Scene) -> None:
        layer = self._cleared(_IMAGE, now.view)
        if now.layers.image.visible:
            self._picture.show(layer, now.view, now.layers.image.opacity)

    def _show_objects(self, now: _Scene) -> None:
        layer, layers = self._cleared(_OBJECTS, now.view), now.layers
        self._changes.show(layer, now.view, layers.objects.opacity)
        self._objects.show(layer, now.view, layers.objects.opacity)
        self._candidates.show(layer, now.view, layers.candidates.opacity)
        self._proposals.show(layer, now.view, layers.proposal.opacity)
        for one in self._neighbours:
            one.show(layer, now.view, layers.neighbours.opacity)
        self._masks.show(layer, now.view, layers.prompts.opacity)

    def _show_prompts(self, now: _Scene) -> None:
        layer = self._cleared(_PROMPTS, now.view)
        if self._trails is not None and now.layers.neighbours.visible:
            lines = self._trails.lines(now.selected, now.look.plane)
            draw_marks(layer, lines, now.view, now.density, edge_opacity(now.layers.neighbours.opacity))
        if now.layers.prompts.visible:
            shown = marks(now.prompts, now.look.plane)
            draw_marks(layer, shown, now.view, now.density, now.layers.prompts.opacity)

    def _cleared(self, number_: int, view: Viewport) -> Canvas:
        layer = self.canvas[number_]
        layer.clear_rect(0, 0, view.width, view.height)
        return layer

    def _arrived(self) -> None:
        # The view that is on screen: a newer one comes with its own picture, and the browser is told when.
        if self._drawn is not None:
            self._show_image(self._drawn)

    def _failed(self, error: Exception) -> None:
        _log.error("The picture of the image failed.", exc_info=error)
        text = str(error) if isinstance(error, MicrosamError) else f"({error.__class__.__name__}: {error})"
        self._session.say(f"A part of the image cannot be shown. {text}", error=True)


def _masks(found: tuple[Candidate, ...] | tuple[Prompt, ...]) -> tuple[Mask, ...]:
    """Return the masks of candidates, or those among prompts."""
    return tuple(one.mask for one in found if isinstance(one, Candidate | MaskPrompt))


def _changed(now: Sequence[Mask], before: Sequence[Mask]) -> list[Box]:
    """Return where masks came or went."""
    ours, theirs = {id(mask): mask for mask in now}, {id(mask): mask for mask in before}
    return _together([{**ours, **theirs}[one].box for one in ours.keys() ^ theirs.keys()])


def _together(boxes: list[Box]) -> list[Box]:
    """Return the boxes, or one around them where they are many."""
    if len(boxes) <= _MANY:
        return boxes
    around = boxes[0]
    for box in boxes[1:]:
        around = around.union(box)
    return [around]
