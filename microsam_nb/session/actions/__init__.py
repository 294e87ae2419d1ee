"""Everything that can happen in a session, one class each."""

from .answering import Embedded, Failed, Predicted
from .base import Action, from_json, to_json
from .browsing import SetPolarity, SetTool, SetView
from .committing import Commit
from .editing import Redo, Undo
from .prompting import AddBox, AddPoint, AddPrompt, Clear, RemovePrompt

__all__ = [
    "Action",
    "AddBox",
    "AddPoint",
    "AddPrompt",
    "Clear",
    "Commit",
    "Embedded",
    "Failed",
    "Predicted",
    "Redo",
    "RemovePrompt",
    "SetPolarity",
    "SetTool",
    "SetView",
    "Undo",
    "from_json",
    "to_json",
]
