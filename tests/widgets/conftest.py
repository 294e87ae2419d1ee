import pytest
from ipycanvas.canvas import _CanvasManager
from page import Page


@pytest.fixture
def page(monkeypatch):
    """A page that every canvas command reaches at once."""
    made = Page()
    monkeypatch.setattr(
        _CanvasManager, "_send_custom", lambda self, commands, buffers=(): made.receive(commands, buffers)
    )
    return made
