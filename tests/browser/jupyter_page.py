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
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import psutil
from jupyter_client import BlockingKernelClient
from playwright.sync_api import TimeoutError as Waited

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FOREIGN = (
    # Notebook 7.6 throws these while it opens any notebook, with a widget or without: parts of it start before others.
    "Cannot read properties of undefined (reading 'schema')",
    "Command 'filebrowser:open-path' not registered.",
    # JupyterLab asks for a subshell for every kernel that has widgets, and waits for nobody: it throws this where the
    # kernel or the connection ends before the answer.
    "Canceled future for create_subshell_request message before replies were done",
)


def find_chromium() -> str | None:
    """The browser named by CHROMIUM, or the first one on the path."""
    named = os.environ.get("CHROMIUM")
    return named or next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)


class Lab:
    """A JupyterLab server with its own configuration, below a temporary folder.

    It also serves Notebook 7 and Voila where they are installed. ``options`` go to its command line. ``program``: the
    module and command that starts it, in a folder ``work``; ``root``: the folder of notebooks below, if it is another.
    """

    def __init__(
        self, folder: Path, *options: str, program: tuple[str, str] = ("jupyter", "lab"), root: str = ""
    ) -> None:
        self.folder = folder
        (folder / "work").mkdir()
        self.work = folder / "work" / root
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
        # No question whether to fetch news, which would lie over the page.
        told = folder / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
        told.mkdir(parents=True)
        (told / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
        environment = dict(os.environ, **{k: str(folder / v) for k, v in places.items()})
        self.runtime = folder / "runtime"
        self.log = (folder / "server.log").open("w")
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", *program, "--no-browser", "--allow-root", f"--port={self.port}",
                "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=", "--ServerApp.password=",
                "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={self.work}", *options,
            ],
            env=environment, stdout=self.log, stderr=self.log, cwd=folder / "work",
        )  # fmt: skip
        self.until(lambda: self.get("/api/status"), 90)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=5) as answer:
            return json.load(answer)

    def delete(self, path: str) -> None:
        self._ask("DELETE", path)

    def post(self, path: str) -> None:
        self._ask("POST", path)

    def _ask(self, method: str, path: str) -> None:
        request = urllib.request.Request(self.url + path, method=method)
        urllib.request.urlopen(request, timeout=20).close()

    def write(self, name: str, *cells: str) -> None:
        """Write a notebook file of code cells."""
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, self.work / name)

    def session(self, name: str) -> dict[str, Any] | None:
        return next((s for s in self.get("/api/sessions") if s["path"] == name), None)

    def idle(self, name: str, seconds: float = 90) -> str:
        """Wait until the kernel of a notebook is idle; return the kernel's id."""

        def ready() -> str | None:
            found = self.session(name)
            return found["kernel"]["id"] if found and found["kernel"]["execution_state"] == "idle" else None

        return self.until(ready, seconds)

    def until(self, check: Any, seconds: float = 30) -> Any:
        """Wait until a function returns something true, and return it."""
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
    """An open notebook: its page, and a second client that talks to its kernel without disturbing the page.

    ``address``: of a proxy instead of the server. ``place``: "lab/tree" for JupyterLab, "notebooks" for Notebook 7.
    ``script`` runs in the page before anything else.
    """

    def __init__(
        self,
        lab: Lab,
        browser: Any,
        name: str,
        *,
        density: float = 1,
        block: str = "",
        address: str = "",
        place: str = "lab/tree",
        script: str = "",
    ) -> None:
        self.lab, self.browser, self.name = lab, browser, name
        self.density, self.block, self.script = density, block, script
        self.address = f"{address or lab.url}/{place}/{name}"
        self.errors: list[str] = []
        #: Pictures of annotators with nothing but the image on them, by name; see picture.py.
        self.bare: dict[str, Any] = {}
        self._client: Any = None
        self.load()

    def load(self) -> None:
        """Open the notebook in a new page; its kernel goes on when there is one."""
        self.page = self.another_page()

    def another_page(self) -> Any:
        """Open the notebook in one more tab."""
        page = self.browser.new_page(viewport={"width": 1300, "height": 1000}, device_scale_factor=self.density)
        if self.script:
            page.add_init_script(self.script)
        if self.block:
            page.route(self.block, lambda route: route.abort())
        page.on("pageerror", lambda error: str(error) in FOREIGN or self.errors.append(error.stack or str(error)))
        page.goto(self.address + ("?reset" if "/lab/" in self.address else ""), timeout=90_000)
        self._until_open(page)
        return page

    def save(self) -> None:
        """Save the notebook with what its cells show; wait until the file has it."""
        file = self.lab.work / self.name
        self.page.locator('[data-command="docmanager:save"]').first.click()
        self.lab.until(lambda: "widget-view+json" in file.read_text())

    def _until_open(self, page: Any) -> None:
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
        self.lab.idle(self.name)
        if "/lab/" in self.address:
            # The page hears of the kernel later than the server: a cell that is run before is not.
            page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=90_000)

    def run(self, cell: int = 0) -> None:
        """Click into a code cell and press Ctrl-Enter, again when a page that is busy did not take it."""
        area = self.page.locator(".jp-Notebook .jp-CodeCell .jp-InputArea").nth(cell)
        for _ in range(4):
            area.locator(".cm-content").click()
            # Whatever JupyterLab writes where the number of the run stands, takes the place of this.
            area.locator(".jp-InputPrompt").evaluate("(prompt) => prompt.append(document.createElement('wbr'))")
            self.page.keyboard.press("Control+Enter")
            try:
                area.locator(".jp-InputPrompt wbr").first.wait_for(state="detached", timeout=15_000)
            except Waited:
                continue
            return
        raise AssertionError(f"the page does not run cell {cell} of {self.name}")

    def kernel_id(self) -> str:
        return self.lab.session(self.name)["kernel"]["id"]

    def kernel(self, code: str) -> Any:
        """Run code in the notebook's kernel; return the value of its last expression, through JSON."""
        if self._client is None:
            file = self.lab.runtime / f"kernel-{self.kernel_id()}.json"
            self._client = BlockingKernelClient(connection_file=str(file))
            self._client.load_connection_file()
            self._client.start_channels()
            self._client.wait_for_ready(20)
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

    def until(self, expression: str, seconds: float = 30) -> Any:
        """Wait until an expression is true in the kernel; return its value."""
        end = time.monotonic() + seconds
        while True:
            value = self.kernel(expression)
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"{expression} stayed {value!r} for {seconds} s")
            self.page.wait_for_timeout(30)

    def restart(self) -> None:
        """Restart the kernel from the menu, as a user does: JupyterLab takes a restart behind its back badly."""
        old = self.kernel("__import__('os').getpid()")
        self.page.get_by_role("menuitem", name="Kernel", exact=True).click()
        self.page.locator('.lm-Menu-item[data-command="kernelmenu:restart"]').click()
        self.page.locator(".jp-Dialog button.jp-mod-accept").click()
        self.until_new_kernel(old)

    def until_new_kernel(self, old: int) -> None:
        """Wait until the notebook has another kernel than that of process ``old``."""
        self.forget_kernel()
        self.lab.until(lambda: not psutil.pid_exists(old), 60)

        def answers() -> bool:
            self.forget_kernel()
            try:
                return self.kernel("__import__('os').getpid()") != old
            except RuntimeError:  # the server has not started it yet
                return False

        self.lab.until(answers, 90)
        self.lab.idle(self.name)

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


class VoilaPage(Notebook):
    """A notebook rendered by Voila, which runs its cells by itself and shows no notebook."""

    def __init__(self, lab: Lab, browser: Any, name: str, **more: Any) -> None:
        self._before = {one["id"] for one in lab.get("/api/kernels")}
        super().__init__(lab, browser, name, place="voila/render", **more)

    def _until_open(self, page: Any) -> None:
        page.wait_for_selector(".msam-canvas canvas", timeout=90_000)

    def kernel_id(self) -> str:
        (new,) = {one["id"] for one in self.lab.get("/api/kernels")} - self._before
        return new

    def close(self) -> None:
        found = self.kernel_id()
        self.forget_kernel()
        self.page.close()
        # Voila shuts its kernel down by itself when the page says goodbye.
        with suppress(OSError):
            self.lab.delete(f"/api/kernels/{found}")
