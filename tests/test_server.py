"""The server extension, on jupyter_server's own handler."""

from __future__ import annotations

import logging
import shlex
import subprocess
from types import SimpleNamespace

from jupyter_server.extension.utils import ExtensionModuleNotFound, get_metadata
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler

from microsam_nb import server
from microsam_nb.__main__ import main


def test_every_connection_of_a_kernel_is_opened_without_delay(monkeypatch):
    told = []
    monkeypatch.setattr(KernelWebsocketHandler, "open", lambda self, kernel: told.append(("opened", kernel)))
    server._load_jupyter_server_extension(SimpleNamespace(log=logging.getLogger("test")))
    connection = SimpleNamespace(set_nodelay=lambda on: told.append(("nodelay", on)))
    KernelWebsocketHandler.open(connection, "k1")
    assert told == [("nodelay", True), ("opened", "k1")]
    # The real handler has what the extension calls.
    assert callable(KernelWebsocketHandler.set_nodelay)


def test_jupyter_finds_the_extension_that_the_lab_command_names(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    called = []
    monkeypatch.setattr(subprocess, "call", lambda command, cwd: called.append(command) or 0)
    assert main(["lab", "--no-browser"]) == 0
    (option,) = [one for one in called[0] if "jpserver_extensions" in one]
    assert "--no-browser" in called[0], shlex.join(called[0])
    name = option.partition("=")[2].removesuffix("=True")
    try:
        _, points = get_metadata(name)
    except ExtensionModuleNotFound:
        raise AssertionError(f"{name} cannot be imported") from None
    assert points == [{"module": name}]
