"""How long a movie of many tracks keeps a click waiting: tracks that arrive, and one correction.

    python tests/benchmarks/corrections.py [--tracks 500] [--frames 100] [--side 1024]

``handle`` is how long the answer takes in all; ``click`` the longest that another thread's click waited for it.
"""

from __future__ import annotations

import argparse
import threading
import time

import numpy as np

from microsam_nb.core import Lineage, Tracks
from microsam_nb.session import CutTrack, LinkAll, Linked, LoadTracks, Redo, Session, SetPlane, Undo


def drawn(count: int, frames: int, side: int) -> Tracks:
    """Disks on a grid that wander by a few pixels; every tenth one divides in the middle of the movie."""
    per = int(np.ceil(np.sqrt(count)))
    pitch = side // per
    radius = max(1, int(0.35 * pitch))
    rows, columns = np.indices((2 * radius + 1, 2 * radius + 1)) - radius
    disk = rows**2 + columns**2 <= radius**2
    labels = np.zeros((frames, side, side), np.uint32)
    rng, daughters = np.random.default_rng(0), {}
    for number in range(count - count // 11):
        y, x = (int((k + 0.5) * pitch) for k in divmod(number, per))
        divides = number % 10 == 0 and frames > 2
        own = number + 1
        late = count - count // 11 + number // 10 + 1
        if divides and late <= count:
            daughters[own] = (late,)
        for frame in range(frames):
            a, b = np.clip(np.array([y, x]) + rng.integers(-1, 2, 2) - radius, 0, side - len(disk))
            name = late if own in daughters and frame >= frames // 2 else own
            labels[frame, a : a + len(disk), b : b + len(disk)][disk] = name
    labels.flags.writeable = False
    return Tracks(labels, Lineage(daughters))


def waits(session: Session, work) -> tuple[float, float]:
    """Return the seconds that ``work`` took, and the longest that a click on another thread waited meanwhile."""
    longest, done = [0.0], threading.Event()

    def click() -> None:
        plane = 0
        while not done.is_set():
            plane = 1 - plane
            start = time.perf_counter()
            session.handle(SetPlane(plane))
            longest[0] = max(longest[0], time.perf_counter() - start)
            time.sleep(0.01)

    thread = threading.Thread(target=click)
    thread.start()
    start = time.perf_counter()
    work()
    took = time.perf_counter() - start
    done.set()
    thread.join()
    return took, longest[0]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tracks", type=int, default=500)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--side", type=int, default=1024)
    given = parser.parse_args()
    tracks = drawn(given.tracks, given.frames, given.side)
    session = Session(tracks.labels.shape, movie=True)
    print(f"{len(tracks.present)} tracks, {given.frames} frames of {given.side} x {given.side}")
    print(f"{'':24}{'handle s':>10}{'click s':>10}")

    def told(what: str, work) -> None:
        print(f"{what:24}{'{:10.3f}{:10.3f}'.format(*waits(session, work))}", flush=True)

    made: list[LoadTracks | Linked] = []
    told("make LoadTracks", lambda: made.append(LoadTracks.of(tracks)))
    told("LoadTracks", lambda: session.handle(made[-1]))
    told("LinkAll, committed", lambda: made.append(session.handle(LinkAll(segment=False)).requests[0]))
    ticket = made.pop().ticket
    names = np.random.default_rng(1).permutation(list(tracks.present)).tolist()
    other = tracks.renamed(dict(zip(tracks.present, names, strict=True)))
    told("make Linked", lambda: made.append(Linked.of(ticket, other)))
    told("Linked", lambda: session.handle(made[-1]))
    told("Undo", lambda: session.handle(Undo()))
    told("Redo", lambda: session.handle(Redo()))
    middle = given.frames // 2
    track = next(t for t, there in other.present.items() if there[0] < middle - 1 <= there[-1])
    told("CutTrack", lambda: session.handle(CutTrack(track, middle - 1)))
    told("Undo", lambda: session.handle(Undo()))


if __name__ == "__main__":
    main()
