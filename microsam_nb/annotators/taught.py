"""What the user has taught a classifier in the images of a series, so that it goes on in the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..session import class_names

if TYPE_CHECKING:
    from ..engine.classifying import Classifier, Training
    from .base import Annotator


class Taught:
    """The annotated objects of every image that was open, by the image's name, and the classifier that was loaded."""

    def __init__(self) -> None:
        self._own: dict[str, Training] = {}
        self._loaded: Classifier | None = None

    def hand_on(self, name: str, old: Annotator, new_name: str, new: Annotator) -> None:
        """Let the classifier of an image that is left go on in a new one; nothing happens where there is none."""
        trainer, other = old.classifying, new.classifying
        if trainer is None or other is None or not trainer.started:
            return
        if trainer.own is not None:
            self._own[name] = trainer.own
        self._loaded = trainer.loaded
        # What was taught in the new image, when it was open before, is in its project.
        others = tuple(one for image, one in self._own.items() if image != new_name and one.classes)
        if self._loaded is not None or others:
            other.go_on(self._loaded, others)
        if old.shows("Classes"):
            new.classify(class_names(old.session))
