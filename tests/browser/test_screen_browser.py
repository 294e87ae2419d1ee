"""What the screen shows in a real browser: a plane of 20,000 x 20,000 pixels, and a fluorescence image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_annotate_2d_browser import Screen

pytestmark = pytest.mark.browser

#: Lazy pixels that are computed where they are read: cells on a grid, each with its own size.
LARGE = """
import numpy as np
from microsam_nb import annotate_2d
from microsam_nb.core import Image, Mask

class Slide:
    shape, dtype, chunks = (20_000, 20_000), np.dtype("uint16"), (512, 512)
    read = 0
    def __getitem__(self, key):
        y, x = (np.arange(n)[k] for n, k in zip(self.shape, key))
        Slide.read += len(y) * len(x)
        radius = 8 + (y[:, None] // 40 * 7 + x // 40 * 5) % 9
        inside = np.hypot((y % 40 - 20)[:, None], x % 40 - 20) < radius
        grain = (y[:, None] * 7919 + x * 104729) % 251
        return (300 + 4 * grain + inside * (1500 + 8 * grain)).astype(np.uint16)

annotator = annotate_2d(Image(Slide(), "yx"), project=False)
annotator"""

CELLS = """
import numpy as np
from microsam_nb import annotate_2d
from microsam_nb.core import Image

random = np.random.default_rng(0)
y, x = np.indices((400, 520))
pixels = random.poisson(60, (400, 520, 3)).astype(np.uint16)
for _ in range(70):
    at, size = (random.integers(0, 400), random.integers(0, 520)), random.integers(8, 16)
    far = np.hypot(y - at[0], x - at[1])
    pixels[..., 0] += (2000 * np.exp(-((far / size) ** 2) / 0.7)).astype(np.uint16)
    pixels[..., 1] += (500 * np.exp(-(((far - 1.6 * size) / 3) ** 2))).astype(np.uint16)
    pixels[..., 2] += (9000 * (random.random(far.shape) > 0.995) * (far < 2 * size)).astype(np.uint16)
annotator = annotate_2d(Image(pixels, "yxc"), project=False)
annotator"""

#: Objects without the model: (y, x, size) each.
ADD = """
from dataclasses import replace
import numpy as np
from microsam_nb.core import Candidate, Mask
from microsam_nb.session import AddPoint, Change, Commit
def add(*places):
    session = annotator.session
    for y, x, size in places:
        rows, columns = np.indices((size, size)) + 0.5 - size / 2
        mask = Mask.crop(np.hypot(rows, columns) < size / 2, (0, y, x))
        session.edit(session.state, session.labels.paint(mask, session.labels.free_id))
        annotator._screen.paint(Change(labels=mask.box))
"""


def settled(screen: Screen) -> None:
    """Wait until the image is there too."""
    screen.wait()
    screen.book.kernel("annotator._screen.wait(60)\nTrue")
    screen.page.wait_for_timeout(300)


def see(screen: Screen, view: str) -> None:
    screen.book.kernel(f"from microsam_nb.session import SetView\nannotator.session.handle(SetView({view}))\nTrue")
    settled(screen)


def test_a_plane_of_400_million_pixels(open_notebook: Any) -> None:
    book = open_notebook("large.ipynb", LARGE)
    book.page.add_init_script(
        "window.made = 0; const old = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => { window.made++; return old(blob); }"
    )
    book.page.reload()
    book.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
    book.lab.idle("large.ipynb")
    book.run(0)
    screen = Screen(book)
    screen.drawn()
    screen.shot("20_large_first")
    settled(screen)
    screen.shot("21_large_whole")
    book.kernel(f"{ADD}\nadd((10_000, 10_000, 30), (10_012, 10_036, 24), (10_100, 9_900, 60))\nTrue")
    see(screen, "9_990, 9_985, 12.0")
    screen.shot("22_large_near")
    book.kernel(
        "from microsam_nb.session import LayerName, SetLayer\n"
        "annotator.session.handle(SetLayer(LayerName.OBJECTS, opacity=1.0))\nTrue"
    )
    settled(screen)
    labels = np.array(book.kernel("annotator.session.labels.volume[0, 9995:10040, 9995:10060].tolist()"))
    colours = book.kernel("from microsam_nb.view import colour_of\n[colour_of(n) for n in (1, 2)]")
    # Every pixel at the border of the first object, one by one.
    for y, x in [(y, 10_015) for y in range(9_998, 10_004)] + [(10_015, x) for x in range(10_026, 10_034)]:
        number = labels[y - 9_995, x - 9_995]
        found = screen.pixel(y + 0.5, x + 0.5)
        assert (found[:3] == colours[number - 1]) == bool(number), (y, x, number, found)
    before = screen.page.evaluate("window.made")
    for step in range(6):
        see(screen, f"{9_990 + step}, {9_985 + step}, 12.0")
    assert screen.page.evaluate("window.made") == before, "pixels that are there are not sent again"
    see(screen, "9_000, 9_000, 0.5")
    screen.shot("23_large_middle")
    see(screen, "")
    screen.shot("24_large_again")


def test_three_channels(open_notebook: Any) -> None:
    book = open_notebook("cells.ipynb", CELLS)
    book.run(0)
    screen = Screen(book)
    screen.drawn()
    settled(screen)
    screen.shot("30_channels")
    book.kernel(f"{ADD}\nadd(*((40 + 60 * (k // 7), 70 * (k % 7) + 5, 20 + 3 * k) for k in range(14)))\nTrue")
    book.kernel(
        "from dataclasses import replace\nfrom microsam_nb.core import *\nfrom microsam_nb.session import *\n"
        "s = annotator.session\n"
        "m = lambda y, x, n: Mask((0, y, x), np.ones((1, n, n), bool))\n"
        "s.handle(Select((3, 5)))\n"
        "s.amend(replace(s.state, proposals=(Candidate(m(200, 200, 30), 0.9, ''), Candidate(m(240, 260, 20), 0.9, '')),"
        " candidates=tuple(Candidate(m(20, 20 + 40 * k, 34), 0.5, '') for k in range(6)),"
        " prompts=(Point(0, 210, 210), Point(0, 190, 240, False), BoxPrompt(0, 300, 300, 360, 380),"
        " Ellipse(0, 300, 400, 360, 480), Polygon(0, ((300, 200), (380, 220), (340, 290))),"
        " Scribble(0, ((100, 300), (120, 340), (90, 380)), 9.0),"
        " Scribble(0, ((100, 400), (120, 440), (90, 480)), 1.0, False), MaskPrompt(m(150, 400, 40)))))\n"
        "annotator._screen.paint(Change(proposal=True, prompts=True))\nTrue"
    )
    settled(screen)
    screen.shot("31_layers")
    book.kernel("annotator.session.handle(SetContours(True))\nTrue")
    settled(screen)
    screen.shot("32_contours")
    see(screen, "20, 20, 8.0")
    screen.shot("33_contours_near")
    assert book.kernel("annotator._screen.snapshot()[1:4].decode()") == "PNG"
    book.kernel("annotator.session.handle(ShowAsModel(True))\nTrue")
    see(screen, "")
    screen.shot("34_as_model")
