"""Find the image of a project."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..core import FileError, Image, MicrosamError, ProjectError

if TYPE_CHECKING:
    from ..session.story import Story


def image_of(
    story: Story, given: Path | None, key: str = "", remedy: str = "Name the file of the image with --image."
) -> tuple[Image, Path]:
    """Return the image of a project and its path.

    That is the ``given`` one, or the one that the project was opened with last, or one of its name beside the project
    or here. Raises FileError with the ``remedy`` when there is none, ProjectError for another image.
    """
    if given is not None:
        return _read(story, given, key), given
    for path in dict.fromkeys((*story.places, *_beside(story))):
        with contextlib.suppress(MicrosamError):
            return _read(story, path, key), path
    raise FileError(_why_not(story, key), remedy)


def _why_not(story: Story, key: str) -> str:
    """Return why the image is not where it was."""
    if not story.places:
        return f"{story.folder} does not say where its image {story.name} lies: it was opened from an array."
    for path in story.places:
        try:
            _read(story, path, key)
        except ProjectError:
            return f"{path} has changed since: it is not the image of {story.folder} any more."
        except MicrosamError as error:
            if path.exists():
                return error.what
    return f"The image of {story.folder} is gone from {story.places[-1]}."


def _read(story: Story, path: Path, key: str) -> Image:
    from ..files.volumes import open_image

    image = Image(open_image(path, key), story.axes, story.name, source=path.absolute())
    story.check(image)
    return image


def _beside(story: Story) -> Iterator[Path]:
    from ..files.images import SUFFIXES
    from ..files.volumes import PLUGINS

    for folder in dict.fromkeys((story.folder.resolve().parent, Path.cwd())):
        for suffix in (*SUFFIXES, *PLUGINS, ".zarr"):
            yield folder / f"{story.name}{suffix}"
