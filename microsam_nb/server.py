"""A Jupyter server extension: what the kernel says reaches the browser at once.

Tornado leaves Nagle's algorithm on, so that the second of two messages in quick succession waits until the browser's
system has acknowledged the first: up to 40 ms per click. ``python -m microsam_nb lab`` loads this extension; another
server does with ``--ServerApp.jpserver_extensions=microsam_nb.server=True``.
"""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Send what kernels say without delay, on every connection opened from now on."""
    from jupyter_server.services.kernels import websocket

    handler: Any = websocket.KernelWebsocketHandler
    opened = handler.open

    def open_at_once(self: Any, *args: Any, **more: Any) -> Any:
        self.set_nodelay(True)
        return opened(self, *args, **more)

    handler.open = open_at_once
    server.log.info("microsam_nb: messages of kernels are sent without delay.")
