"""What a training is set up with: a preset, what learns, and all other settings, the common ones first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets

from ..core import Option
from ..view.training import AS_SET, LEARNS, learns
from .buttons import plain_button, visible
from .hands import Bound, Poster
from .settings_form import SettingsForm

#: Settings that are not folded away.
_COMMON = ("steps", "rate", "batch", "objects")
#: What the menu of presets shows where the settings are others.
_OWN = "Own settings"


@dataclass(frozen=True, slots=True)
class PresetChoice:
    """Settings for a kind of machine, as plain values by name; ``label`` for people."""

    label: str
    settings: Mapping[str, Any]


class TrainingSetup:
    """The form; ``changed`` gets the settings that the user changes, on the screen's thread."""

    def __init__(
        self,
        options: Sequence[Option],
        presets: Sequence[PresetChoice],
        hands: Poster,
        changed: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._presets = {one.label: one.settings for one in presets}

        def set_one(name: str, value: Any) -> None:
            changed({name: value})

        by_name = {one.name: one for one in options}
        self.common = SettingsForm([by_name[name] for name in _COMMON], hands, set_one)
        self.others = SettingsForm([one for one in options if one.name not in _COMMON], hands, set_one)
        self.preset = _menu("Preset", "Settings that suit a machine", [*self._presets, _OWN])
        self.learns = _menu("What learns", "Fewer parts need less time and memory", [*LEARNS, AS_SET])
        self._menus = [
            Bound(self.preset, hands, lambda label: changed(self._presets.get(label, {}))),
            Bound(self.learns, hands, lambda words: changed(LEARNS.get(words, {}))),
        ]
        self.fold = plain_button(
            "msam-all-settings", "caret-right", "Show all other settings, or hide them",
            lambda: hands.post(self._fold), "All settings",
        )  # fmt: skip
        self.others.box.add_class("msam-others")
        visible(self.others.box, False)
        top = widgets.VBox([self.preset, self.learns, *self.common.box.children])
        top.add_class("msam-form")
        self.box = widgets.VBox([top, widgets.Box([self.fold]), self.others.box])
        self.box.add_class("msam-setup")

    def show(self, settings: Mapping[str, Any]) -> None:
        """Show settings without sending them."""
        preset, words = self._menus
        same = (label for label, some in self._presets.items() if _hold(some, settings))
        preset.show(next(same, _OWN))
        words.show(learns(settings))
        for form in (self.common, self.others):
            form.show(dict(settings))

    def _fold(self) -> None:
        unfolded = self.others.box.layout.display != "none"
        visible(self.others.box, not unfolded)
        self.fold.icon = "caret-right" if unfolded else "caret-down"


def _hold(some: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    return all(settings.get(name) == value for name, value in some.items())


def _menu(words: str, tooltip: str, choices: Sequence[str]) -> widgets.Dropdown:
    menu = widgets.Dropdown(
        options=choices, description=words, tooltip=tooltip, style={"description_width": "112px"},
    )  # fmt: skip
    menu.add_class("msam-setting")
    menu.add_class(f"msam-{words.lower().replace(' ', '-')}")
    return menu
