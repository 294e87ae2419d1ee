"""How long a user waits: press of the button to the mask on the visible canvas, in a real JupyterLab.

usage: python tests/benchmarks/click_latency.py [--clicks 20]

The clock runs in the page: from the pointer event to the first animation frame in which a pixel of the mask, away
from the dot that the browser draws at once, has changed; some twenty of them are watched. Also prints the kernel's
memory.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import numpy as np
import psutil
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

from jupyter_page import FLAGS, Lab, Notebook, find_chromium

CELL = """
from microsam_nb import annotate_2d
from microsam_nb.files import samples
annotator = annotate_2d(samples.tissue(), project=False)
annotator"""

WATCH = """(places) => {
  const c = document.querySelector('.msam-canvas canvas'), ctx = c.getContext('2d');
  const one = ([u, v]) => ctx.getImageData(Math.floor(u * c.width), Math.floor(v * c.height), 1, 1).data.join();
  const read = () => places.map(one).join();
  const before = read();
  window.__waited = null;
  c.parentElement.addEventListener('pointerup', () => {
    const start = performance.now();
    const look = () => {
      if (read() === before) requestAnimationFrame(look);
      else window.__waited = performance.now() - start;
    };
    requestAnimationFrame(look);
  }, { capture: true, once: true });
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        lab = Lab(Path(folder))
        browser = play.chromium.launch(executable_path=find_chromium(), headless=True, args=FLAGS)
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, lab.work / "latency.ipynb")
        notebook = Notebook(lab, browser, "latency.ipynb")
        try:
            measure(notebook, options.clicks)
        finally:
            notebook.close()
            browser.close()
            lab.close()


def measure(book: Notebook, clicks: int) -> None:
    pid = book.kernel("__import__('os').getpid()")
    fresh = psutil.Process(pid).memory_info().rss
    book.run(0)
    canvas = book.page.locator(".msam-canvas canvas").first
    canvas.wait_for(timeout=60_000)
    book.kernel("annotator.wait()\nTrue")
    canvas.scroll_into_view_if_needed()
    waited, model = [], []
    random = np.random.default_rng(0)
    while len(waited) < clicks:
        y, x = random.uniform(30, 220), random.uniform(30, 290)
        far, took = book.kernel(TRY.format(y=y, x=x))
        if far is None:
            continue
        view = book.kernel("v = annotator._screen.viewport\n[v.y, v.x, v.zoom, v.width, v.height]")
        share = [[(b - view[1]) * view[2] / view[3], (a - view[0]) * view[2] / view[4]] for a, b in far]
        book.page.wait_for_timeout(300)
        book.page.evaluate(WATCH, share)
        box = canvas.bounding_box()
        at = {
            "x": (x - view[1]) * view[2] / view[3] * box["width"],
            "y": (y - view[0]) * view[2] / view[4] * box["height"],
        }
        canvas.click(position=at)
        book.page.wait_for_function("() => window.__waited !== null", timeout=20_000)
        model.append(took)
        waited.append(book.page.evaluate("() => window.__waited"))
    used = psutil.Process(pid).memory_info().rss
    print("| | median | lowest | highest |\n| --- | --- | --- | --- |")
    for name, values in (("click -> mask visible (ms)", waited), ("of which the model (ms)", model)):
        print(f"| {name} | {statistics.median(values):.0f} | {min(values):.0f} | {max(values):.0f} |")
    print(f"\nkernel: {fresh / 2**20:.0f} MiB before import, {used / 2**20:.0f} MiB after {clicks} clicks")


#: Predict in the kernel first, to know pixels of the mask that lie away from the dot; then clear.
TRY = """
import time
import numpy as np
from microsam_nb.session import AddPoint, Clear
start = time.perf_counter()
annotator.session.handle(AddPoint({y}, {x}))
annotator._runner.wait()
took = (time.perf_counter() - start) * 1000
found = annotator.session.state.proposal
annotator.session.handle(Clear())
annotator.wait()
far = None
if found is not None:
    inside = np.argwhere(found.mask.dense((1, 256, 320))[0]) + 0.5
    inside = inside[np.hypot(inside[:, 0] - {y}, inside[:, 1] - {x}) > 4]
    if len(inside) > 60:
        far = inside[:: max(1, len(inside) // 20)].tolist()
[far, took]"""

if __name__ == "__main__":
    start = time.perf_counter()
    main()
    print(f"({time.perf_counter() - start:.0f} s)")
