"""The annotator on a page of JupyterLab, as browser tests drive it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from told import until_told

#: A nucleus of the bundled sample, (y, x), and a place between nuclei.
NUCLEUS = (104.0, 194.0)
SECOND = (40.0, 130.0)

CELL = """from microsam_nb import annotate_2d
from microsam_nb.files import samples
annotator = annotate_2d(samples.tissue(), project=False)
annotator"""

#: Kept in the kernel: what has arrived from the page.
COUNT = """
from time import time
seen, sent = globals().get("seen", []), globals().get("sent", [])
if not getattr(annotator, "_counted", False):
    annotator._counted = True
    def heard(_, message, __):
        seen.append(message["kind"])
        sent.append({**message, "arrived": 1000 * time()})
    annotator._interaction.on_msg(heard)
    annotator._screen.canvas.on_mouse_up(lambda x, y: seen.append("mouse_up"))
    annotator._screen.canvas.on_key_down(lambda *_: seen.append("key_down"))
    for one in annotator._toolbar.buttons.values():
        one.on_click(lambda _: seen.append("button"))
True"""


class Screen:
    """The annotator on the page."""

    def __init__(self, book: Any) -> None:
        self.book, self.page = book, book.page
        self.canvas = self.page.locator(".jp-OutputArea .msam-canvas canvas").first
        self.canvas.wait_for(timeout=120_000)
        self.canvas.scroll_into_view_if_needed()
        self.book.kernel(COUNT)

    def wait(self) -> None:
        """Wait until what the page has sent is answered and everything is drawn."""
        self.page.wait_for_timeout(150)
        until_told(self.book, "annotator", self.page)

    @contextmanager
    def telling(self, kind: str) -> Iterator[None]:
        """Wait until the page's next message of a kind has reached the kernel and everything is drawn.

        The test's own client does not queue behind the page's messages, so waiting for the kernel is not enough.
        """
        before = self.book.kernel(f"seen.count({kind!r})")
        yield
        for _ in range(600):
            if self.book.kernel(f"seen.count({kind!r})") > before:
                break
            self.page.wait_for_timeout(50)
        else:
            raise AssertionError(f"no {kind} reached the kernel")
        until_told(self.book, "annotator", self.page)

    def places(self, *points: tuple[float, float]) -> list[tuple[float, float]]:
        """The positions (x, y) on the canvas element of image positions (y, x)."""
        y, x, zoom, width, height = self.book.kernel(
            "v = annotator._screen.viewport\n[v.y, v.x, v.zoom, v.width, v.height]"
        )
        box = self.canvas.bounding_box()
        return [((q - x) * zoom * box["width"] / width, (p - y) * zoom * box["height"] / height) for p, q in points]

    def place(self, y: float, x: float) -> dict[str, float]:
        """The position on the canvas element of an image position."""
        across, below = self.places((y, x))[0]
        return {"x": across, "y": below}

    def show(self, y: float, x: float, zoom: float) -> None:
        """Let an image position be the corner of the screen, at a zoom in CSS pixels per image pixel."""
        self.book.kernel(
            "from microsam_nb.session import SetView\n"
            f"annotator.session.handle(SetView({y}, {x}, {zoom} * annotator._screen._density))\nTrue"
        )
        self.wait()
        # The kernel knows before the page does.
        self.page.wait_for_function(
            """([y, x, zoom]) => { const over = document.querySelector('.msam-overlay');
                const v = over.dataset.view.split(' ').map(Number);
                return v[0] === y && v[1] === x && Math.abs(v[2] - zoom) < 1e-9; }""",
            arg=self.book.kernel("v = annotator._screen.viewport\n[v.y, v.x, v.zoom]"),
        )

    def go(self, *points: tuple[float, float], button: str = "left", hold: bool = False) -> None:
        """Press at the first of some image positions, move through all, and release at the last."""
        box, mouse = self.canvas.bounding_box(), self.page.mouse
        (x, y), *rest = [(box["x"] + u, box["y"] + v) for u, v in self.places(*points)]
        mouse.move(x, y)
        mouse.down(button=button)
        for x, y in rest:
            mouse.move(x, y, steps=6)
        if not hold:
            mouse.up(button=button)

    def drag(self, kind: str, *points: tuple[float, float], button: str = "left") -> None:
        """A drag through image positions that sends a message of a kind."""
        with self.telling(kind):
            self.go(*points, button=button)

    def prompts(self) -> list[Any]:
        """The prompts as plain values."""
        return self.book.kernel(
            "from microsam_nb.core.prompts import prompt_to_json\n"
            "[prompt_to_json(p) for p in annotator.session.state.prompts]"
        )

    def ink(self) -> int:
        """How many pixels of the local preview are drawn."""
        return self.page.evaluate(
            """() => { const c = document.querySelector('.msam-overlay');
                const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
                let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; }"""
        )

    def click(self, y: float, x: float, kind: str = "click", **more: Any) -> None:
        where = self.place(y, x)
        with self.telling(kind):
            self.canvas.click(position=where, **more)

    def press(self, key: str, kind: str = "key") -> None:
        with self.telling(kind):
            self.page.keyboard.press(key)

    def button(self, name: str) -> None:
        with self.telling("button"):
            self.page.locator(f"button.msam-{name}").click()

    def pixel(self, y: float, x: float) -> list[int]:
        """RGBA of the visible canvas at an image position."""
        where, box = self.place(y, x), self.canvas.bounding_box()
        return self.page.evaluate(
            """([u, v]) => {
                const c = document.querySelector('.msam-canvas canvas');
                const x = Math.floor(u * c.width), y = Math.floor(v * c.height);
                return Array.from(c.getContext('2d').getImageData(x, y, 1, 1).data);
            }""",
            [where["x"] / box["width"], where["y"] / box["height"]],
        )

    def drawn(self) -> None:
        """Wait until the visible canvas shows a picture."""
        self.page.wait_for_function(
            """() => { const c = document.querySelector('.msam-canvas canvas');
                return c && c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data[3] === 255; }"""
        )

    def clean(self) -> None:
        """Wait until nothing of the local preview is left."""
        self.page.mouse.move(5, 5)
        for _ in range(50):
            if self.ink() == 0:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"{self.ink()} pixels of the preview are left")

    def says(self, text: str) -> None:
        """Wait until the status line says something."""
        try:
            self.page.locator(".msam-status", has_text=text).first.wait_for(timeout=120_000)
        except Exception as error:
            now = self.page.locator(".msam-status").all_inner_texts(), self.page.locator(".msam-work").all_inner_texts()
            raise AssertionError(f"{text!r} is not said, but {now}") from error

    def status(self) -> str:
        return self.page.locator(".msam-status").first.inner_text()

    def plane(self) -> int:
        """The plane, or frame, that the kernel shows."""
        return self.book.kernel("annotator.session.state.browsing.plane")

    def go_to(self, wanted: int) -> None:
        """Go to a plane with keys."""
        while (now := self.plane()) != wanted:
            self.press("z" if wanted > now else "Shift+Z")

    def open_panel(self, name: str) -> None:
        self.page.locator(f"button.msam-open-{name}").first.click()
        self.page.locator(f".msam-panel.msam-{name}").first.wait_for()
        self.wait()

    def shot(self, name: str) -> None:
        folder = os.environ.get("MSAM_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{folder}/{name}.png")


def labels(book: Any) -> np.ndarray:
    return np.array(book.kernel("annotator.labels.tolist()"))
