"""One annotator's picture on one page, as a test sees it: by its pixels, whatever draws them."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image as Bitmap
from playwright.sync_api import TimeoutError as Waited
from told import until_told

#: Pixels inside the proposal, none of them under the dot of a click.
INSIDE = """
import numpy as np
from scipy import ndimage
found = {name}.session.state.proposal.mask.dense({name}.session.shape)[0]
deep = np.argwhere(ndimage.binary_erosion(found)) + 0.5
for one in {name}.session.state.prompts:
    deep = deep[np.hypot(deep[:, 0] - one.y, deep[:, 1] - one.x) > 3.5]
deep[:: max(1, len(deep) // 12)].tolist()"""

#: RGBA of the visible canvas, or of the layer over it, at places given as shares of width and height.
READ = """([number, over, shares]) => {
  const box = document.querySelectorAll('.msam-canvas')[number];
  const c = box?.querySelector(over ? 'canvas.msam-overlay' : 'canvas:not(.msam-overlay)');
  if (!c || !c.width) return null;
  const ink = c.getContext('2d');
  return shares.map(([u, v]) => Array.from(
    ink.getImageData(Math.floor(u * c.width), Math.floor(v * c.height), 1, 1).data));
}"""

Place = tuple[float, float]


class Picture:
    """``name`` is the annotator's variable in the kernel; ``number`` says which picture of the page it is."""

    def __init__(
        self, book: Any, name: str = "annotator", number: int = 0, page: Any = None, *, settled: bool = True
    ) -> None:
        self.book, self.name, self.number = book, name, number
        self.page = page or book.page
        self.canvas = self.page.locator(".msam-canvas").nth(number).locator("canvas").first
        self.canvas.wait_for(timeout=120_000)
        self.until_drawn()
        if settled:
            self.settle()
            self.remember()

    def until_drawn(self) -> None:
        """Wait until the picture is there, the model is ready, and the layer over it answers the pointer."""
        self.book.until(f"bool({self.name}.session.model)", 60)
        self.until([(0.5, 0.5)], "now[0][3] === 255", shares=True)
        self.page.locator(".msam-canvas").nth(self.number).locator("canvas.msam-overlay").wait_for(state="attached")

    def settle(self) -> None:
        """Wait until the kernel has nothing left to do for this annotator."""
        self.book.kernel(f"{self.name}.wait()\nTrue")

    def share(self, y: float, x: float) -> Place:
        """An image position as shares of the canvas' width and height."""
        view = self.book.kernel(f"v = {self.name}._screen.viewport\n[v.y, v.x, v.zoom, v.width, v.height]")
        return (x - view[1]) * view[2] / view[3], (y - view[0]) * view[2] / view[4]

    def at(self, y: float, x: float) -> Place:
        """An image position on the page, in CSS pixels from its corner."""
        self.canvas.scroll_into_view_if_needed()
        (u, v), box = self.share(y, x), self.page.locator(".msam-canvas").nth(self.number).bounding_box()
        return box["x"] + u * box["width"], box["y"] + v * box["height"]

    def click(self, y: float, x: float, button: str = "left") -> None:
        self.page.mouse.click(*self.at(y, x), button=button)

    def pixels(self, places: list[Place], over: bool = False) -> list[list[int]]:
        return self.page.evaluate(READ, [self.number, over, [self.share(*p) for p in places]])

    def until(
        self, places: list[Place], test: str, before: Any = None, *, over: bool = False, shares: bool = False
    ) -> None:
        """Wait until a JavaScript test of the pixels ``now`` at some places, against ``before``, is true."""
        where = places if shares else [self.share(*p) for p in places]
        try:
            self.page.wait_for_function(
                f"([given, before]) => {{ const now = ({READ})(given); return now !== null && {test}; }}",
                arg=[[self.number, over, where], before],
                timeout=30_000,
            )
        except Waited as error:
            now = self.page.evaluate(READ, [self.number, over, where])
            raise AssertionError(f"{test} at {places}: now {now}, before {before}") from error

    def until_proposed(self, prompts: int = 1) -> list[Place]:
        """Wait until the answer to some clicks is yellow on the picture; return places in it."""
        self.book.until(f"len({self.name}.session.state.prompts) == {prompts} and {self.name}.session.state.answered")
        places = [tuple(p) for p in self.book.kernel(INSIDE.format(name=self.name))]
        assert len(places) >= 4, "the answer is too small to be seen"
        # Yellow over any colour, black and white as well, leaves more red beside blue than there was.
        test = "now.every((p, i) => p[0] - p[2] > before[i][0] - before[i][2] + 15)"
        self.until(places, test, self.plain(places))
        return places

    def until_shown(self, places: list[Place], objects: bool) -> None:
        """Wait until committed objects are, or nothing is, drawn over the image at some places."""
        test = (
            "now.every((p, i) => Math.hypot(...p.map((v, k) => v - before[i][k])) > 15)"
            if objects
            else "now.every((p, i) => p.every((v, k) => Math.abs(v - before[i][k]) <= 1))"
        )
        self.until(places, test, self.plain(places))

    def plain(self, places: list[Place]) -> list[list[int]]:
        """RGBA of the picture when nothing but the image was on it; the view must be the same now."""
        bare = self.book.bare[self.name]
        size = self.canvas.evaluate("(c) => [c.height, c.width]")
        assert size == list(bare.shape[:2]), "the canvas has another size than when it was bare"
        shares = [self.share(*p) for p in places]
        return [bare[int(v * size[0]), int(u * size[1])].tolist() for u, v in shares]

    def remember(self) -> None:
        """Keep what is on the canvas when nothing but the image is."""
        found = self.book.kernel(f"s = {self.name}.session\n[len(s.state.prompts), int({self.name}.labels.max())]")
        until_told(self.book, self.name, self.page)  # what was taken back may be there still
        if found == [0, 0] and self.book.kernel(f"{self.name}.session.state.browsing.view is None"):
            url = self.canvas.evaluate("(c) => c.toDataURL('image/png')")
            picture = Bitmap.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
            self.book.bare[self.name] = np.asarray(picture.convert("RGBA"))

    def status(self) -> str:
        return self.page.locator(".msam-status").nth(self.number).inner_text()

    def until_said(self, words: str) -> None:
        self.page.wait_for_function(
            "([n, words]) => document.querySelectorAll('.msam-status')[n]?.innerText.includes(words)",
            arg=[self.number, words],
        )
