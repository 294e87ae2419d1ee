"""Sessions on a folder."""

from __future__ import annotations

import pytest
from loose import kill, opened


@pytest.fixture
def reopen(request, tmp_path):
    """``reopen()`` is a session of the file's SHAPE on the folder, as after a killed kernel."""
    sessions = []

    def again():
        sessions.append(opened(tmp_path, request.module.SHAPE))
        return sessions[-1]

    yield again
    for one in sessions:
        kill(one)
