"""How one object is carried through planes: what is known of it, where it goes, and where it ends."""

from .asked import answers, missing
from .case import Case, Known, case_of
from .neighbourhood import faded, walks_of
from .walk import Question, Walk

__all__ = ["Case", "Known", "Question", "Walk", "answers", "case_of", "faded", "missing", "walks_of"]
