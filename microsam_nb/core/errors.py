"""Errors that say what happened and what to do about it."""


class MicrosamError(Exception):
    """Base of every error raised on purpose; ``what`` happened and the ``remedy`` make its sentence."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy


class ImageError(MicrosamError):
    """An image has the wrong type, axes or content."""


class PromptError(MicrosamError):
    """A prompt is malformed or lies outside the image."""


class ModelError(MicrosamError):
    """A model cannot be found, read or used."""


class ProjectError(MicrosamError):
    """A project folder cannot be opened or written."""


class FileError(MicrosamError):
    """A file cannot be read or written."""


class StoreError(MicrosamError):
    """An embedding store belongs to something else, is damaged, or cannot be written."""


class SettingsError(MicrosamError):
    """A setting is out of its bounds."""
