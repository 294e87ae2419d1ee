"""The browser's half of a series: pictures of all images, what has become of them, and the buttons to go on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import anywidget
import traitlets

from ..session.records import Status
from ..session.series import SeriesSession
from ..session.wording import counted
from ..view import Command, key_of
from ..view.series import clock, letters

#: What the buttons say: name, icon, text, what it does.
_BUTTONS = (
    (Command.PREVIOUS_IMAGE, "chevron-left", "Previous", "Image before"),
    (Command.NEXT_IMAGE, "chevron-right", "Next", "Next image; this one stays as it is"),
    (Command.DONE_IMAGE, "check", "Done", "This image is done: go to the next one that is not"),
    (Command.SKIP_IMAGE, "step-forward", "Skip", "Skip this image"),
)


class Filmstrip(anywidget.AnyWidget):
    """Shows a series and says what the user wants; see filmstrip.js for its messages.

    ``names``: of all images. ``marks``: a letter per image, as ``view.series.letters``. ``counts``: objects and
    ``times``: how long somebody worked, of each. ``problems``: by the place of an image, as text, why it cannot be
    opened. ``progress``: how many are done, are skipped, are there, and cannot be read. ``about``: of the open image,
    or of the one that is being opened; ``notice``: a sentence, and whether it is an error.
    """

    # The text, not the path: anywidget would keep every widget that was ever made, to tell it of changes of the file.
    _esm = Path(__file__).with_name("filmstrip.js").read_text(encoding="utf-8")
    names = traitlets.List().tag(sync=True)
    buttons = traitlets.List().tag(sync=True)
    marks = traitlets.Unicode("").tag(sync=True)
    counts = traitlets.List().tag(sync=True)
    times = traitlets.List().tag(sync=True)
    problems = traitlets.Dict().tag(sync=True)
    at = traitlets.Int(-1).tag(sync=True)
    progress = traitlets.List([0, 0, 0, 0]).tag(sync=True)
    about = traitlets.Unicode("").tag(sync=True)
    notice = traitlets.List(["", False]).tag(sync=True)

    def __init__(self, names: list[str]) -> None:
        table = [
            {"command": command.value, "icon": icon, "text": text, "title": f"{words} [{key_of(command)}]",
             "key": key_of(command)}
            for command, icon, text, words in _BUTTONS
        ]  # fmt: skip
        super().__init__(names=names, buttons=table)
        self._coming = ""

    def show(self, series: SeriesSession) -> None:
        """Bring it up to date."""
        entries = tuple(series.entries)
        current = series.current
        with self.hold_sync():
            self.marks = letters(one.status for one in entries)
            self.counts = [one.record.objects for one in entries]
            self.times = [clock(one.record.seconds) for one in entries]
            self.problems = {str(i): one.problem for i, one in enumerate(entries) if one.problem}
            self.at = series.at
            done, skipped = series.count(Status.DONE), series.count(Status.SKIPPED)
            self.progress = [done, skipped, len(entries), len(series.unreadable)]
            if self._coming:
                self.about = self._coming
            elif current is not None:
                objects = counted(current.record.objects, "object")
                self.about = f"{current.name} · {objects} · {clock(current.record.seconds)}"
            self.notice = [series.notice.text, series.notice.error]

    def leave(self, name: str) -> None:
        """Another image will be opened: until it is there, nothing that is done on the page must go anywhere."""
        text = f"Opening {name} ..."
        if text == self._coming:
            return
        self._coming = text
        self.send({"kind": "leaving", "text": text})
        with self.hold_sync():
            self.about, self.notice = text, ["", False]

    def opened(self) -> None:
        """The picture of the image is on its way to the page; ``show`` tells which one it is."""
        self._coming = ""
        self.send({"kind": "opened"})

    def stay(self) -> None:
        """The image that was there stays; does nothing where none was to be left."""
        if self._coming:
            self._coming = ""
            self.send({"kind": "staying"})

    def picture(self, found: Mapping[int, bytes]) -> None:
        """Hand over small pictures, by the place of the image; empty where there is none."""
        self.send({"kind": "pictures", "places": list(found)}, list(found.values()))
