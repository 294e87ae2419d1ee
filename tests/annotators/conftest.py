"""Messages of the page, to the ``annotator`` of a test file."""

from __future__ import annotations

import json
import time

import pytest


@pytest.fixture
def send(annotator):
    """Send a message as interaction.js does; with ``wait``, until everything is done."""
    count = 0

    def make(kind, wait=True, **more):
        nonlocal count
        count += 1
        message = {
            "kind": kind, "screen": "page", "number": count, "time": time.time() * 1000, "button": 0, "shift": False,
            "plane": annotator.session.state.browsing.plane, "ctrl": False, "alt": False, **more,
        }  # fmt: skip
        annotator._interaction._handle_custom_msg(json.loads(json.dumps(message)), [])
        if wait:
            annotator.wait()

    return make


@pytest.fixture
def key(send):
    return lambda name, wait=True, **more: send("key", wait, key=name, **more)
