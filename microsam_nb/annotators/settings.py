"""How an annotator starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..core import Overlap, Settings, SettingsError, option
from ..session import Action, SetBatched, SetBrush, SetLive, SetOverlap


@dataclass(frozen=True)
class AnnotatorSettings(Settings):
    """Options of a new annotation, and the height of its screen; a project that is opened again keeps its own."""

    live: bool = option(True, "The model answers after every prompt; else when it is asked with S.")
    batched: bool = option(False, "Every positive point and every box is an object of its own.")
    overlap: Overlap = option(Overlap.KEEP, "What happens where a new object meets committed ones.")
    brush: float = option(10.0, "Diameter of brush and eraser.", low=1, high=1000, unit="pixels of the image")
    height: int = option(640, "Largest height of the screen.", low=200, high=4000, unit="CSS pixels")

    @classmethod
    def of(cls, given: AnnotatorSettings | Mapping[str, Any] | None) -> AnnotatorSettings:
        """Take settings, or a mapping of some of them. Raises SettingsError."""
        if given is None:
            return cls()
        if isinstance(given, cls):
            return given
        if not isinstance(given, Mapping):
            raise SettingsError(
                f"{given!r} are no settings.", "Give AnnotatorSettings(...), or a dict such as {'live': False}."
            )
        names = [one.name for one in fields(cls)]
        values = dict(given)
        for name in values:
            if name not in names:
                raise SettingsError(f"There is no setting {name!r}.", f"Use one of: {', '.join(names)}.")
        if isinstance(values.get("overlap"), str) and values["overlap"] in [str(one.value) for one in Overlap]:
            values["overlap"] = Overlap(values["overlap"])
        return cls(**values)

    def actions(self) -> list[Action]:
        """Return what brings a new session to these settings."""
        new = AnnotatorSettings()
        possible: dict[str, Action] = {
            "live": SetLive(self.live),
            "batched": SetBatched(self.batched),
            "overlap": SetOverlap(self.overlap),
            "brush": SetBrush(float(self.brush)),
        }
        return [action for name, action in possible.items() if getattr(self, name) != getattr(new, name)]
