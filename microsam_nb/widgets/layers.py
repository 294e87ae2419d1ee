"""The panel of layers: what is shown, and how opaque."""

from __future__ import annotations

import ipywidgets as widgets

from ..session import Change, Layer, LayerName, Session, SetLayer
from ..session.wording import worded
from ..view import VOLUME, Command, key_of
from .buttons import command_button, mark
from .hands import Bound, Hands
from .panels import title

#: From the top to the bottom, as they lie on the screen.
_NAMES = {
    LayerName.PROMPTS: ("Prompts", Command.SHOW_PROMPTS),
    LayerName.NEIGHBOURS: ("Neighbours", Command.SHOW_NEIGHBOURS),
    LayerName.PROPOSAL: ("Proposal", Command.SHOW_PROPOSAL),
    LayerName.CANDIDATES: ("Candidates", Command.SHOW_CANDIDATES),
    LayerName.OBJECTS: ("Objects", Command.SHOW_OBJECTS),
    LayerName.IMAGE: ("Image", Command.SHOW_IMAGE),
}


class LayersPanel:
    """A line per layer with a check box and a slider; how objects are drawn; what the model sees."""

    def __init__(self, session: Session, hands: Hands) -> None:
        self._session = session
        self.checks: dict[LayerName, widgets.Checkbox] = {}
        self.sliders: dict[LayerName, widgets.FloatSlider] = {}
        self._bound: dict[LayerName, tuple[Bound, Bound]] = {}
        lines = []
        for name, (text, command) in _NAMES.items():
            if command in VOLUME and session.shape[0] == 1:
                continue
            # Of movies only: they lie in the other frames too, and are shown and hidden with them.
            more = ", with the trails of picked tracks" if session.movie and name is LayerName.NEIGHBOURS else ""
            words = f"Show or hide{more} [{key_of(command)}]"
            text = worded(text, movie=session.movie)
            check = widgets.Checkbox(True, description=text, indent=False, tooltip=words)
            slider = widgets.FloatSlider(
                1.0, min=0.0, max=1.0, step=0.05, readout_format=".0%", tooltip=f"How opaque: {text.lower()}"
            )
            check.add_class(f"msam-show-{name.value}")
            slider.add_class(f"msam-opacity-{name.value}")

            def show(on: bool, name: LayerName = name) -> None:
                hands.handle(SetLayer(name, visible=on))

            def fade(value: float, name: LayerName = name) -> None:
                hands.handle(SetLayer(name, opacity=value))

            self.checks[name], self.sliders[name] = check, slider
            self._bound[name] = Bound(check, hands, show), Bound(slider, hands, fade)
            lines.append(widgets.HBox([check, slider]))
        self.buttons = {
            command: command_button(command, icon, worded(words, movie=session.movie), hands.act, text)
            for command, icon, words, text in (
                (Command.CONTOURS, "circle-o", "Objects as outlines or filled", "Outlines"),
                (Command.FAINTER, "minus", "Objects more transparent", ""),
                (Command.STRONGER, "plus", "Objects more opaque", ""),
                (Command.AS_MODEL, "eye", "Show what the model sees", "As the model sees it"),
            )
        }
        below = widgets.Box(list(self.buttons.values()))
        below.add_class("msam-group")
        self.box = widgets.VBox([title("Layers"), *lines, below])

    def show(self, change: Change) -> None:
        if not (change.layers or change.tool):
            return
        browsing = self._session.state.browsing
        for name, (check, slider) in self._bound.items():
            layer: Layer = getattr(browsing.layers, name.value)
            check.show(layer.visible)
            slider.show(round(layer.opacity, 3))
        mark(self.buttons[Command.CONTOURS], browsing.layers.contours)
        mark(self.buttons[Command.AS_MODEL], browsing.as_model)

    def close(self) -> None:
        """All widgets are children of the box."""
