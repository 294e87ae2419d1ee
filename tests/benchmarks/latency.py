"""How long a user waits, in a real JupyterLab: first feedback, mask, previews, bytes, at two distances.

usage: python tests/benchmarks/latency.py [--clicks 20] [--starts 3] [--image PATH] [--plain] [--parts]

The clock runs in the page: it starts at the time stamp of the input event and ends with the first change of the pixels
that are waited for. Masks are watched at some twenty of their pixels, away from the dot that the browser draws by
itself; what a click will find is asked of a model of its own before, so that nothing is in memory when the click comes.
A proxy adds the delay between browser and server. ``--plain``: also a server without microsam_nb's extension.
``--parts``: where the time of a click goes. Nothing here fails on a slow machine; the targets are printed beside.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image as Picture
from playwright.sync_api import Error, sync_playwright
from skimage import data

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

from jupyter_page import FLAGS, Lab, Notebook, find_chromium
from proxy import Proxy

EXTENSION = "--ServerApp.jpserver_extensions=microsam_nb.server=True"

CELL = """
from microsam_nb import annotate_2d
annotator = annotate_2d("image.png", project=False)
annotator"""

#: In the kernel: what a click at a place would find, and the clock of every answer.
PREPARE = """
import time
import numpy as np
from scipy import ndimage
from ipycanvas.canvas import _CANVAS_MANAGER
from microsam_nb.annotators import service
from microsam_nb.annotators.compute import compute
from microsam_nb.core import Point
from microsam_nb.engine import load_model, open_store, predict
from microsam_nb.session import AddPoint, Clear, SetTool, SetView, Tool

# On the thread that computes: another one that has computed would slow it down for good.
other = compute.call(lambda: load_model("nano"))
drawn, asked, heard = [], [], []

# Of every question: when it began, when there was something to show, when it was answered.
def timed(*args, plain=service.predict_stepwise, **more):
    times = [time.time()]
    for one in plain(*args, **more):
        times.append(time.time())
        if one[1]:
            asked.append((times[0], times[1], times[-1]))
        yield one

def flushed(*args, plain=_CANVAS_MANAGER.flush, **more):
    plain(*args, **more)
    drawn.append(time.time())

def handled(action, plain=annotator.session.handle):
    heard.append(time.time())
    return plain(action)

service.predict_stepwise = timed
_CANVAS_MANAGER.flush = flushed
annotator.session.handle = handled

def expected(y, x):
    store = open_store(None, other, annotator.image)
    candidate = compute.call(lambda: predict(other, store, [Point(0, y, x)]))
    found = candidate.mask
    # Between objects there is nothing that anybody would click at.
    if candidate.score < 0.5:
        return None, 0
    area = found.area
    mask = found.dense(annotator.session.shape)[0]
    deep = np.argwhere(ndimage.binary_erosion(mask)) + 0.5
    deep = deep[np.hypot(deep[:, 0] - y, deep[:, 1] - x) > {clear}]
    return deep[:: max(1, len(deep) // 20)].tolist() if len(deep) > 40 else None, area
True"""

#: In the page, before anything else: bytes of the kernel's connection, and the arrival of its messages.
SCRIPT = """(() => {
  const size = (d) => typeof d === 'string' ? new Blob([d]).size : (d.byteLength ?? d.size ?? 0);
  const net = window.__net = { up: 0, down: 0, sent: 0, received: 0, last: 0, arrivals: [] };
  window.WebSocket = class extends window.WebSocket {
    constructor(...all) {
      super(...all);
      this.__kernel = /\\/channels/.test(all[0]);
      if (this.__kernel) this.addEventListener('message', (e) => {
        net.down += size(e.data); net.received++; net.last = performance.now();
        net.arrivals.push([net.last, size(e.data)]);
      });
    }
    send(d) {
      if (this.__kernel) { net.up += size(d); net.sent++; net.last = performance.now(); }
      return super.send(d);
    }
  };
  const pixels = (c, places) => {
    const ink = c.getContext('2d');
    const one = (u, v) => ink.getImageData(Math.floor(u * c.width), Math.floor(v * c.height), 1, 1).data.join();
    return places.map(([u, v]) => one(u, v));
  };
  const parts = () => {
    const box = document.querySelector('.msam-canvas');
    return [box, box.querySelector('canvas:not(.msam-overlay)'), box.querySelector('canvas.msam-overlay')];
  };
  // Look again and again without waiting for a frame; a channel is not slowed down as timers are.
  const often = (look) => {
    const channel = new MessageChannel(), end = performance.now() + 1500;
    channel.port1.onmessage = () => { if (!look() && performance.now() < end) channel.port2.postMessage(0); };
    channel.port2.postMessage(0);
  };
  // Look after a visible canvas was drawn on: looking at every frame would keep a core busy that the model needs.
  const lookers = new Set();
  const plain = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (...all) {
    plain.apply(this, all);
    if (lookers.size && this.canvas.isConnected) for (const one of lookers) one(this.canvas);
  };
  const afterDrawing = (look) => {
    let due = false;
    const looker = (drawn) => {
      if (due) return;
      due = true;
      requestAnimationFrame(() => { due = false; if (look(drawn)) lookers.delete(looker); });
    };
    lookers.add(looker);
    return () => lookers.delete(looker);
  };
  let forget = () => {};
  // From the next event of a kind to the change of what lies over the picture, and to that of the picture itself.
  window.__watch = ({ kind, near, places, preview }) => {
    const [box, canvas, overlay] = parts(), r = box.getBoundingClientRect();
    const at = [[near[0] / r.width, near[1] / r.height]];
    const over = () => overlay ? pixels(overlay, at).join() : '';
    const before = { over: over(), style: canvas.style.transform, mask: pixels(canvas, places) };
    const got = window.__got = { start: null, first: null, frame: null, mask: null };
    window.addEventListener(kind, (e) => {
      got.start = e.timeStamp;
      got.wall = performance.timeOrigin + e.timeStamp;
      window.__net.arrivals.length = 0;
      const changed = preview === 'zoom' ? () => canvas.style.transform !== before.style : () => over() !== before.over;
      if (preview) often(() => {
        if (got.first !== null || !changed()) return got.first !== null;
        got.first = performance.now() - got.start;
        requestAnimationFrame(() => { got.frame = performance.now() - got.start; });
        return true;
      });
      forget();
      if (places.length) forget = afterDrawing(() => {
        const now = pixels(canvas, places);
        const different = now.filter((p, i) => p !== before.mask[i]).length;
        if (different >= places.length / 2) got.mask = performance.now() - got.start;
        return got.mask !== null;
      });
    }, { capture: true, once: true });
  };
  // Pointer events made by the page itself: moves at a rate no hand reaches, then, or without moves, a click.
  window.__storm = async ({ at, moves, seconds }) => {
    const [box, canvas] = parts(), r = box.getBoundingClientRect();
    const send = (kind, x, y, more = {}) => {
      const init = { clientX: r.left + x, clientY: r.top + y, bubbles: true, cancelable: true, pointerId: 1, ...more };
      canvas.dispatchEvent(new PointerEvent('pointer' + kind, init));
      canvas.dispatchEvent(new MouseEvent('mouse' + kind, init));
    };
    const start = performance.now();
    let done = 0;
    await new Promise((end) => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => {
        const due = Math.min(moves, (performance.now() - start) / (seconds * 1000) * moves);
        for (; done < due; done++) send('move', 50 + done % 500, 50 + done % 200, { buttons: 0 });
        if (done < moves) channel.port2.postMessage(0); else end();
      };
      channel.port2.postMessage(0);
    });
    const took = performance.now() - start;
    send('down', ...at, { buttons: 1 });
    send('up', ...at, { buttons: 0 });
    return took;
  };
  // From the key that runs the cell to the first pixels of the picture.
  window.__painting = () => {
    window.__painted = null;
    const old = new Set(document.querySelectorAll('.msam-canvas canvas'));
    const quit = new AbortController();
    window.addEventListener('keydown', (e) => {
      if (e.key !== 'Enter') return;
      quit.abort();
      afterDrawing((c) => {
        if (!c.matches('.msam-canvas canvas:not(.msam-overlay)') || old.has(c)) return false;
        if (c.width && pixels(c, [[0.45, 0.5], [0.55, 0.5]]).every((p) => p.endsWith(',255')))
          window.__painted = performance.now() - e.timeStamp;
        return window.__painted !== null;
      });
    }, { capture: true, signal: quit.signal });
  };
})();"""

#: (row, unit, target without and with 100 ms added), in the order of the table.
ROWS = (
    ("click: first feedback, drawn", "ms", 16, 16),
    ("click: first feedback, in a frame", "ms", None, None),
    ("click: mask visible", "ms", 150, 260),
    ("click: the model's part, until something is shown", "ms", None, None),
    ("click: the model's part, until it is sure", "ms", None, None),
    ("click 30 ms after a key: mask visible", "ms", 150, 260),
    ("click after 2,000 moves in 2 s, more than a quiet one", "ms", 50, 50),
    ("click: bytes to the kernel", "B", None, None),
    ("click: bytes to the browser", "B", None, None),
    ("click: bytes both ways", "B", 30_000, 30_000),
    ("brush: preview of a move", "ms", 16, 16),
    ("wheel: preview of the zoom", "ms", 16, 16),
    ("picture after running the cell, first time in the kernel", "ms", 1500, 1500),
    ("picture after running the cell again", "ms", 1500, 1500),
)
PARTS = (
    "event -> session",
    "session -> model starts",
    "model",
    "model has something -> drawing sent",
    "drawing sent -> in the page",
    "in the page -> visible",
)


@dataclass
class Measured:
    """Values by row of the table, and by part of a click."""

    rows: dict[str, list[float]] = field(default_factory=dict)
    parts: dict[str, list[float]] = field(default_factory=dict)
    memory: str = ""

    def add(self, row: str, value: float | None) -> None:
        assert any(row == one[0] for one in ROWS), row
        if value is not None:
            self.rows.setdefault(row, []).append(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--starts", type=int, default=3, help="fresh kernels for the time of the first picture")
    parser.add_argument("--image", type=Path, help="default: 1024x1024, scikit-image's tissue section mirrored")
    parser.add_argument("--plain", action="store_true", help="also a server without microsam_nb's extension")
    parser.add_argument("--parts", action="store_true", help="where the time of a click goes")
    options = parser.parse_args()
    results: dict[str, Measured] = {}
    for added in (0, 100):
        for server in ("lab", "plain") if options.plain else ("lab",):
            name = f"+{added} ms" + (", plain server" if server == "plain" else "")
            print(f"({name} ...)", file=sys.stderr)
            with notebook(options.image, added, server) as book:
                results[name] = measure(book, options)
    report(results, options.parts)


def tissue() -> np.ndarray:
    """Return scikit-image's stained tissue, (512, 512, 3), mirrored to 1024x1024: real pixels without seams."""
    one = data.immunohistochemistry()
    wide = np.concatenate([one, one[:, ::-1]], axis=1)
    return np.concatenate([wide, wide[::-1]])


@contextmanager
def notebook(image: Path | None, added: float, server: str) -> Iterator[Notebook]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        play = stack.enter_context(sync_playwright())
        lab = Lab(folder, *([EXTENSION] if server == "lab" else []))
        stack.callback(lab.close)
        if image is not None:
            shutil.copy(image, lab.work / "given")
            (lab.work / "given").rename(lab.work / f"image{image.suffix}")
            cell = CELL.replace("image.png", f"image{image.suffix}")
        else:
            Picture.fromarray(tissue()).save(lab.work / "image.png")
            cell = CELL
        browser = play.chromium.launch(executable_path=find_chromium(), headless=True, args=FLAGS)
        stack.callback(browser.close)
        address = ""
        if added:
            proxy = Proxy(lab.port, added / 2000)
            stack.callback(proxy.close)
            address = proxy.url
        lab.write("latency.ipynb", cell)
        book = Notebook(lab, browser, "latency.ipynb", address=address, script=SCRIPT)
        stack.callback(book.close)
        yield book


def measure(book: Notebook, options: argparse.Namespace) -> Measured:
    out = Measured()
    for number in range(max(1, options.starts)):
        if number:
            book.restart()
        out.add("picture after running the cell, first time in the kernel", first_picture(book))
    for _ in range(max(1, options.starts)):
        out.add("picture after running the cell again", first_picture(book))
    book.page.locator(".msam-overlay").wait_for(state="attached")
    book.page.locator(".msam-canvas").scroll_into_view_if_needed()
    clear = 12 / zoom(book)
    book.kernel(PREPARE.format(clear=clear))
    # Every place once: the answer to a second click there would come from memory.
    few = max(4, options.clicks // 2)
    places = iter(find_places(book, options.clicks + 3 * few))
    for number, (at, watched) in enumerate(islice(places, options.clicks)):
        one_click(book, out, at, watched, warm=number == 0)
    for at, watched in islice(places, few):
        click_after_key(book, out, at, watched)
    quiet = [value for at, watched in islice(places, few) if (value := storm(book, at, watched, 0)) is not None]
    for at, watched in places:
        if (value := storm(book, at, watched, 2000)) is not None and quiet:
            more = value - statistics.median(quiet)
            out.add("click after 2,000 moves in 2 s, more than a quiet one", more)
    previews(book, out, options.clicks)
    used = psutil.Process(book.kernel("__import__('os').getpid()")).memory_info().rss
    out.memory = f"{used / 2**20:.0f} MiB"
    return out


def first_picture(book: Notebook) -> float:
    """Run the cell with its keys; return milliseconds until its picture has pixels."""
    book.page.evaluate("() => window.__painting()")
    book.run(0)
    book.page.wait_for_function("() => window.__painted !== null", timeout=60_000)
    book.until("'annotator' in globals() and bool(annotator.session.model)", 60)
    book.kernel("annotator.wait()\nTrue")
    return book.page.evaluate("() => window.__painted")


def zoom(book: Notebook) -> float:
    """Return CSS pixels per image pixel."""
    zoom, width = book.kernel("v = annotator._screen.viewport\n[v.zoom, v.width]")
    return zoom * book.page.locator(".msam-canvas").bounding_box()["width"] / width


def find_places(book: Notebook, count: int) -> list[tuple[list[float], list[list[float]]]]:
    """Return places on the element, in CSS pixels, where a click will find something, and shares to watch there."""
    view = book.kernel("v = annotator._screen.viewport\n[v.y, v.x, v.zoom, v.width, v.height]")
    rows, columns = book.kernel("list(annotator.session.shape[1:])")
    box = book.page.locator(".msam-canvas").bounding_box()
    random, out = np.random.default_rng(0), []

    def share(y: float, x: float) -> list[float]:
        return [(x - view[1]) * view[2] / view[3], (y - view[0]) * view[2] / view[4]]

    for _ in range(50 * count):
        y, x = random.uniform(20, rows - 20), random.uniform(20, columns - 20)
        far, area = book.kernel(f"list(expected({y}, {x}))")
        if far is None or area > 0.05 * rows * columns:
            continue
        u, v = share(y, x)
        out.append(([u * box["width"], v * box["height"]], [share(*p) for p in far]))
        if len(out) == count:
            return out
    raise SystemExit(f"only {len(out)} places of {count} with something to segment were found; take another image")


def calm(book: Notebook) -> None:
    """Clear the prompts; wait until nothing has come over the connection for a while."""
    book.kernel("annotator.wait()\nannotator.session.handle(Clear()) if annotator.session.state.prompts else 0\nTrue")
    book.kernel("annotator.wait()\n[asked.clear(), drawn.clear(), heard.clear()]\nTrue")
    # What was sent last may still be on its way.
    book.page.wait_for_timeout(300)
    book.page.wait_for_function("() => performance.now() - window.__net.last > 250", timeout=20_000)
    # A wide way for the pointer, so that no cursor or leftover lies at the next place.
    book.page.mouse.move(5, 5)


def start_watch(book: Notebook, kind: str, near: list[float], places: list[Any], preview: str = "") -> None:
    watch = {"kind": kind, "near": near, "places": places, "preview": preview}
    book.page.evaluate("(all) => window.__watch(all)", watch)


def press(book: Notebook, at: list[float]) -> None:
    box = book.page.locator(".msam-canvas").bounding_box()
    x, y = box["x"] + at[0], box["y"] + at[1]
    book.page.mouse.move(x, y)
    book.page.wait_for_timeout(60)
    book.page.mouse.down()
    book.page.mouse.up()


def until_mask(book: Notebook) -> dict[str, Any]:
    """Wait for the mask; ``mask`` is None when it does not come."""
    try:
        book.page.wait_for_function("() => window.__got.mask !== null", timeout=15_000)
    except Error:
        print("(a click without a visible mask is left out)", file=sys.stderr)
    return book.page.evaluate("() => window.__got")


def model_part(book: Notebook) -> float:
    """Return how many milliseconds the model took to something to show for what was asked since ``calm``."""
    book.kernel("annotator.wait()\nTrue")
    return sum(first - start for start, first, _ in book.kernel("asked")) * 1000


def one_click(book: Notebook, out: Measured, at: list[float], watched: list[Any], *, warm: bool) -> None:
    calm(book)
    start_watch(book, "pointerup", at, watched, "dot")
    before = book.page.evaluate("() => ({...window.__net})")
    press(book, at)
    got = until_mask(book)
    book.kernel("annotator.wait()\nTrue")
    book.page.wait_for_function("() => performance.now() - window.__net.last > 250", timeout=20_000)
    after = book.page.evaluate("() => ({...window.__net})")
    if warm or got["mask"] is None:
        return
    out.add("click: first feedback, drawn", got["first"])
    out.add("click: first feedback, in a frame", got["frame"])
    out.add("click: mask visible", got["mask"])
    up, down = after["up"] - before["up"], after["down"] - before["down"]
    out.add("click: bytes to the kernel", up)
    out.add("click: bytes to the browser", down)
    out.add("click: bytes both ways", up + down)
    asked, drawn, heard = book.kernel("[asked, drawn, heard]")
    out.add("click: the model's part, until something is shown", sum(b - a for a, b, _ in asked) * 1000)
    out.add("click: the model's part, until it is sure", sum(c - a for a, _, c in asked) * 1000)
    parts(out, got, (asked, drawn, heard), after["arrivals"])


def parts(out: Measured, got: dict[str, float], clocks: Any, arrivals: list[list[float]]) -> None:
    """Split one click: all clocks are those of this computer."""
    asked, drawn, heard = clocks
    sent = next((one for one in drawn if asked and one >= asked[-1][1]), None)
    if not heard or sent is None:
        return
    origin = got["wall"] - got["start"]
    visible = got["wall"] + got["mask"]
    # The largest message after the drawing was sent holds the picture of the mask.
    later = [one for one in arrivals if origin + one[0] >= sent * 1000 - 1 and origin + one[0] <= visible]
    arrived = origin + max(later, key=lambda one: one[1])[0] if later else visible
    times = [got["wall"], heard[0] * 1000, asked[0][0] * 1000, asked[-1][1] * 1000, sent * 1000, arrived, visible]
    for name, start, end in zip(PARTS, times, times[1:], strict=False):
        out.parts.setdefault(name, []).append(end - start)


def click_after_key(book: Notebook, out: Measured, at: list[float], watched: list[Any]) -> None:
    """A click in quick succession: here Nagle's algorithm makes a server wait."""
    calm(book)
    box = book.page.locator(".msam-canvas").bounding_box()
    book.page.mouse.move(box["x"] + at[0], box["y"] + at[1])
    start_watch(book, "pointerup", at, watched)
    book.page.keyboard.press("p")
    book.page.wait_for_timeout(30)
    book.page.mouse.down()
    book.page.mouse.up()
    out.add("click 30 ms after a key: mask visible", until_mask(book)["mask"])


def storm(book: Notebook, at: list[float], watched: list[Any], moves: int) -> float | None:
    """Click after many moves, or none; return milliseconds to the mask without what the model took."""
    calm(book)
    start_watch(book, "pointerup", at, watched)
    took = book.page.evaluate("(all) => window.__storm(all)", {"at": at, "moves": moves, "seconds": 2})
    if moves and took > 2400:
        print(f"(the page needed {took:.0f} ms for the moves of 2 s)", file=sys.stderr)
    mask = until_mask(book)["mask"]
    return None if mask is None else mask - model_part(book)


def previews(book: Notebook, out: Measured, count: int) -> None:
    """Brush and wheel: the event to what the page shows by itself."""
    mouse = book.page.mouse
    calm(book)
    book.kernel("annotator.session.handle(SetTool(Tool.BRUSH))\nannotator.wait()\nTrue")
    book.page.wait_for_timeout(300)
    # The options of the brush may have moved the picture.
    box = book.page.locator(".msam-canvas").bounding_box()
    mouse.move(box["x"] + 200, box["y"] + 100)
    mouse.down()
    for number in range(count):
        at = [230 + 24 * (number % 20), 100 + 30 * (number // 20)]
        start_watch(book, "pointermove", at, [], "brush")
        mouse.move(box["x"] + at[0], box["y"] + at[1])
        out.add("brush: preview of a move", preview_of(book))
    mouse.up()
    calm(book)
    book.kernel("annotator.session.handle(SetTool(Tool.POINT))\nannotator.wait()\nTrue")
    mouse.move(box["x"] + 300, box["y"] + 200)
    for number in range(count):
        book.page.wait_for_timeout(400)
        start_watch(book, "wheel", [300, 200], [], "zoom")
        mouse.wheel(0, -60 if number < count / 2 else 60)
        out.add("wheel: preview of the zoom", preview_of(book))
    book.kernel("annotator.wait()\nannotator.session.handle(SetView())\nTrue")


def preview_of(book: Notebook) -> float | None:
    try:
        book.page.wait_for_function("() => window.__got.first !== null", timeout=2000)
    except Error:
        return None
    return book.page.evaluate("() => window.__got.first")


def report(results: dict[str, Measured], with_parts: bool) -> None:
    print("| median (lowest - highest) | target | " + " | ".join(results) + " |")
    print("| --- | --- |" + " --- |" * len(results))
    for row, unit, near, far in ROWS:
        aims = [f"{aim:,}" for aim in dict.fromkeys((near, far)) if aim is not None]
        cells = [summary(one.rows.get(row, [])) for one in results.values()]
        print(f"| {row} ({unit}) | {' / '.join(aims) or '-'} | " + " | ".join(cells) + " |")
    print("| memory of the kernel | - | " + " | ".join(one.memory for one in results.values()) + " |")
    if with_parts:
        print("\n| where a click's time goes (ms) | " + " | ".join(results) + " |")
        print("| --- |" + " --- |" * len(results))
        for part in PARTS:
            print(f"| {part} | " + " | ".join(summary(one.parts.get(part, [])) for one in results.values()) + " |")


def summary(values: list[float]) -> str:
    if not values:
        return "not shown"
    digits = 0 if statistics.median(values) >= 20 else 1
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} - {max(values):,.{digits}f})"


if __name__ == "__main__":
    start = time.perf_counter()
    main()
    print(f"({time.perf_counter() - start:.0f} s)")
