"""A session with hands that work at once, and widgets that are gone after the test."""

from __future__ import annotations

import numpy as np
import pytest
from ipycanvas.canvas import _CanvasManager
from ipywidgets.widgets.widget import _instances
from page import Page

from microsam_nb.core import MicrosamError
from microsam_nb.session import LoadLabels, Session
from microsam_nb.widgets import Hands, close_tree


class Desk:
    """A session; ``hands`` do at once what they are told, and keep it in ``done``; ``panel`` is kept up to date."""

    def __init__(self, shape=(1, 96, 96), movie=False):
        self.session = Session(shape, movie=movie)
        self.done = []
        self.panel = None
        self.hands = Hands(self.act, self.handle, lambda event: event(), self.go_to, self.look_at, self.close_up)
        self.session.changed.connect(self.show)

    def act(self, command):
        self.done.append(command)

    def handle(self, action):
        self.done.append(action)
        try:
            self.session.handle(action)
        except MicrosamError as error:
            self.session.say(str(error), error=True)

    def go_to(self, label):
        self.done.append(("go to", label))

    def look_at(self, plane, y, x):
        self.done.append(("look at", plane, y, x))

    def close_up(self, where):
        self.done.append(("close up", where))

    def show(self, change):
        if self.panel is not None:
            self.panel.show(change)

    def fill(self, labels):
        self.session.handle(LoadLabels.of(np.asarray(labels)))


@pytest.fixture
def desk():
    """Make a Desk: ``desk()``, ``desk((1, h, w))`` or ``desk((t, h, w), movie=True)``.

    Every widget made in the test must be closed by its panel.
    """
    before = set(_instances)
    made = []

    def make(shape=(1, 96, 96), *, movie=False):
        made.append(Desk(shape, movie))
        return made[-1]

    yield make
    for one in made:
        if one.panel is not None:
            one.panel.close()
            close_tree(one.panel.box)
    assert set(_instances) <= before, "a panel leaves widgets behind"


@pytest.fixture
def page(monkeypatch):
    """A page that every canvas command reaches at once."""
    made = Page()

    def send(self, commands, buffers=()):
        made.receive(commands, buffers)

    monkeypatch.setattr(_CanvasManager, "_send_custom", send)
    return made
