"""Everything that can happen in a session, one class each."""

from .answering import Embedded, Failed, Glimpsed, ModelLoaded, Predicted, Working
from .base import Action, from_json, to_json
from .browsing import (
    ColourByClass,
    Select,
    SetBatched,
    SetBrush,
    SetChannels,
    SetContours,
    SetLayer,
    SetLive,
    SetOverlap,
    SetPlane,
    SetPolarity,
    SetTool,
    SetView,
    ShowAsModel,
    UseModel,
)
from .checking import Check, SetClass
from .classifying import AcceptGuesses, Classified, ClassifyAlong, SetClasses
from .committing import Commit
from .editing import Redo, Undo
from .extending import Extended, ExtendObject
from .finding import AcceptCandidates, FindAll, FitAll, RejectCandidates, Sketched, Suggested, Surveyed
from .former import OnlyBox
from .linking import LinkAll, Linked, LoadTracks
from .objects import Delete, DeleteIn, Describe, LoadLabels, Merge, Split
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
from .proofreading import DeleteInside, Relabel, SplitAt
from .reshaping import FillHoles, Grow, KeepLargest, Smooth
from .restoring import Restored
from .stopping import Cancel, StopCarrying
from .tracking import BeginDaughters, CutTrack, EndDaughters, EndTrack, JoinTracks, Orphan, Reparent, SwapTracks

__all__ = [
    "BeginDaughters",
    "CutTrack",
    "EndDaughters",
    "EndTrack",
    "JoinTracks",
    "LinkAll",
    "Linked",
    "LoadTracks",
    "Orphan",
    "Reparent",
    "SwapTracks",
    "AcceptCandidates",
    "AcceptGuesses",
    "Classified",
    "ClassifyAlong",
    "SetClasses",
    "Action",
    "AddBox",
    "AddPoint",
    "AddPrompt",
    "Cancel",
    "Check",
    "Surveyed",
    "Clear",
    "ColourByClass",
    "Commit",
    "Delete",
    "DeleteIn",
    "DeleteInside",
    "Describe",
    "Embedded",
    "Erase",
    "ExtendObject",
    "Extended",
    "Failed",
    "Glimpsed",
    "Fill",
    "FillHoles",
    "FindAll",
    "FitAll",
    "Grow",
    "Improve",
    "KeepLargest",
    "LoadLabels",
    "Merge",
    "ModelLoaded",
    "OnlyBox",
    "Paint",
    "Predicted",
    "Redo",
    "RejectCandidates",
    "Relabel",
    "RemovePrompt",
    "ReplacePrompt",
    "Restored",
    "Segment",
    "Select",
    "SetBatched",
    "SetBrush",
    "SetChannels",
    "SetClass",
    "SetContours",
    "SetLayer",
    "SetLive",
    "SetOverlap",
    "SetPlane",
    "SetPolarity",
    "SetTool",
    "SetView",
    "ShowAsModel",
    "Sketched",
    "Smooth",
    "Split",
    "SplitAt",
    "StopCarrying",
    "Suggest",
    "Suggested",
    "TakeCandidate",
    "Undo",
    "UseModel",
    "Working",
    "from_json",
    "to_json",
]
