"""What somebody has annotated: projects, series and open annotators."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...core import FileError, Image
from ...files.catalogue import Catalogue
from ...session.records import Status, read_record
from ...session.story import Story, read_story
from ...session.wording import counted
from ..inputs import read_input
from ..projects import image_of
from .notes import listing
from .source import Read, Source, Sources

#: What tells a project folder, and the output of a series, from others.
_PROJECT, _SERIES = "meta.json", "series.json"
_REMEDY = "Put the file back, or give both: (image, project folder)."


def is_project(path: Path) -> bool:
    return (path / _PROJECT).is_file()


def find_work(folder: Path, complete: bool | None) -> Sources:
    """Return what was annotated in a project, a series or a folder of projects.

    ``complete``: whether all objects are labelled; None: in images of a series that are marked done. Raises FileError
    where there is no project.
    """
    if is_project(folder):
        return Sources([project(folder, bool(complete))])
    if (folder / _SERIES).is_file():
        return _series(folder, complete)
    projects = sorted(one for one in folder.glob("*.msam") if is_project(one))
    if not projects:
        raise FileError(
            f"{folder} is no project, and holds none.",
            "Give labels=, or the folder of a project or of a series that was annotated.",
        )
    return Sources([project(one, bool(complete)) for one in projects])


def project(
    folder: Path, complete: bool, *, image: Any = None, axes: str = "", group: str = "", name: str = ""
) -> Source:
    """Return a project; its image is the one given, or the one that it remembers."""

    def read() -> Read:
        story = read_story(folder)
        found = _given(story, image, axes) if image is not None else image_of(story, None, remedy=_REMEDY)[0]
        # The journal says it all, also while the project is open.
        return found, story.told(found).snapshot(), []

    return Source(name or folder.stem, group or folder.absolute().parent.name, read, complete)


def is_annotator(one: Any) -> bool:
    """Say whether this is an open annotator, of one image or of a series."""
    return hasattr(one, "session") and (hasattr(one, "image") or hasattr(one, "series"))


def annotator(one: Any, complete: bool | None) -> Sources:
    """Return what an open annotator holds."""
    if hasattr(one, "series"):
        return find_work(Path(one.output), complete)
    return Sources([Source(one.image.name, "annotators", lambda: (one.image, one.session.snapshot(), []),
                           bool(complete))])  # fmt: skip


def _given(story: Story, image: Any, axes: str) -> Image:
    found = read_input(image, axes or story.axes, story.name)
    story.check(found)
    return found


def _series(output: Path, complete: bool | None) -> Sources:
    """Return the images of a series that somebody has worked on; those that were skipped are left out."""
    catalogue = Catalogue.read(output / _SERIES)
    out, untouched, skipped = Sources(), 0, []
    for name, place in (catalogue.places if catalogue else {}).items():
        folder = output / f"{place}.msam"
        kept = read_record(folder).kept
        if kept is Status.SKIPPED:
            skipped.append(name)
        elif kept is Status.UNTOUCHED or not is_project(folder):
            untouched += 1
        else:
            path = Path(os.path.normpath(Path(catalogue.root if catalogue else "") / name))
            done = kept is Status.DONE if complete is None else complete
            # Where the images were moved together with the work, each project knows the way.
            image = path if path.exists() else None
            out.found.append(project(folder, done, image=image, group=output.name, name=name))
    if not out.found:
        raise FileError(f"No image in {output} is annotated yet.", "Annotate two images of the series at least.")
    if skipped:
        out.notes.append(f"Left out, as skipped in the series: {listing(skipped)}.")
    if untouched:
        out.notes.append(f"{counted(untouched, 'image')} of the series {'is' if untouched == 1 else 'are'} untouched.")
    return out
