"""The face: ipywidgets on ipycanvas, and small JavaScript layers."""

from .automatic import AutomaticPanel
from .canvas import Screen
from .classifying import ClassesPanel
from .closing import close_tree
from .contrast import ContrastPanel
from .hands import Hands
from .interaction import Interaction, gesture_of
from .key_help import KeyHelp
from .layers import LayersPanel
from .loop import Loop
from .model_menu import ModelChoice, ModelsPanel
from .objects import ObjectsPanel
from .ortho import OrthoPanel
from .panels import Panel, Panels
from .planes import PlaneBar
from .proofreading import ProofreadPanel
from .status import Status
from .still import Still
from .style import style_sheet
from .toolbar import Toolbar
from .tuning_plot import plot_tuning

__all__ = [
    "AutomaticPanel",
    "ClassesPanel",
    "ContrastPanel",
    "Hands",
    "Interaction",
    "KeyHelp",
    "LayersPanel",
    "Loop",
    "ModelChoice",
    "ModelsPanel",
    "ObjectsPanel",
    "OrthoPanel",
    "Panel",
    "Panels",
    "PlaneBar",
    "ProofreadPanel",
    "Screen",
    "Status",
    "Still",
    "Toolbar",
    "close_tree",
    "gesture_of",
    "plot_tuning",
    "style_sheet",
]
