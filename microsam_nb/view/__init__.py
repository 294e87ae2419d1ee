"""The eyes: pixels and places computed, without a browser and without a widget."""

from .channels import Stain, compose
from .gestures import Click, Drag, Gesture, Press, action_for, gestures
from .keys import KEYS, TOOLS, Command, Key, command_for, help_rows, key_of
from .paint import Patch, encode_entries, encode_image
from .palette import colour_of, palette
from .pictures import Look, Pictures
from .raster import Raster
from .snapshot import snapshot
from .viewport import Viewport

__all__ = [
    "KEYS",
    "TOOLS",
    "Click",
    "Command",
    "Drag",
    "Gesture",
    "Key",
    "Look",
    "Patch",
    "Pictures",
    "Press",
    "Raster",
    "Stain",
    "Viewport",
    "action_for",
    "colour_of",
    "command_for",
    "compose",
    "encode_entries",
    "encode_image",
    "gestures",
    "help_rows",
    "key_of",
    "palette",
    "snapshot",
]
