"""The eyes: pixels and places computed, without a browser and without a widget."""

from .gestures import Click, Drag, Gesture, Press, action_for, gestures
from .keys import KEYS, TOOLS, Command, Key, command_for, help_rows, key_of
from .paint import Patch, encode_image, label_patch, mask_patch, outline
from .palette import colour_of, palette
from .viewport import Viewport

__all__ = [
    "KEYS",
    "TOOLS",
    "Click",
    "Command",
    "Drag",
    "Gesture",
    "Key",
    "Patch",
    "Press",
    "Viewport",
    "action_for",
    "colour_of",
    "command_for",
    "encode_image",
    "gestures",
    "help_rows",
    "key_of",
    "label_patch",
    "mask_patch",
    "outline",
    "palette",
]
