"""The nouns: images, boxes, masks, prompts, candidates, labels, lineages, settings and errors.

Axis order is (plane, y, x) everywhere, channels last; pixel ``i`` covers the interval [i, i + 1).
Nothing here imports torch or a widget library.
"""

from .box import Box
from .candidates import Candidate
from .contrast import Contrast
from .errors import (
    ClassifierError,
    FileError,
    ImageError,
    LabelError,
    LineageError,
    MicrosamError,
    ModelError,
    ProjectError,
    ProjectInUseError,
    PromptError,
    SettingsError,
    StoreError,
)
from .image import Image
from .labelled import LabelledImage
from .labels import Delta, Labels, Overlap
from .lineage import Lineage
from .mask import Mask
from .objects import Note, ObjectInfo
from .prompts import (
    BoxPrompt,
    Ellipse,
    MaskPrompt,
    Point,
    Polygon,
    Prompt,
    Scribble,
    Stop,
    prompt_from_json,
    prompt_to_json,
)
from .raster import rasterise
from .sections import Section
from .settings import Option, Settings, option
from .tracks import Tracks
from .voxels import VoxelSize

__all__ = [
    "Box",
    "BoxPrompt",
    "Candidate",
    "ClassifierError",
    "Contrast",
    "Delta",
    "Ellipse",
    "FileError",
    "Image",
    "ImageError",
    "LabelError",
    "LabelledImage",
    "Labels",
    "Lineage",
    "LineageError",
    "Mask",
    "MaskPrompt",
    "MicrosamError",
    "ModelError",
    "Note",
    "ObjectInfo",
    "Option",
    "Overlap",
    "Point",
    "Polygon",
    "ProjectError",
    "ProjectInUseError",
    "Prompt",
    "PromptError",
    "Scribble",
    "Section",
    "Settings",
    "SettingsError",
    "Stop",
    "StoreError",
    "Tracks",
    "VoxelSize",
    "option",
    "prompt_from_json",
    "prompt_to_json",
    "rasterise",
]
