"""A project again with another model: the same prompts, new answers, and what has changed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ..core import FileError, Image
from ..engine.models import Model
from ..files.folders import replacing_folder
from ..session import Project, Session
from ..session.project import holder
from ..session.story import read_story, without_undone
from .replay import Replay
from .service import EngineService

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, slots=True)
class Changed:
    """An object before and after: its numbers (0: it is not there), areas in pixels, and the IoU of both."""

    before: int
    after: int
    area_before: int
    area_after: int
    iou: float

    @property
    def what(self) -> str:
        """Whether it is kept, lost or added."""
        return "kept" if self.before and self.after else "lost" if self.before else "added"


@dataclass(frozen=True, slots=True, eq=False)
class Rerun:
    """The session with the new answers, every object of before and after, and what could not be done again."""

    session: Session
    objects: tuple[Changed, ...]
    notes: tuple[str, ...]

    def table(self) -> DataFrame:
        """Return one row per object as a pandas DataFrame."""
        from pandas import DataFrame

        names = [one.name for one in fields(Changed)]
        rows = [[getattr(one, name) for name in names] + [one.what] for one in self.objects]
        return DataFrame(rows, columns=[*names, "what"])


def rerun(
    project: str | os.PathLike[str],
    image: Image,
    model: Model | str | os.PathLike[str],
    *,
    device: str = "auto",
    embeddings: str | None = None,
    output: str | os.PathLike[str] | None = None,
    told: Callable[[int, int], object] = lambda *_: None,
) -> Rerun:
    """Replay a project with another model, and compare. The project stays as it is.

    ``image``: the one it was made of. ``embeddings``: a store of it by that model, whose tiling is used. ``output``: a
    new project folder for the result. ``told``: how many actions of how many are done. What was painted, merged and
    cut is done again as it was; objects that were loaded stay as they were. Raises MicrosamError.
    """
    place = None if output is None else Path(output).expanduser()
    if place is not None:
        check_output(place)
    story = read_story(Path(project).expanduser())
    story.check(image)
    service = EngineService(image, model, device, embeddings=embeddings)
    with _whole(place) as folder:
        kept = None if folder is None else Project.open(folder, image, service.model.spec.name)
        new = Session(image.shape, kept, movie=image.axes.startswith("t"))
        try:
            replay = Replay(story, image, service, new)
            actions = without_undone(story.actions)
            for number, action in enumerate(actions):
                told(number, len(actions))
                replay.do(action)
            replay.settle()
            told(len(actions), len(actions))
        finally:
            new.close()
    before = story.told(image)
    return Rerun(new, tuple(_compared(before, new, replay.numbers)), tuple(replay.notes))


def check_output(place: Path) -> None:
    """Raise FileError where something is that a new project must not be put in the place of."""
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise FileError(f"{place} is there already.", "Name a new folder as output.")


@contextlib.contextmanager
def _whole(place: Path | None) -> Iterator[Path | None]:
    """Give a folder that becomes ``place`` when everything is done; what a killed run has left is removed."""
    if place is None:
        yield None
        return
    whole = place.resolve()
    for left in whole.parent.glob(f"{escape(whole.name)}.*.part"):
        if not left.is_dir():
            continue
        names = [one.name for one in left.iterdir()]
        begun = "meta.json" in names or all(one.startswith(("lock", "owner.json", "meta.json")) for one in names)
        if begun and holder(left) is None:
            shutil.rmtree(left, ignore_errors=True)
    with replacing_folder(place, lambda _: False) as part:
        yield part


def _compared(before: Session, after: Session, numbers: dict[int, int]) -> list[Changed]:
    rows = []
    for label in sorted(before.labels):
        new = numbers.get(label, 0)
        if new not in after.labels:
            rows.append(Changed(label, 0, before.labels.area(label), 0, 0.0))
            continue
        areas = before.labels.area(label), after.labels.area(new)
        rows.append(Changed(label, new, *areas, before.labels.mask(label).iou(after.labels.mask(new))))
    known = {one.after for one in rows}
    return rows + [Changed(0, one, 0, after.labels.area(one), 0.0) for one in sorted(after.labels) if one not in known]
