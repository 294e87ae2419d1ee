"""What all annotators are made of: a session, its worker, and the widgets around a screen."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
from numpy.typing import NDArray

from ..core import Image
from ..files.labels import write_labels
from ..session import (
    Change,
    Project,
    Runner,
    Session,
)
from ..session.runner import Service
from ..view import Command
from ..widgets import Interaction, Loop, Screen, Status, Toolbar, close_tree
from .controls import Controls

_log = logging.getLogger("microsam_nb")


class Annotator:
    """An annotation on screen; show it as the last line of a cell.

    ``labels`` are the committed objects, ``session`` takes actions from scripts.
    """

    def __init__(self, image: Image, service: Service, project: Project | None, note: str = "") -> None:
        self.image, self.project = image, project
        self.session = Session(image.shape, project)
        self._closed = False
        self._status = Status(note)
        self._toolbar = Toolbar(lambda command: self._controls.act(command))
        width, height = _size(image)
        self._screen = Screen(image, self.session, width, height)
        self._interaction = Interaction(self._screen.canvas)
        self.widget = widgets.VBox([self._toolbar.box, self._status.box, self._screen.box, self._interaction])
        self.widget.add_class("msam-annotator")
        self._loop = Loop(self._paint, self._failed)
        self.session.changed.connect(self._loop.repaint)
        extra: dict[Command, Callable[[], object]] = {Command.SAVE: self.save, Command.HELP: self._status.toggle_help}
        self._controls = Controls(self.session, self._screen, self._interaction, self._loop, extra)
        self.session.say("Loading the model ...")
        if project is not None:
            project.closed.connect(lambda _: self.close())
        self._runner = Runner(self.session, service)
        self._loop.repaint(Change(tool=True, notice=True), True)

    @property
    def labels(self) -> NDArray[np.uint32]:
        """A copy of the committed objects, uint32 (y, x), 0 = background; (plane, y, x) for several planes."""
        volume = self.session.snapshot()
        return volume[0] if len(volume) == 1 and self.image.axes[0] == "y" else volume

    def save(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the labels as TIFF and return the path; by default NAME-HASH_labels.tif in the working folder."""
        where = Path(path) if path is not None else Path(f"{stem(self.image)}_labels.tif")
        labels = self.labels
        write_labels(where, labels)
        self.session.say(f"{np.count_nonzero(np.unique(labels))} objects are saved in {where}.")
        return where

    def wait(self, timeout: float = 60.0) -> None:
        """Return when the model has answered and the screen is painted. Raises TimeoutError."""
        end = time.monotonic() + timeout
        while True:
            for one in (self._loop, self._runner, self._loop):
                one.wait(max(0.0, end - time.monotonic()))
            if self._controls.idle and self._loop.idle and self._runner.idle:
                return

    def close(self) -> None:
        """Stop the threads, close the widgets and release the project."""
        if self._closed:
            return
        self._closed = True
        self._runner.close()
        self._loop.close()
        self.session.close()
        self._screen.close()
        close_tree(self.widget)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.widget._repr_mimebundle_(**kwargs)

    def _failed(self, error: Exception) -> None:
        _log.error("The screen failed.", exc_info=error)
        self.session.say(
            f"Something went wrong on screen ({error.__class__.__name__}: {error}). Your objects are safe; "
            "run the cell again.",
            error=True,
        )

    def _paint(self, change: Change, everything: bool) -> None:
        session = self.session
        if everything or change.view:
            self._interaction.announce(self._screen.viewport, self._controls.answers)
        self._screen.paint(change, everything=everything)
        browsing = session.state.browsing
        self._interaction.tool, self._interaction.positive = browsing.tool.value, browsing.positive
        self._toolbar.show(
            browsing,
            can_undo=session.can_undo,
            can_redo=session.can_redo,
            prompted=bool(session.state.prompts),
            proposed=session.state.proposal is not None or session.awaiting is not None,
        )
        self._status.show(session.notice, busy=session.awaiting is not None)


def stem(image: Image) -> str:
    """Return a file name for an image: its name and the start of its hash, so that no two images share it."""
    plain = re.sub(r"[^\w.-]+", "_", image.name).strip("._") or "image"
    return f"{plain}-{image.fingerprint()[:8]}"


def _size(image: Image) -> tuple[int, int]:
    """Return width and height of the screen in CSS pixels: 900 wide, as high as the image needs within limits."""
    _, height, width = image.shape
    return 900, int(min(max(900 * height / width, 320), 640))
