"""A network between browser and server: slower, or cut."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine
from typing import Any


class Proxy:
    """Passes TCP connections on to a port of this computer, each direction ``delay`` seconds later, in order.

    Bandwidth is not limited. ``cut`` drops all connections and refuses new ones until ``mend``.
    """

    def __init__(self, target: int, delay: float = 0.0) -> None:
        self.delay = delay
        self._target = target
        self._whole = True
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._connect, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        async def do() -> None:
            self._whole = False
            for one in list(self._open):
                one.transport.abort()

        self._run(do())

    def mend(self) -> None:
        self._whole = True

    def close(self) -> None:
        async def do() -> None:
            self._server.close()
            for one in list(self._open):
                one.transport.abort()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._run(do())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            writer.transport.abort()
            return
        try:
            up, down = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, down}
        self._open |= both
        for one in both:
            one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.gather(self._pass(reader, down), self._pass(up, writer))
        finally:
            self._open -= both

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read as fast as data comes, so that one waiting piece does not hold up the clock of the next."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def write() -> None:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                if not data:
                    return
                writer.write(data)
                await writer.drain()

        writing = asyncio.create_task(write())
        with contextlib.suppress(OSError):
            while data := await reader.read(2**18):
                queue.put_nowait((self._loop.time() + self.delay, data))
        queue.put_nowait((self._loop.time() + self.delay, b""))
        with contextlib.suppress(OSError):
            await writing
        writer.close()
