"""Errors that say what happened and what to do about it."""

from __future__ import annotations


class MicrosamError(Exception):
    """Base of every error raised on purpose; ``what`` happened and the ``remedy`` make its sentence."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[MicrosamError], tuple[str, str]]:
        # Without it an error of a worker process could not be sent back: the base class keeps one argument.
        return type(self), (self.what, self.remedy)


class ImageError(MicrosamError):
    """An image has the wrong type, axes or content."""


class PromptError(MicrosamError):
    """A prompt is malformed or lies outside the image."""


class LabelError(MicrosamError):
    """An object's number, or an array of labels, is not possible."""


class LineageError(MicrosamError):
    """Tracks cannot be related like that."""


class ModelError(MicrosamError):
    """A model cannot be found, read or used."""


class ProjectError(MicrosamError):
    """A project folder cannot be opened or written."""


class ProjectInUseError(ProjectError):
    """Somebody else has a project open."""


class FileError(MicrosamError):
    """A file cannot be read or written."""


class StoreError(MicrosamError):
    """An embedding store belongs to something else, is damaged, or cannot be written."""


class SettingsError(MicrosamError):
    """A setting is out of its bounds."""


class ClassifierError(MicrosamError):
    """A classifier of objects cannot be trained, read or used here."""
