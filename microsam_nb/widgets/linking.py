"""Linking of all objects of a movie: what the linker may do, and a button."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets

from ..core import Option
from ..session import LinkAll, Session, Setting
from .buttons import mark, plain_button, visible
from .hands import Hands
from .settings_form import SettingsForm


class LinkForm:
    """Links the objects of all frames to tracks. ``describe``: the options of the linker, in their order."""

    def __init__(self, session: Session, hands: Hands, describe: Callable[[], Sequence[Option]]) -> None:
        self._session, self._hands, self._describe = session, hands, describe
        self._values: dict[str, Any] = {}
        self.link = plain_button(
            "msam-link-all", "link", "Find the tracks of the whole movie; they take the place of all that are there, "
            "and Ctrl-Z brings those back", self._link, "Link all",
        )  # fmt: skip
        self.more = plain_button("msam-link-more", "sliders", "Show or hide the settings", self._toggle, "Settings")
        self.segment = widgets.Checkbox(
            True, description="Find the objects first", indent=False,
            tooltip="In every frame, as the panel Automatic does; else the committed objects are linked",
        )  # fmt: skip
        self.segment.add_class("msam-link-segment")
        #: Made when it is asked for.
        self.form: SettingsForm | None = None
        self._fields = widgets.VBox()
        visible(self._fields, False)
        row = widgets.Box([self.link, self.segment, self.more])
        row.add_class("msam-group")
        self.box = widgets.VBox([row, self._fields])
        self.box.add_class("msam-linking")

    def show(self) -> None:
        """Offer what is possible."""
        self.link.disabled = not (self.segment.value or self._session.labels.count())

    # Buttons: these callbacks only queue.

    def _toggle(self) -> None:
        def toggle() -> None:
            if self.form is None:
                self.form = SettingsForm(self._describe(), self._hands, self._values.__setitem__)
                self._fields.children = (self.form.box,)
            opening = self._fields.layout.display == "none"
            visible(self._fields, opening)
            mark(self.more, opening)

        self._hands.post(toggle)

    def _link(self) -> None:
        def link() -> None:
            # As the objects of one frame were found last: with settings that suit this movie.
            known = self._session.state.automatic
            tuned = self.segment.value and known is not None and known.model == self._session.model
            options = tuple(Setting(name, value) for name, value in self._values.items())
            if tuned and known is not None:
                self._hands.handle(LinkAll(known.options + options, True, known.mode))
            else:
                self._hands.handle(LinkAll(options, self.segment.value))

        self._hands.post(link)
