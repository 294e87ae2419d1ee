"""The nouns: images, boxes, masks, prompts, candidates, labels, settings and errors.

Axis order is (plane, y, x) everywhere, channels last; pixel ``i`` covers the interval [i, i + 1).
Nothing here imports torch or a widget library.
"""

from .box import Box
from .candidates import Candidate
from .contrast import Contrast
from .errors import (
    FileError,
    ImageError,
    MicrosamError,
    ModelError,
    ProjectError,
    PromptError,
    SettingsError,
    StoreError,
)
from .image import Image
from .labelled import LabelledImage
from .labels import Delta, Labels, Overlap
from .mask import Mask
from .prompts import BoxPrompt, Point, Prompt
from .settings import Settings, option

__all__ = [
    "Box",
    "BoxPrompt",
    "Candidate",
    "Contrast",
    "Delta",
    "FileError",
    "Image",
    "ImageError",
    "LabelledImage",
    "Labels",
    "Mask",
    "MicrosamError",
    "ModelError",
    "Overlap",
    "Point",
    "ProjectError",
    "Prompt",
    "PromptError",
    "Settings",
    "SettingsError",
    "StoreError",
    "option",
]
