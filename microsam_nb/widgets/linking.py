"""Linking of all objects of a movie: what the linker may do, and a button."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import ipywidgets as widgets

from ..core import Lineage, Option
from ..session import LinkAll, Session, Setting
from ..session.wording import counted, listed
from ..view.tree import family
from .buttons import mark, plain_button, visible
from .hands import Bound, Hands
from .settings_form import SettingsForm


class Scope(StrEnum):
    """What is linked; the rest is kept."""

    ALL = "everything"
    LATER = "from this frame on"
    LINEAGE = "only the chosen lineage"


class LinkForm:
    """Links the objects of all frames to tracks. ``describe``: the options of the linker, in their order."""

    def __init__(self, session: Session, hands: Hands, describe: Callable[[], Sequence[Option]]) -> None:
        self._session, self._hands, self._describe = session, hands, describe
        self._values: dict[str, Any] = {}
        self.link = plain_button(
            "msam-link-all", "link", "Find the tracks of the movie; they take the place of those that are there, and "
            "Ctrl-Z brings those back", self._link, "Link all",
        )  # fmt: skip
        self.more = plain_button("msam-link-more", "sliders", "Show or hide the settings", self._toggle, "Settings")
        self.segment = widgets.Checkbox(
            True, description="Find the objects first", indent=False,
            tooltip="In every frame, as the panel Automatic does; else the committed objects are linked",
        )  # fmt: skip
        self.segment.add_class("msam-link-segment")
        self.scope = widgets.Dropdown(
            options=[(text, text) for text in Scope], value=Scope.ALL, description="Link",
            tooltip="What is linked; all else stays as it is", style={"description_width": "30px"},
            layout={"width": "auto"},
        )  # fmt: skip
        self.scope.add_class("msam-link-scope")
        self._scope = Bound(self.scope, hands, lambda _: self.show())
        self.kept = widgets.HTML()
        self.kept.add_class("msam-note")
        #: Made when it is asked for.
        self.form: SettingsForm | None = None
        self._fields = widgets.VBox()
        visible(self._fields, False)
        row = widgets.Box([self.link, self.segment, self.more])
        row.add_class("msam-group")
        self.box = widgets.VBox([row, self.scope, self.kept, self._fields])
        self.box.add_class("msam-linking")

    def show(self) -> None:
        """Offer what is possible, and say what would be kept."""
        session = self._session
        only, first = self._meant()
        if self.scope.value == Scope.LINEAGE and not only:
            self.kept.value = "Pick a track of the lineage first."
        elif only:
            left = len(session.state.lineage or ()) - len(only)
            self.kept.value = f"Linked anew: {listed(only, 'track', 8)}. Kept: {counted(left, 'track')}."
        elif first:
            frames = [session.frames(track) for track in session.state.lineage or ()]
            before = sum(some[0] < first for some in frames)
            later = len(frames) - before
            go_on = sum(some[0] < first <= some[-1] for some in frames)
            self.kept.value = (
                f"Kept: all before frame {first}, {counted(before, 'track')}. Linked anew from there on: "
                f"{counted(go_on, 'track')} that {'goes' if go_on == 1 else 'go'} on, and "
                f"{counted(later, 'track')} that {'begins' if later == 1 else 'begin'} then."
            )
        else:
            self.kept.value = "Nothing of the present tracks is kept." if session.labels.count() else ""
        there = self.segment.value or session.labels.count()
        self.link.disabled = not there or (self.scope.value == Scope.LINEAGE and not only)

    def _meant(self) -> tuple[tuple[int, ...], int]:
        """Return the tracks that are linked anew, () for all, and the first frame of which that is so."""
        state = self._session.state
        if self.scope.value == Scope.LINEAGE:
            return tuple(sorted(family(state.lineage or Lineage({}), self._session.selected))), 0
        return (), state.browsing.plane if self.scope.value == Scope.LATER else 0

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
            only, first = self._meant()
            if tuned and known is not None:
                self._hands.handle(LinkAll(known.options + options, True, known.mode, only, first))
            else:
                self._hands.handle(LinkAll(options, self.segment.value, only=only, first=first))

        self._hands.post(link)
