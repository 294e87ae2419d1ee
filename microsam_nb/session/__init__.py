"""The memory: everything the user and the engine did, undoable, on disk. No torch, no widget."""

from .actions import (
    Action,
    AddBox,
    AddPoint,
    AddPrompt,
    Clear,
    Commit,
    Embedded,
    Failed,
    Predicted,
    Redo,
    RemovePrompt,
    SetPolarity,
    SetTool,
    SetView,
    Undo,
)
from .project import Project
from .requests import Embed, Predict, Request
from .runner import Runner
from .session import Session
from .state import Browsing, Change, Notice, Outcome, State, Tool, View

__all__ = [
    "Action",
    "AddBox",
    "AddPoint",
    "AddPrompt",
    "Browsing",
    "Change",
    "Clear",
    "Commit",
    "Embed",
    "Embedded",
    "Failed",
    "Notice",
    "Outcome",
    "Predict",
    "Predicted",
    "Project",
    "Redo",
    "RemovePrompt",
    "Request",
    "Runner",
    "Session",
    "SetPolarity",
    "SetTool",
    "SetView",
    "State",
    "Tool",
    "Undo",
    "View",
]
