"""A JupyterLab server, and a notebook open in it, as tests and benchmarks drive them."""

from __future__ import annotations

import ast
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from jupyter_client import BlockingKernelClient

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium() -> str | None:
    """The browser named by CHROMIUM, or the first one on the path."""
    named = os.environ.get("CHROMIUM")
    return named or next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)


class Lab:
    """A JupyterLab server with its own configuration, below a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        places = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "IPYTHONDIR": "ipython",
        }
        environment = dict(os.environ, **{k: str(folder / v) for k, v in places.items()})
        self.runtime = folder / "runtime"
        self.log = (folder / "server.log").open("w")
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={self.port}",
                "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=", "--ServerApp.password=",
                "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={self.work}",
            ],
            env=environment, stdout=self.log, stderr=self.log,
        )  # fmt: skip
        self._until(lambda: self.get("/api/status"), 90)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=5) as answer:
            return json.load(answer)

    def delete(self, path: str) -> None:
        request = urllib.request.Request(self.url + path, method="DELETE")
        urllib.request.urlopen(request, timeout=20).close()

    def session(self, name: str) -> dict[str, Any] | None:
        return next((s for s in self.get("/api/sessions") if s["path"] == name), None)

    def idle(self, name: str, seconds: float = 90) -> str:
        """Wait until the kernel of a notebook is idle; return the kernel's id."""

        def ready() -> str | None:
            found = self.session(name)
            return found["kernel"]["id"] if found and found["kernel"]["execution_state"] == "idle" else None

        return self._until(ready, seconds)

    def _until(self, check: Any, seconds: float) -> Any:
        end = time.monotonic() + seconds
        while True:
            try:
                if found := check():
                    return found
            except OSError:
                pass
            if time.monotonic() > end:
                self.log.flush()
                raise TimeoutError((self.folder / "server.log").read_text()[-3000:])
            time.sleep(0.1)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


class Notebook:
    """An open notebook: its page, and a second client that talks to its kernel without disturbing the page."""

    def __init__(
        self, lab: Lab, browser: Any, name: str, *, density: float = 1, block: str = "", app: str = "lab"
    ) -> None:
        self.lab, self.browser, self.name = lab, browser, name
        self.density, self.block = density, block
        self.place = "lab/tree" if app == "lab" else "notebooks"
        self.errors: list[str] = []
        self._client: Any = None
        self.load()

    def load(self) -> None:
        """Open the notebook in a new page; its kernel goes on when there is one."""
        self.page = self.browser.new_page(viewport={"width": 1300, "height": 1000}, device_scale_factor=self.density)
        if self.block:
            self.page.route(self.block, lambda route: route.abort())
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"{self.lab.url}/{self.place}/{self.name}?reset")
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
        self.lab.idle(self.name)

    def run(self, cell: int = 0) -> None:
        """Click into a code cell and press Ctrl-Enter."""
        self.page.locator(".jp-Notebook .jp-CodeCell .jp-InputArea .cm-content").nth(cell).click()
        self.page.keyboard.press("Control+Enter")

    def kernel(self, code: str) -> Any:
        """Run code in the notebook's kernel; return the value of its last expression, through JSON."""
        if self._client is None:
            name = f"kernel-{self.lab.session(self.name)['kernel']['id']}.json"
            self._client = BlockingKernelClient(connection_file=str(self.lab.runtime / name))
            self._client.load_connection_file()
            self._client.start_channels()
            self._client.wait_for_ready(60)
        lines = code.strip().splitlines()
        lines[-1] = f"__import__('json').dumps({lines[-1]})"
        source = "\n".join(lines[:-1])
        reply = self._client.execute_interactive(
            source, silent=True, store_history=False, user_expressions={"out": lines[-1]}, timeout=90,
            output_hook=lambda _: None,
        )  # fmt: skip
        content = reply["content"]
        if content["status"] != "ok" or content["user_expressions"]["out"]["status"] != "ok":
            raise AssertionError(json.dumps(content, indent=1)[:4000])
        text = content["user_expressions"]["out"]["data"]["text/plain"]
        return json.loads(ast.literal_eval(text))

    def forget_kernel(self) -> None:
        if self._client is not None:
            self._client.stop_channels()
            self._client = None

    def close(self) -> None:
        self.forget_kernel()
        self.page.close()
        found = self.lab.session(self.name)
        if found:
            self.lab.delete(f"/api/sessions/{found['id']}")
