"""How long a session with a project on disk takes: commit, undo, redo, opening, autosave, against size.

    OMP_NUM_THREADS=1 python tests/benchmarks/session.py --commits 1000

Wall time is what the user waits, with the journal's line and its sync; CPU time is beside it, as it says the same on
a busy machine. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from microsam_nb.core import Candidate, Image, Mask, Overlap
from microsam_nb.session import AddPoint, Commit, LoadLabels, Pace, Predicted, Project, Redo, Session, SetView, Undo

#: The autosave at its usual pace, and only when it is asked for.
USUAL, NEVER = Pace(), Pace(1e9, 1e9, 1e9)


def disk(planes: int, side: int) -> np.ndarray:
    """An ellipsoid that fills (planes, side, side)."""
    grid = np.indices((planes, side, side)) + 0.5
    radii = np.array([max(planes, 2) / 2, side / 2, side / 2])[:, None, None, None]
    middle = np.array([planes / 2, side / 2, side / 2])[:, None, None, None]
    return (((grid - middle) / radii) ** 2).sum(axis=0) <= 1


class Bench:
    """A session on a fresh project in ``folder``, and what its actions took."""

    def __init__(self, folder: Path, shape: tuple[int, int, int], pace: Pace) -> None:
        self.folder, self.shape, self.pace = folder, shape, pace
        # What the project belongs to is never looked at here: any image of the shape will do.
        self.image = Image(np.broadcast_to(np.uint8(0), shape), "zyx")
        self.session = self.open()
        self.random = np.random.default_rng(0)

    def open(self) -> Session:
        return Session(self.shape, Project.open(self.folder, self.image, "none"), self.pace)

    def reopen(self) -> None:
        self.session = self.open()

    def commit(self, bitmap: np.ndarray) -> tuple[float, float]:
        """Make one object anywhere, also over others; return wall and CPU seconds of the commit."""
        _, height, width = bitmap.shape
        low = (0, 0, 0)
        high = tuple(n - m for n, m in zip(self.shape, bitmap.shape, strict=True))
        plane, y, x = (int(n) for n in self.random.integers(low, high, endpoint=True))
        self.session.handle(AddPoint(y + height / 2, x + width / 2, plane=plane))
        found = Candidate(Mask((plane, y, x), bitmap), 0.9, "points")
        self.session.handle(Predicted(self.session.awaiting, (found,)))
        return timed(lambda: self.session.handle(Commit(Overlap.REPLACE)))


def walk(session: Session, *, back: bool) -> list[tuple[float, float]]:
    """Go all the way; return the seconds of the steps that change labels."""
    out, move = [], Undo() if back else Redo()
    while session.can_undo if back else session.can_redo:
        before = session.labels.count(), session.labels.covered()
        one = timed(partial(session.handle, move))
        if (session.labels.count(), session.labels.covered()) != before:
            out.append(one)
    return out


def timed(work: Callable[[], object]) -> tuple[float, float]:
    cpu, wall = time.thread_time(), time.perf_counter()
    work()
    return time.perf_counter() - wall, time.thread_time() - cpu


def row(name: str, times: list[tuple[float, float]]) -> str:
    wall, cpu = ([1e3 * t[i] for t in times] for i in (0, 1))
    tenth = max(1, len(times) // 10)
    first, last = statistics.median(cpu[:tenth]), statistics.median(cpu[-tenth:])
    return (
        f"{name:42} {statistics.median(wall):8.2f} {np.percentile(wall, 95):8.2f} {statistics.median(cpu):8.2f}"
        f" {first:8.2f} {last:8.2f} {last / first:6.2f}"
    )


def table_of_actions(root: Path, commits: int) -> None:
    print(f"\n{commits} commits, then as many undos and redos (of the commits); milliseconds")
    print(f"{'':42} {'wall':>8} {'p95':>8} {'cpu':>8} {'first10%':>8} {'last10%':>8} {'ratio':>6}")
    for shape in ((1, 1024, 1024), (64, 1024, 1024)):
        for name, bitmap in (("2D, 40 x 40", disk(1, 40)), ("3D, 20 x 60 x 60", disk(20, 60))):
            if bitmap.shape[0] > shape[0]:
                continue
            bench = Bench(root / f"{shape[0]}-{bitmap.shape[0]}", shape, USUAL)
            times = [bench.commit(bitmap) for _ in range(commits)]
            where = " x ".join(map(str, shape))
            print(row(f"commit {name} in {where}", times))
            session = bench.session
            back = walk(session, back=True)
            forth = walk(session, back=False)
            print(row("  undo", back))
            print(row("  redo", forth))
            views = [timed(partial(session.handle, SetView(i, i, 2.0))) for i in range(200)]
            print(row("  view", views))
            session.close()


def table_of_opening(root: Path, most: int) -> None:
    print("\nopening a project of so many commits (2D, 40 x 40)")
    print(f"{'volume':>18} {'commits':>8} {'lines':>8} {'journal kB':>10} {'B/commit':>9} {'wall s':>8} {'cpu s':>8}")
    for shape in ((1, 1024, 1024), (64, 1024, 1024)):
        for commits in (most // 10, most, 3 * most):
            bench = Bench(root / f"open-{shape[0]}-{commits}", shape, NEVER)
            for _ in range(commits):
                bench.commit(disk(1, 40))
            bench.session.close()
            journal = bench.folder / "journal.jsonl"
            size, lines = journal.stat().st_size, len(journal.read_bytes().splitlines())
            wall, cpu = timed(bench.reopen)
            bench.session.close()
            where = " x ".join(map(str, shape))
            print(
                f"{where:>18} {commits:8} {lines:8} {size / 1e3:10.0f} {size / commits:9.0f} {wall:8.2f} {cpu:8.2f}",
                flush=True,
            )


def table_of_autosave(root: Path) -> None:
    print("\nautosave after every commit: chunks of 512 x 512 written, and their bytes")
    print(f"{'volume':>18} {'object':>18} {'chunks':>8} {'touched':>8} {'kB':>8} {'attributes kB':>14} {'cpu ms':>8}")
    for shape in ((1, 1024, 1024), (64, 1024, 1024)):
        for name, bitmap in (("2D, 40 x 40", disk(1, 40)), ("3D, 20 x 60 x 60", disk(20, 60))):
            if bitmap.shape[0] > shape[0]:
                continue
            bench = Bench(root / f"save-{shape[0]}-{bitmap.shape[0]}", shape, NEVER)
            session, saver = bench.session, bench.session._autosave
            assert saver is not None
            touched, times = 0, []
            for _ in range(100):
                bench.commit(bitmap)
                touched += len(saver._dirty)
                times.append(timed(session.flush)[1] * 1e3)
            attributes = (bench.folder / "labels.zarr" / ".zattrs").stat().st_size / 1e3
            where = " x ".join(map(str, shape))
            print(
                f"{where:>18} {name:>18} {saver.chunks / 100:8.2f} {touched / 100:8.2f} {saver.nbytes / 1e5:8.1f} "
                f"{attributes:14.1f} {statistics.median(times):8.1f}",
                flush=True,
            )
            session.close()


def table_of_loading(root: Path) -> None:
    print("\nlabels from elsewhere, 64 x 1024 x 1024")
    shape = (64, 1024, 1024)
    volume = np.zeros(shape, np.uint16)
    shown = disk(1, 40)[0]
    corners = [(p, y, x) for p in range(0, 64, 16) for y in range(0, 1000, 50) for x in range(0, 1000, 50)]
    for number, (p, y, x) in enumerate(corners, start=1):
        volume[p : p + 16, y : y + 40, x : x + 40][:, shown] = number
    bench = Bench(root / "load", shape, NEVER)
    made: list[LoadLabels] = []
    steps: list[tuple[str, Callable[[], object]]] = [
        (f"LoadLabels.of, {len(corners)} objects", lambda: made.append(LoadLabels.of(volume))),
        ("handle", lambda: bench.session.handle(made[0])),
        ("undo", lambda: bench.session.handle(Undo())),
        ("redo", lambda: bench.session.handle(Redo())),
        ("autosave of all", bench.session.flush),
        ("close", bench.session.close),
        ("open again", bench.reopen),
    ]
    for name, work in steps:
        wall, cpu = timed(work)
        print(f"{name:30} {wall:8.2f} s wall {cpu:8.2f} s cpu", flush=True)
    print(f"{'journal':30} {(bench.folder / 'journal.jsonl').stat().st_size / 1e3:8.0f} kB")
    bench.session.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commits", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="where projects are made; by default the temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root = Path(folder)
        table_of_actions(root, options.commits)
        table_of_autosave(root)
        table_of_loading(root)
        table_of_opening(root, options.commits)


if __name__ == "__main__":
    main()
