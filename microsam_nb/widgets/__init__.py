"""The face: ipywidgets on ipycanvas, and one small JavaScript layer."""

from .canvas import Screen
from .closing import close_tree
from .interaction import Interaction, gesture_of
from .loop import Loop
from .status import Status
from .toolbar import Toolbar

__all__ = ["Interaction", "Loop", "Screen", "Status", "Toolbar", "close_tree", "gesture_of"]
