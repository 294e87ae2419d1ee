"""What the user has taught a classifier in the images of a series, so that it goes on in the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..session import class_names, classed_by_hand

if TYPE_CHECKING:
    from ..engine.classifying import Classifier, Training
    from .base import Annotator
    from .classifying import Classifying


class Lesson:
    """The annotated objects of an image that was left.

    Those that were clicked on last are described when somebody wants to train on them: nobody waits for that to leave
    an image.
    """

    def __init__(self, trainer: Classifying) -> None:
        #: None as soon as all is known: it holds the whole image.
        self._trainer: Classifying | None = trainer
        self._known: Training | None = None
        self._lock = threading.Lock()

    def training(self, go: Callable[[], bool]) -> Training | None:
        """Return them; None when ``go`` says no before they are known. Raises MicrosamError."""
        with self._lock:
            if self._trainer is not None:
                self._known = self._trainer.taught(go)
                if self._known is not None:
                    self._trainer = None
            return self._known


class Taught:
    """The annotated objects of every image that was open, by the image's name, and the classifier that was loaded."""

    def __init__(self) -> None:
        self._lessons: dict[str, Lesson] = {}
        self._loaded: Classifier | None = None

    def hand_on(self, name: str, old: Annotator, new_name: str, new: Annotator) -> None:
        """Let the classifier of an image that is left go on in a new one; nothing happens where there is none."""
        trainer, other = old.classifying, new.classifying
        if trainer is None or other is None or not trainer.started:
            return
        self._lessons.pop(name, None)
        if any(classed_by_hand(row.info) for row in old.session.rows()):
            self._lessons[name] = Lesson(trainer)
        # An image that could not use it, or has not come to that, takes it from no other.
        if trainer.loaded is not None:
            self._loaded = trainer.loaded
        # What was taught in the new image, when it was open before, is in its project.
        lessons = tuple(one for image, one in self._lessons.items() if image != new_name)
        if self._loaded is not None or lessons:
            other.go_on(self._loaded, lessons)
        if old.shows("Classes"):
            new.classify(class_names(old.session))
