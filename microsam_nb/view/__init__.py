"""The eyes: pixels and places computed, without a browser and without a widget."""

from ..session.wording import worded
from .channels import Stain, compose
from .gestures import (
    Click,
    Corners,
    Drag,
    Gesture,
    Handle,
    Outline,
    Pan,
    Parts,
    Press,
    Removal,
    Shift,
    Stroke,
    action_for,
    gestures,
    handles,
)
from .keys import (
    KEYS,
    MOVIE,
    PROOFREADING,
    SERIES,
    TOOLS,
    VOLUME,
    Command,
    Key,
    command_for,
    help_rows,
    key_of,
    shortcuts,
)
from .paint import Patch, encode_entries, encode_image
from .palette import colour_of, palette
from .pictures import Look, Pictures
from .raster import Raster
from .snapshot import snapshot
from .viewport import Viewport

__all__ = [
    "KEYS",
    "MOVIE",
    "PROOFREADING",
    "SERIES",
    "TOOLS",
    "VOLUME",
    "Click",
    "Command",
    "Corners",
    "Drag",
    "Gesture",
    "Handle",
    "Key",
    "Outline",
    "Pan",
    "Parts",
    "Look",
    "Patch",
    "Pictures",
    "Press",
    "Removal",
    "Shift",
    "Stroke",
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
    "handles",
    "help_rows",
    "key_of",
    "palette",
    "shortcuts",
    "snapshot",
    "worded",
]
