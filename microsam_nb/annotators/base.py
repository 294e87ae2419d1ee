"""What all annotators are made of: a session, its worker, and the widgets around a screen."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np
from numpy.typing import NDArray

from ..core import Box, Image, MicrosamError, ModelError, Option
from ..files.export import OVERLAPPING, write_objects
from ..files.labels import write_label_stack, write_labels
from ..session import (
    Action,
    Cancel,
    Change,
    ColourByClass,
    Embed,
    Project,
    Runner,
    Session,
    SetClasses,
    SetTool,
    Tool,
    class_names,
)
from ..session.runner import Service
from ..session.wording import be, counted
from ..view import PROOFREADING, Command
from ..view.differences import Comparison
from ..view.snapshot import compact
from ..widgets import (
    AutomaticPanel,
    ClassesPanel,
    ContrastPanel,
    Hands,
    Interaction,
    KeyHelp,
    LayersPanel,
    Loop,
    ModelChoice,
    ModelsPanel,
    ObjectsPanel,
    OrthoPanel,
    Panel,
    Panels,
    PlaneBar,
    ProofreadPanel,
    Screen,
    Status,
    Still,
    Toolbar,
    close_tree,
    style_sheet,
)
from .classifying import Classifying
from .controls import Controls
from .earlier import Earlier
from .settings import AnnotatorSettings
from .using import opened

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..engine import Model
    from ..engine.classifying import Classifier
    from ..engine.store import EmbeddingStore

_log = logging.getLogger("microsam_nb")

#: Width in pixels of the picture that stays in a saved notebook: it is part of the file.
_STILL = 720
#: Bytes of labels up to which a copy is saved, which no change can tear.
_COPIED = 2**28
#: Width in CSS pixels beyond which a screen costs too much to paint.
_WIDEST = 1500
#: Seconds that the model is not loaded while no page has shown the picture, and after it was sent to one.
_PATIENCE, _MOMENT = 3.0, 0.15


@dataclass(frozen=True, slots=True)
class Methods:
    """Ways to find all objects: what a menu says and the mode, and the options of a mode."""

    modes: tuple[tuple[str, str], ...]
    describe: Callable[[str], Sequence[Option]]


class Planes:
    """The committed objects of a session, of which one plane is copied at a time, uint32 (y, x)."""

    def __init__(self, session: Session) -> None:
        self._session, self.shape = session, session.shape

    def __getitem__(self, index: int) -> NDArray[np.uint32]:
        _, height, width = self.shape
        plane: NDArray[np.uint32] = self._session.crop(Box((index, 0, 0), (index + 1, height, width)))[0]
        return plane


class Annotator:
    """An annotation on screen; show it as the last line of a cell.

    ``labels`` are the committed objects, ``session`` takes actions from scripts. ``models`` lists what can be chosen in
    the panel of models, ``methods`` how all objects can be found, ``linking`` the options of linking them to tracks in
    a movie; ``follows`` says whether a place that is looked at has to be prepared for prompts; ``commands`` are done by
    somebody else, such as those of a series; ``loaded`` is said of a model that is there already, and ``aside`` as long
    as it is open.
    """

    def __init__(
        self,
        image: Image,
        service: Service,
        project: Project | None,
        note: str = "",
        *,
        session: Session | None = None,
        settings: AnnotatorSettings | None = None,
        models: Callable[[], list[ModelChoice]] | None = None,
        methods: Methods | None = None,
        linking: Callable[[], Sequence[Option]] | None = None,
        follows: Callable[[Embed], bool] | None = None,
        commands: Mapping[Command, Callable[[], object]] | None = None,
        engine: Callable[[], tuple[Model, EmbeddingStore]] | None = None,
        loaded: str = "",
        aside: str = "",
    ) -> None:
        self.image, self.project = image, project
        self._follows = follows
        self.session = session or Session(image.shape, project, movie=image.axes[0] == "t")
        self._closed = False
        self._saving: threading.Thread | None = None
        volume, movie = image.shape[0] > 1, self.session.movie
        self._earlier = Earlier(self.session)
        hands = Hands(
            self._act, self.handle, lambda event: self._loop.post(event), self._go_to, self._look_at, self._close_up
        )
        #: Where there is a model to ask what it sees in objects.
        self.classifying = None if engine is None else Classifying(image, self.session, engine)
        self.engine = engine
        self._panels = Panels(self._makers(hands, models, methods, linking), hands)
        self._toolbar = Toolbar(hands, self._panels.bar, volume=volume, movie=movie)
        self._status = Status(note, lambda: self.handle(Cancel()), self._toolbar.brushing, aside)
        series = Command.NEXT_IMAGE in (commands or {})
        self._help = KeyHelp(volume=volume, movie=movie, series=series)
        self._planes = PlaneBar(image, self.session, hands) if volume else None
        width, height = _size(image, (settings or AnnotatorSettings()).height)
        self._status.box.layout.max_width = f"{width}px"
        self._screen = Screen(image, self.session, width, height)
        # Beside panels the screen is narrower; where the whole page is narrow, it is lower too.
        frame = self._screen.box.layout
        frame.flex, frame.max_width = "1 1 480px", f"{width}px"
        share = image.shape[1] / image.shape[2]
        frame.max_height = f"min(65vh, max({min(height, 320)}px, 100cqw * {share:.4f}))"
        self._interaction = Interaction(self._screen.canvas, image.shape[0], movie=movie, series=series)
        stage = widgets.Box([self._screen.box, self._panels.side, self._help.box])
        stage.add_class("msam-stage")
        above = [self._toolbar.box, self._status.box, *([] if self._planes is None else [self._planes.box])]
        self.widget = widgets.VBox([style_sheet(), self._status.warning, *above, stage, self._interaction])
        self.widget.add_class("msam-annotator")
        self._still = Still(self._picture)
        self._loop = Loop(self._paint, self._failed)
        self.session.changed.connect(self._loop.repaint)
        extra: dict[Command, Callable[[], object]] = {
            Command.SAVE: self._save_aside, Command.HELP: self._help.toggle, Command.ESCAPE: self._help.hide,
            Command.FIND: lambda: self._panels.open("Automatic"),
            **{command: self._proofreading(command) for command in PROOFREADING},
            **(commands or {}),
        }  # fmt: skip
        self._controls = Controls(self.session, self._screen, self._interaction, self._loop, extra, volume=volume)
        if not self.session.notice.error:
            self.session.say(loaded or "Loading the model ...")
        if project is not None:
            project.closed.connect(lambda _: self.close())
        # Importing torch keeps the interpreter busy for seconds: the picture goes first.
        self._runner = Runner(self.session, service, patience=_PATIENCE)
        self._loop.repaint(Change(tool=True, notice=True), True)
        opened(self)

    @property
    def labels(self) -> NDArray[np.uint32]:
        """A copy of the committed objects, uint32 (y, x), 0 = background; (plane, y, x) for several planes."""
        volume = self.session.snapshot()
        return volume[0] if len(volume) == 1 and self.image.axes[0] == "y" else volume

    def table(self) -> DataFrame:
        """Return size, place, shape and brightness of every object as a pandas DataFrame; see ``measure``."""
        from .measurements import measure

        return measure(self.image, self.session)

    def save(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the objects and return where they are; by default NAME-HASH_labels.tif in the working folder.

        The ending of ``path`` chooses the format: .tif, .ome.zarr (also into an OME-Zarr image), .zip (ROIs of ImageJ),
        .geojson (QuPath), .json (COCO), .csv (the table). Raises FileError when that is not possible.
        """
        where = self.write(Path(path).expanduser() if path is not None else Path(f"{stem(self.image)}_labels.tif"))
        count = self.session.labels.count()
        self.saved(where, f"{counted(count, 'object')} {be(count)}")
        return where

    def write(self, where: Path) -> Path:
        """Write the objects as ``save`` does, and say nothing."""
        if where.suffix.lower() not in (".tif", ".tiff"):
            where = self._export(where)
        elif self.session.labels.volume.nbytes <= _COPIED:
            write_labels(where, self.labels)
        else:
            self._write_planes(where)
        return where

    def saved(self, where: Path, what: str, note: str = "") -> None:
        """Say that ``what`` was saved, a ``note`` about that, and what was not."""
        count = self.session.labels.count()
        waiting = len(self.session.state.candidates)
        some = f" {counted(waiting, 'candidate')} {be(waiting)}"
        there = where.suffix.lower() in OVERLAPPING
        left = "" if not waiting else f"{some} there too." if there else f"{some} not among them: Shift-A keeps all."
        working = " The object in hand is not among them: commit it with C." if self.session.state.proposals else ""
        self.session.say(f"{what} saved in {where.absolute()}.{note}{working}{left}", error=bool(waiting and not count))
        self._still.flush()

    def _export(self, where: Path) -> Path:
        small = self.session.labels.volume.nbytes <= _COPIED
        labels = self.labels if small else Planes(self.session)
        some = self.session.state.candidates
        return write_objects(where, labels, image=self.image, infos=dict(self.session.infos), candidates=some)

    def _write_planes(self, where: Path) -> None:
        """Write a volume of which no copy is to be made."""
        planes = Planes(self.session)
        crops = (planes[index] for index in range(planes.shape[0]))
        write_label_stack(where, crops, planes.shape, max(self.session.labels, default=0))

    def wait(self, timeout: float = 60.0) -> None:
        """Return when the model has answered, the screen is painted and labels are saved. Raises TimeoutError."""
        end = time.monotonic() + timeout
        while True:
            for one in (self._loop, self._runner, self._loop):
                one.wait(max(0.0, end - time.monotonic()))
            if self._saving is not None:
                self._saving.join(max(0.0, end - time.monotonic()))
                if self._saving.is_alive():
                    raise TimeoutError(f"The labels are still being saved after {timeout:g} s; wait longer.")
            if self.ready:
                return

    @property
    def ready(self) -> bool:
        """Whether the model and the screen have nothing left to do."""
        return self._controls.idle and self._loop.idle and self._runner.idle

    def hold(self, on: bool, then: Callable[[], object] | None = None) -> None:
        """Take nothing more from the page, or again, after what came before; ``then`` something is done."""

        def do() -> None:
            self._controls.held = on
            if then is not None:
                then()

        if self._loop.here:
            do()
        else:
            self._loop.post(do)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def handle(self, action: Action) -> None:
        """Do an action, from any thread, after what the user did before; ``wait`` tells when it is done."""
        self._controls.handle(action)

    def close(self) -> None:
        """Stop the threads, close the widgets and release the project; a picture stays in the notebook."""
        if self._closed:
            return
        self._closed = True
        if self._saving is not None:
            self._saving.join()
        if self.classifying is not None:
            self.classifying.close()
        self._runner.close()
        self._loop.close()
        self.session.close()
        self._still.flush()
        self._panels.close()
        self._screen.close()
        close_tree(self.widget)

    def shows(self, panel: str) -> bool:
        """Whether a panel is on screen, by what its switch says."""
        return self._panels.is_open(panel)

    def classify(self, classes: Sequence[str] = (), classifier: Classifier | None = None) -> None:
        """Open the panel of classes, and take the tool that gives them; see ``microsam_nb.classify``."""
        if self.classifying is None:
            raise ModelError("The annotator has no model.", "Open it with annotate_2d, annotate_3d or annotate_tracks.")
        if classifier is not None:
            self.classifying.use(classifier)
        known = class_names(self.session)
        for action in (
            SetClasses((*known, *classes)), ColourByClass(True), SetTool(Tool.CLASSIFY),
        ):  # fmt: skip
            self.session.handle(action)
        self._loop.post(lambda: self._panels.open("Classes"))

    def _ipython_display_(self) -> None:
        self._still.display(self._view())

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Return the widget, and a picture for pages that cannot show it."""
        kind, picture = compact(self._picture())
        return {**self._view(), kind: picture}

    def _picture(self) -> bytes:
        return self._screen.snapshot(_STILL)

    def _view(self) -> dict[str, Any]:
        bundle = self.widget._repr_mimebundle_() or {}
        data = dict(bundle[0] if isinstance(bundle, tuple) else bundle)
        data["text/plain"] = f"Annotator of {self.image.name}"
        return data

    # What panels and buttons may do, from any thread.

    def _act(self, command: Command) -> None:
        self._controls.act(command)

    def _save_aside(self) -> None:
        """Save on a thread of its own: compressing a large plane must not hold up the screen."""
        if self._saving is not None and self._saving.is_alive():
            self.session.say("The labels are still being saved.")
            return
        self.session.say("Saving the labels ...")
        self._saving = threading.Thread(target=self._save_and_tell, name="microsam-saving", daemon=True)
        self._saving.start()

    def _save_and_tell(self) -> None:
        try:
            self.save()
        except MicrosamError as error:
            self.session.say(str(error), error=True)
        except Exception as error:  # noqa: BLE001 - the thread ends here; the failure is shown
            _log.exception("The labels could not be saved.")
            self.session.say(
                f"The labels could not be saved ({error.__class__.__name__}: {error}). Save them to another place: "
                "annotator.save('labels.tif').",
                error=True,
            )

    def _go_to(self, label: int) -> None:
        def go() -> None:
            try:
                self._controls.looking.go_to(label)
            except MicrosamError as error:
                self.session.say(str(error), error=True)

        self._loop.post(go)

    def _look_at(self, plane: int, y: float | None, x: float | None) -> None:
        self._loop.post(lambda: self._controls.looking.look_at(plane, y, x))

    def _close_up(self, where: Box) -> None:
        self._loop.post(lambda: self._controls.looking.close_up(where))

    def _proofreading(self, command: Command) -> Callable[[], None]:
        """Return what does a command of the panel of proofreading, which is opened for it."""

        def do() -> None:
            self._panels.open("Proofread")
            panel = self._panels.made["Proofread"]
            assert isinstance(panel, ProofreadPanel)
            panel.do(command)

        return do

    def _compare(self, comparison: Comparison | None) -> None:
        self._screen.compare(comparison)
        self._loop.repaint(Change(layers=True))

    def _makers(
        self,
        hands: Hands,
        models: Callable[[], list[ModelChoice]] | None,
        methods: Methods | None,
        linking: Callable[[], Sequence[Option]] | None,
    ) -> dict[str, tuple[str, str, Callable[[], Panel]]]:
        makers: dict[str, tuple[str, str, Callable[[], Panel]]] = {
            "Layers": ("bars", "What is shown, and how opaque", lambda: LayersPanel(self.session, hands)),
            "Contrast": (
                "adjust",
                "Black, white, and the colours of channels",
                lambda: ContrastPanel(self.image, self.session, hands, self._screen.pictures),
            ),
            "Objects": (
                "list",
                f"Table of the committed {'tracks' if self.session.movie else 'objects'}",
                lambda: ObjectsPanel(self.session, hands, None if self.image.axes[0] == "t" else self.image.voxel_size),
            ),
        }
        makers["Proofread"] = (
            "check-square-o", "Suspicious objects one by one, what corrects them, and what has changed",
            lambda: ProofreadPanel(self.image, self.session, hands, self._earlier, self._compare),
        )  # fmt: skip
        if self.session.movie:
            makers["Tracks"] = (
                "sitemap", "Which track descends from which, and what can be done with them",
                lambda: _tree(self.session, hands, linking),
            )  # fmt: skip
        if self.image.shape[0] > 1:
            word = "frame" if self.image.axes[0] == "t" else "plane"
            makers["Views"] = (
                "cube", "Sections from the sides, and the brightest pixels from above",
                lambda: OrthoPanel(self.image, self.session, hands, self._screen.pictures),
            )  # fmt: skip
            makers["Agreement"] = (
                "line-chart", f"How well the object in hand goes on from {word} to {word}",
                lambda: _curve(self.session, hands, word),
            )  # fmt: skip
        if methods is not None:
            makers["Automatic"] = (
                "bullseye", "Find all objects, and choose among them",
                lambda: AutomaticPanel(self.session, hands, methods.modes, methods.describe),
            )  # fmt: skip
        if (trainer := self.classifying) is not None:
            makers["Classes"] = (
                "tags", "Give a few objects classes, and all others get them by themselves",
                lambda: ClassesPanel(self.session, hands, trainer),
            )  # fmt: skip
        if models is not None:
            makers["Models"] = ("cogs", "Choose the model", lambda: ModelsPanel(models, self.session, hands))
        return makers

    # On the screen's thread.

    def _failed(self, error: Exception) -> None:
        _log.error("The screen failed.", exc_info=error)
        self.session.say(
            f"Something went wrong on screen ({error.__class__.__name__}: {error}). Your objects are safe; "
            "run the cell again.",
            error=True,
        )

    def _paint(self, change: Change, everything: bool) -> None:
        session = self.session
        self._controls.show(everything=everything)
        self._screen.paint(change, everything=everything)
        browsing = session.state.browsing
        if change.view and self._follows is not None:
            view = self._screen.viewport
            place = Embed(browsing.plane, *view.to_image(view.height / 2, view.width / 2))
            if self._follows(place):
                self._runner.submit(place)
        self._toolbar.show(session)
        self._status.show(session)
        if self._planes is not None:
            self._planes.show(session)
        self._panels.show(change)
        if everything and self._screen.opened:
            self._runner.start(_MOMENT)
        if change.labels is not None or change.layers:
            self._still.changed()


def _curve(session: Session, hands: Hands, word: str) -> Panel:
    # bqplot takes a third of a second to import.
    from ..widgets.curve import CurvePanel

    return CurvePanel(session, hands, word)


def _tree(session: Session, hands: Hands, linking: Callable[[], Sequence[Option]] | None) -> Panel:
    from ..widgets.lineage_tree import TracksPanel

    return TracksPanel(session, hands, linking)


def stem(image: Image) -> str:
    """Return a file name for an image: its name and the start of its hash, so that no two images share it."""
    plain = re.sub(r"[^\w.-]+", "_", image.name).strip("._") or "image"
    return f"{plain}-{image.fingerprint()[:8]}"


def _size(image: Image, highest: int) -> tuple[int, int]:
    """Return the largest width and height of the screen in CSS pixels; wider than 900 only for wide images."""
    _, height, width = image.shape
    wide = int(min(max(highest * width / height, 900), _WIDEST))
    return wide, int(min(max(wide * height / width, min(320, highest)), highest))
