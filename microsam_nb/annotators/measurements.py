"""Numbers about committed objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import Image
from ..core.measuring import Subject, measure_objects
from ..session import Session

if TYPE_CHECKING:
    from pandas import DataFrame


def measure(image: Image, session: Session) -> DataFrame:
    """Return the table of ``measure_objects`` for the committed objects of a session."""
    return measure_objects((Subject(row.label, row.box, row.info) for row in session.rows()), session.crop, image)
