"""What the objects were when an annotation was opened, for the view of what has changed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..session import Session
from ..session.packing import pack, unpack

#: Bytes of labels up to which they are kept, packed.
_KEPT = 2**28


class Earlier:
    """Keeps the objects of a session as they are now; called, it returns those that were loaded since, or else these.

    They are uint32 (planes, h, w), None where they were too large to be kept.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        empty, small = not session.labels.count(), session.labels.volume.nbytes <= _KEPT
        self._empty = empty
        # Labels that were loaded are packed already. Loading them may be undone.
        self._data = session.loaded or (pack(session.labels.volume) if small and not empty else "")

    def __call__(self) -> NDArray[np.uint32] | None:
        data = self._session.loaded or self._data
        if data:
            return unpack(data, self._session.shape)
        return np.zeros(self._session.shape, np.uint32) if self._empty else None
