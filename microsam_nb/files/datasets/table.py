"""The data sets of the paper "Segment Anything for Microscopy" (doi:10.1038/s41592-024-02580-4).

Layouts, keys, splits, addresses and names of functions were read in torch-em: torch_em/data/datasets/{light_microscopy,
electron_microscopy,histopathology}/*.py of github.com/constantinpape/torch-em. Counts given there are theirs; other
sizes and the licences were not looked up, and are "unknown" where they are not well known: ask at the source.
"""

from __future__ import annotations

from difflib import get_close_matches

from ...core import SettingsError
from .electron import ELECTRON
from .light import LIGHT
from .structure import DataSet

#: All of them, by name.
DATA_SETS = {one.name: one for one in (*LIGHT, *ELECTRON)}


def data_set(name: str) -> DataSet:
    """Return a data set by its name. Raises SettingsError, with the nearest name."""
    if name in DATA_SETS:
        return DATA_SETS[name]
    near = get_close_matches(name.lower(), DATA_SETS, 1, 0.4)
    meant = f"Did you mean {near[0]}? " if near else ""
    raise SettingsError(f"There is no data set {name!r}.", f"{meant}All are named by: benchmark list")
