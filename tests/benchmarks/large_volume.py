"""annotate_3d without a browser on a volume that does not fit the memory: seconds and peak memory.

usage: python tests/benchmarks/large_volume.py [--planes 1000] [--side 1024] [--objects 20] [--folder FOLDER]

The volume is a zarr array of drawn balls, one chunk per plane. Printed: until the first mask of a click in its middle
plane; per object one click, the extension through all planes and the commit; what changing the plane costs in the
kernel; saving; and the peak memory (VmHWM) after each. ``--encode`` instead: with vit_b and random weights, the time
from opening a volume of 64 planes to the first mask beside that of encoding one plane alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import zarr

from microsam_nb import annotate_3d
from microsam_nb.session import AddPoint, Clear, Commit, ExtendObject, SetPlane

_RADIUS = 24
#: Pixels between planes as seen by the balls: they reach through a third as many planes.
_DEPTH = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--planes", type=int, default=1000)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--objects", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=Path("large_volume"))
    parser.add_argument("--encode", action="store_true")
    options = parser.parse_args()
    if options.encode:
        first_mask()
        return
    options.folder.mkdir(exist_ok=True)
    path = options.folder / f"balls-{options.planes}x{options.side}.zarr"
    balls = places(options.planes, options.side, options.objects)
    if not path.exists():
        make(path, options.planes, options.side, balls)
    report("libraries")
    start = time.perf_counter()
    annotator = annotate_3d(path, axes="zyx", project=options.folder / "work.msam")
    session = annotator.session
    middle = options.planes // 2
    session.handle(SetPlane(middle))
    session.handle(AddPoint(options.side / 2, options.side / 2, plane=middle))
    annotator.wait(300)
    report("open, first mask", time.perf_counter() - start)
    session.handle(Clear())
    seconds, planes, overlaps = [], [], []
    for z, y, x in balls:
        session.handle(SetPlane(z))
        start = time.perf_counter()
        session.handle(AddPoint(float(y), float(x), plane=z))
        annotator.wait(300)
        session.handle(ExtendObject())
        annotator.wait(300)
        seconds.append(time.perf_counter() - start)
        mask = session.state.proposals[0].mask
        planes.append(mask.bitmap.shape[0])
        overlaps.append(overlap(mask, (z, y, x)))
        session.handle(Commit())
    each = f"median {statistics.median(seconds):.2f} s, {statistics.median(planes):.0f} planes"
    report(f"{len(balls)} objects: {each}, IoU {statistics.median(overlaps):.2f}", sum(seconds))
    costs = []
    for plane in range(0, options.planes, max(1, options.planes // 50)):
        start = time.perf_counter()
        session.handle(SetPlane(plane))
        annotator.wait(60)
        costs.append(time.perf_counter() - start)
    report(f"{len(costs)} planes shown, median {1000 * statistics.median(costs):.0f} ms", sum(costs))
    start = time.perf_counter()
    session.flush()
    chunks = sum(1 for one in (options.folder / "work.msam").rglob("*") if one.is_file())
    report(f"labels.zarr brought up to date, {chunks} files in the project", time.perf_counter() - start)
    start = time.perf_counter()
    annotator.save(options.folder / "labels.tif")
    report("saved as TIFF", time.perf_counter() - start)
    annotator.close()


def places(planes: int, side: int, count: int) -> list[tuple[int, int, int]]:
    """The middle plane holds one ball in its middle; the others lie anywhere, apart from each other."""
    random = np.random.default_rng(0)
    found = [(planes // 2, side // 2, side // 2)]
    while len(found) < count:
        z = int(random.integers(_RADIUS, planes - _RADIUS))
        y, x = (int(n) for n in random.integers(2 * _RADIUS, side - 2 * _RADIUS, 2))
        if all(max(abs(z - a) * _DEPTH, abs(y - b), abs(x - c)) > 3 * _RADIUS for a, b, c in found):
            found.append((z, y, x))
    return found


def inside(plane: int, ball: tuple[int, int, int], shape: tuple[int, int]) -> np.ndarray | None:
    z, y, x = ball
    left = _RADIUS**2 - (_DEPTH * (plane - z)) ** 2
    if left <= 0:
        return None
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= left


def make(path: Path, planes: int, side: int, balls: list[tuple[int, int, int]]) -> None:
    out = zarr.create_array(path, shape=(planes, side, side), chunks=(1, side, side), dtype=np.uint8)
    random = np.random.default_rng(1)
    noise = random.integers(15, 40, (side + 64, side + 64)).astype(np.uint8)
    for plane in range(planes):
        dy, dx = random.integers(0, 64, 2)
        pixels = noise[dy : dy + side, dx : dx + side].copy()
        for ball in balls:
            where = inside(plane, ball, pixels.shape)
            if where is not None:
                pixels[where] += 120
        out[plane] = pixels


def overlap(mask, ball: tuple[int, int, int]) -> float:
    shared = whole = 0
    z = ball[0]
    for plane in range(min(mask.start[0], z - _RADIUS), max(mask.box.stop[0], z + _RADIUS)):
        (_, y0, x0), (_, y1, x1) = mask.box.start, mask.box.stop
        truth = inside(plane, ball, (ball[1] + 2 * _RADIUS, ball[2] + 2 * _RADIUS))
        level = plane - mask.start[0]
        own = np.zeros((max(y1, ball[1] + 2 * _RADIUS), max(x1, ball[2] + 2 * _RADIUS)), bool)
        if 0 <= level < mask.bitmap.shape[0]:
            own[y0:y1, x0:x1] = mask.bitmap[level]
        known = np.zeros_like(own)
        if truth is not None:
            known[: truth.shape[0], : truth.shape[1]] = truth
        shared += int((own & known).sum())
        whole += int((own | known).sum())
    return shared / whole


def first_mask() -> None:
    import torch
    from segment_anything import sam_model_registry

    from microsam_nb.core import Image
    from microsam_nb.engine import Model, ModelSpec, encode

    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]().eval().requires_grad_(False)
    model = Model(
        ModelSpec("random", "vit_b", "xxh128:00000000000000000000000000000000"), sam, None, torch.device("cpu")
    )
    volume = np.random.default_rng(0).integers(0, 255, (64, 512, 512)).astype(np.uint8)
    encode(model, volume[0])
    alone = []
    for plane in range(3):
        start = time.perf_counter()
        encode(model, volume[plane])
        alone.append(time.perf_counter() - start)
    masks = []
    for _ in range(3):
        start = time.perf_counter()
        annotator = annotate_3d(Image(volume, "zyx"), model=model, project=False)
        session = annotator.session
        # In the plane on screen, which is prepared first.
        session.handle(AddPoint(256.0, 256.0, plane=session.state.browsing.plane))
        while not session.state.answered:
            time.sleep(0.002)
        masks.append(time.perf_counter() - start)
        annotator.close()
    encoding, mask = statistics.median(alone), statistics.median(masks)
    ratio = mask / encoding
    print(f"encoding one plane {encoding:.2f} s; opening 64 planes until the first mask {mask:.2f} s: {ratio:.2f}x")


def report(what: str, seconds: float | None = None) -> None:
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if "VmHWM" in line)
    took = "" if seconds is None else f"{seconds:.1f} s, "
    print(f"{what}: {took}peak {peak / 2**10:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
