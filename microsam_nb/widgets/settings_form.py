"""Settings as a form: a slider, a field or a menu for each, with its bounds, unit and help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import ipywidgets as widgets

from ..core import Option
from .hands import Bound, Poster

#: Values of more than so many steps are typed, not dragged.
_STEPS = 1000
#: So are fractions of a wider range: on a slider the small ones would be beside each other.
_WIDE = 30


class SettingsForm:
    """A widget for every option; ``changed`` gets the name and the new value, on the screen's thread."""

    def __init__(self, options: Sequence[Option], hands: Poster, changed: Callable[[str, Any], None]) -> None:
        self.options = {one.name: one for one in options}
        self.fields: dict[str, widgets.Widget] = {}
        self._bound: dict[str, Bound] = {}
        for one in options:
            field = self.fields[one.name] = _field(one)
            field.add_class("msam-setting")
            field.add_class(f"msam-setting-{one.name.replace('_', '-')}")
            self._bound[one.name] = Bound(field, hands, _sender(one.name, changed))
        self.box = widgets.VBox(list(self.fields.values()))
        self.box.add_class("msam-form")

    def show(self, values: dict[str, Any]) -> None:
        """Show values without sending them."""
        for name, value in values.items():
            if name in self._bound:
                kind = self.options[name].kind
                self._bound[name].show(kind(value) if kind in (int, float) else value)


def _sender(name: str, changed: Callable[[str, Any], None]) -> Callable[[Any], None]:
    return lambda value: changed(name, value)


def _field(one: Option) -> widgets.Widget:
    words = one.name.replace("_", " ").capitalize()
    unit = f" ({one.unit})" if one.unit else ""
    about: dict[str, Any] = {
        "description": f"{words}{unit}", "tooltip": f"{one.help} Between {one.low:g} and {one.high:g}."
        if one.low is not None and one.high is not None else one.help,
        "style": {"description_width": "112px"},
    }  # fmt: skip
    if issubclass(one.kind, Enum):
        choices = [(str(member.value), str(member.value)) for member in one.kind]
        return widgets.Dropdown(options=choices, value=str(one.default.value), **about)
    if one.kind is bool:
        return widgets.Checkbox(one.default, description=f"{words}{unit}", tooltip=one.help, indent=False)
    if one.kind is str:
        return widgets.Text(value=one.default, continuous_update=False, **about)
    low, high = one.low or 0, one.high if one.high is not None else 2**31
    if one.kind is int:
        slider = high - low <= _STEPS
        kind = widgets.IntSlider if slider else widgets.BoundedIntText
        extra = {"continuous_update": False} if one.costly and slider else {}
        return kind(value=one.default, min=int(low), max=int(high), **extra, **about)
    if high - low > _WIDE:
        step = 1.0 if high - low > _STEPS else 0.1
        return widgets.BoundedFloatText(value=one.default, min=low, max=high, step=step, **about)
    step = 0.01 if high - low <= 1 else 0.1
    if low > 0 and high > _STEPS * low:
        # Of numbers such as rates a slider would leave out all that matter.
        return widgets.BoundedFloatText(value=one.default, min=low, max=high, step=None, **about)
    return widgets.FloatSlider(
        value=one.default, min=low, max=high, step=step, readout_format=".2f", continuous_update=not one.costly, **about
    )
