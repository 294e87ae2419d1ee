"""The eyes: pixels and places computed, without a browser and without a widget."""

from .gestures import (
    Click,
    Corners,
    Drag,
    Gesture,
    Handle,
    Outline,
    Pan,
    Press,
    Removal,
    Shift,
    Stroke,
    action_for,
    gestures,
    handles,
)
from .keys import KEYS, TOOLS, Command, Key, command_for, help_rows, key_of
from .paint import Patch, encode_image, label_patch, mask_patch, outline
from .palette import colour_of, palette
from .viewport import Viewport

__all__ = [
    "KEYS",
    "TOOLS",
    "Click",
    "Command",
    "Corners",
    "Drag",
    "Gesture",
    "Handle",
    "Key",
    "Outline",
    "Pan",
    "Patch",
    "Press",
    "Removal",
    "Shift",
    "Stroke",
    "Viewport",
    "action_for",
    "colour_of",
    "command_for",
    "encode_image",
    "gestures",
    "handles",
    "help_rows",
    "key_of",
    "label_patch",
    "mask_patch",
    "outline",
    "palette",
]
