"""Find the image of a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..core import FileError, Image, MicrosamError

if TYPE_CHECKING:
    from ..session.story import Story


def image_of(story: Story, given: Path | None, key: str = "") -> tuple[Image, Path]:
    """Return the image of a project and its path: the ``given`` one, or one of its name beside the project, or here.

    Raises FileError when there is none, ProjectError for another image.
    """
    from ..files.images import SUFFIXES
    from ..files.volumes import PLUGINS, open_image

    if given is not None:
        image = Image(open_image(given, key), story.axes, story.name)
        story.check(image)
        return image, given
    for folder in dict.fromkeys((story.folder.resolve().parent, Path.cwd())):
        for suffix in (*SUFFIXES, *PLUGINS, ".zarr"):
            path = folder / f"{story.name}{suffix}"
            try:
                image = Image(open_image(path, key), story.axes, story.name)
                story.check(image)
            except MicrosamError:
                continue
            return image, path
    raise FileError(f"The image {story.name} of {story.folder} is not beside it.", "Name its file with --image.")
