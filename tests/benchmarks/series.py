"""Going from image to image 200 times: seconds, threads, widgets and memory. Prints a table.

``python tests/benchmarks/series.py [COUNT]``
"""

from __future__ import annotations

import gc
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import tifffile
from ipywidgets.widgets.widget import _instances

from microsam_nb import annotate_series
from microsam_nb.session import AddPoint, Commit
from microsam_nb.session.series import Jump

_IMAGES = 6


def main(count: int = 200) -> None:
    folder = Path(tempfile.mkdtemp())
    (folder / "images").mkdir()
    random = np.random.default_rng(0)
    for number in range(_IMAGES):
        pixels = random.integers(20, 60, (512, 512)).astype(np.uint8)
        pixels[100:140, 100:140] = 200
        tifffile.imwrite(folder / "images" / f"{number}.tif", pixels)
    series = annotate_series(folder / "images", folder / "out")
    series.wait(300)
    series.session.handle(AddPoint(120, 120))
    series.wait(300)
    series.session.handle(Commit())
    process, took = psutil.Process(), []
    print(f"{'switches':>8} {'median s':>9} {'slowest s':>10} {'threads':>8} {'widgets':>8} {'files':>6} {'MiB':>7}")
    for number in range(count + 1):
        if number % 25 == 0:
            gc.collect()
            median, slowest = (np.median(took[-25:]), max(took[-25:])) if took else (0.0, 0.0)
            print(
                f"{number:8} {median:9.3f} {slowest:10.3f} {threading.active_count():8} {len(_instances):8} "
                f"{process.num_fds():6} {process.memory_info().rss / 2**20:7.0f}"
            )
        start = time.perf_counter()
        series.handle(Jump((series.series.at + 1) % _IMAGES))
        series._loop.wait(120)
        took.append(time.perf_counter() - start)
        if number % 5 == 0:
            series.wait(300)
    series.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
