"""JupyterLab in a real Chromium: one server for all browser tests, one page and kernel per notebook."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_page import FLAGS, Lab, Notebook, find_chromium
from playwright.sync_api import sync_playwright


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a browser test once more when it fails: on a machine under load a page may be late for the test.

    A rerun is named in the summary; whatever needs one twice is a fault to be found.
    """
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    server = Lab(tmp_path_factory.mktemp("lab"), "--ServerApp.jpserver_extensions=microsam_nb.server=True")
    yield server
    server.close()


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    path = find_chromium()
    if path is None:
        pytest.fail(
            "No Chromium was found. Install it (Debian: apt-get install chromium), or set CHROMIUM to its path."
        )
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_notebook(lab: Lab, chromium: Any) -> Iterator[Any]:
    """Open a notebook file, or cells given as source, and close everything after the test."""
    opened: list[Notebook] = []

    def opener(
        name: str, *cells: str, source: Path | None = None, kind: type[Notebook] = Notebook, **more: Any
    ) -> Notebook:
        if source is not None:
            shutil.copy(source, lab.work / name)
        else:
            lab.write(name, *cells)
        opened.append(kind(lab, chromium, name, **more))
        return opened[-1]

    yield opener
    for one in opened:
        one.close()
        # A single error means that the drawing queue of the page is dead.
        assert not one.errors, one.errors
