"""Everything that can happen in a session, one class each."""

from .answering import Embedded, Failed, Glimpsed, ModelLoaded, Predicted, Working
from .base import Action, from_json, to_json
from .browsing import (
    Cancel,
    Select,
    SetBatched,
    SetBrush,
    SetChannels,
    SetContours,
    SetLayer,
    SetLive,
    SetOverlap,
    SetPolarity,
    SetTool,
    SetView,
    ShowAsModel,
    UseModel,
)
from .committing import Commit
from .editing import Redo, Undo
from .former import OnlyBox
from .objects import Delete, Describe, LoadLabels, Merge, Split
from .painting import Erase, Fill, Paint
from .prompting import (
    AddBox,
    AddPoint,
    AddPrompt,
    Clear,
    Improve,
    RemovePrompt,
    ReplacePrompt,
    Segment,
    Suggest,
    TakeCandidate,
)
from .restoring import Restored

__all__ = [
    "Action",
    "AddBox",
    "AddPoint",
    "AddPrompt",
    "Cancel",
    "Clear",
    "Commit",
    "Delete",
    "Describe",
    "Embedded",
    "Erase",
    "Failed",
    "Glimpsed",
    "Fill",
    "Improve",
    "LoadLabels",
    "Merge",
    "ModelLoaded",
    "OnlyBox",
    "Paint",
    "Predicted",
    "Redo",
    "RemovePrompt",
    "ReplacePrompt",
    "Restored",
    "Segment",
    "Select",
    "SetBatched",
    "SetBrush",
    "SetChannels",
    "SetContours",
    "SetLayer",
    "SetLive",
    "SetOverlap",
    "SetPolarity",
    "SetTool",
    "SetView",
    "ShowAsModel",
    "Split",
    "Suggest",
    "TakeCandidate",
    "Undo",
    "UseModel",
    "Working",
    "from_json",
    "to_json",
]
