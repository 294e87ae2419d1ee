"""Kill a process that annotates at random moments again and again: is anything lost that it was told is kept?

    OMP_NUM_THREADS=1 python tests/benchmarks/session_kills.py --kills 50

The victim goes on with one project, by a random script of clicks, answers, commits, strokes, undos and views, and
saves its labels far more often than usual. After every action it reports what it holds. After every kill:

* the journal holds what was reported last, bit by bit, and at most the one action that was not reported any more;
* before anything repairs it, labels.zarr says that it is unfinished, or holds exactly the labels of the line that it
  names;
* the project opens without complaint, with labels, descriptions, prompts, proposals and the way of looking; after
  closing, labels.zarr holds those labels.

The exit code is 1 when anything was lost. The test suite runs a short version.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microsam_nb.core import Candidate, Image, Mask, MicrosamError
from microsam_nb.session import (
    Action,
    AddBox,
    AddPoint,
    Clear,
    Commit,
    Delete,
    Describe,
    Erase,
    Improve,
    LayerName,
    Merge,
    Pace,
    Paint,
    Predicted,
    Project,
    Redo,
    RemovePrompt,
    Select,
    Session,
    SetLayer,
    SetOverlap,
    SetTool,
    SetView,
    Split,
    Suggest,
    Tool,
    Undo,
)

SHAPE = (2, 700, 600)
BUSY = Pace(quiet=0.01, latest=0.05, retry=0.1)


@dataclass(frozen=True)
class Report:
    """What a session holds after so many lines of its journal, as checksums."""

    lines: int
    labels: int
    infos: int
    state: int

    @classmethod
    def of(cls, session: Session, lines: int) -> Report:
        def crc(value: object) -> int:
            return zlib.crc32(repr(value).encode())

        infos = sorted(session.infos.items())
        return cls(lines, zlib.crc32(session.labels.volume.tobytes()), crc(infos), crc(_plain(session.state)))


def _plain(state: object) -> str:
    from microsam_nb.session.plain import to_plain

    return json.dumps(to_plain(state))


class Script:
    """Random actions that mostly make sense."""

    def __init__(self, session: Session, chance: random.Random) -> None:
        self.session, self.chance = session, chance

    def place(self) -> tuple[float, float]:
        return self.chance.uniform(0, SHAPE[1] - 1), self.chance.uniform(0, SHAPE[2] - 1)

    def line(self) -> tuple[tuple[float, float], ...]:
        (y, x), d = self.place(), 60
        return tuple((y + self.chance.uniform(-d, d), x + self.chance.uniform(-d, d)) for _ in range(3))

    def candidates(self) -> tuple[Candidate, ...]:
        out = []
        for _ in range(self.chance.choice((1, 1, 1, 3))):
            side, depth = self.chance.randint(5, 80), self.chance.choice((1, 1, 2))
            y, x = (self.chance.randint(0, size - side) for size in SHAPE[1:])
            grid = np.indices((side, side)) - side / 2 + 0.5
            shown = (grid**2).sum(axis=0) <= side**2 / 4
            out.append(
                Candidate(Mask((0, y, x), np.repeat(shown[None], depth, axis=0)), self.chance.random(), "points")
            )
        return tuple(out)

    def next(self) -> Action:
        session, chance = self.session, self.chance
        if session.awaiting is not None and chance.random() < 0.8:
            return Predicted(session.awaiting, self.candidates())
        if session.state.proposals and session.state.answered and chance.random() < 0.6:
            return Commit()
        labels = [*session.labels, 1]
        y, x = self.place()
        actions = [
            (14, AddPoint(y, x, chance.random() < 0.8)),
            (4, AddBox(y, x, y + 50, x + 50)),
            (2, RemovePrompt()),
            (2, Clear()),
            (6, Paint(self.line(), 12.0)),
            (4, Erase(self.line(), 12.0)),
            (3, Split(self.line())),
            (2, Merge((chance.choice(labels), chance.choice(labels)))),
            (2, Delete((chance.choice(labels),))),
            (3, Describe(chance.choice(labels), f"name {chance.random():.3f}")),
            (2, Improve(chance.choice(labels))),
            (2, Select((chance.choice(labels),) if chance.random() < 0.5 else ())),
            (1, Suggest(self.candidates())),
            (8, Undo()),
            (5, Redo()),
            (6, SetView(y, x, chance.uniform(0.5, 8))),
            (2, SetTool(chance.choice(list(Tool)))),
            (1, SetOverlap(chance.choice(["keep existing", "replace"]))),
            (2, SetLayer(LayerName.OBJECTS, opacity=round(chance.random(), 3))),
        ]
        return chance.choices([action for _, action in actions], [weight for weight, _ in actions])[0]


def image() -> Image:
    return Image(np.zeros(SHAPE, np.uint8), "zyx")


def annotate(folder: Path, reports: Path, seed: int) -> None:
    """Go on for ever; report after every action, unbuffered."""
    chance = random.Random(seed)
    project = Project.open(folder, image(), "none")
    session = Session(SHAPE, project, BUSY)
    script = Script(session, chance)
    with reports.open("ab", buffering=0) as out:
        while True:
            try:
                session.handle(script.next())
            except MicrosamError:
                continue
            if session.notice.error and "cannot be written" in session.notice.text:
                os._exit(3)
            out.write(json.dumps(vars_of(Report.of(session, project.journal.lines))).encode() + b"\n")
            if chance.random() < 0.1:
                time.sleep(chance.uniform(0, 0.03))


def vars_of(report: Report) -> list[int]:
    return [report.lines, report.labels, report.infos, report.state]


def check(folder: Path, reports: Path) -> tuple[list[str], dict[str, int]]:
    """Return what is wrong after a kill, and what was seen."""
    wrong: list[str] = []
    data = reports.read_bytes() if reports.exists() else b""
    whole = data[: data.rfind(b"\n") + 1].splitlines()
    last = Report(*json.loads(whole[-1])) if whole else None
    project = Project.open(folder, image(), "none")
    stored = project.stored(SHAPE)
    stamp, (on_disk, readable) = stored.stamp(), stored.read()
    unfinished = stored.exists() and stamp is None
    # What the journal says, line by line, in a session that has nothing else.
    plain, lines = Session(SHAPE), 0
    for action in project.journal.read():
        if not isinstance(action, Action):
            wrong.append(f"line {lines + 1} is damaged")
            break
        plain.handle(action)
        lines += 1
        if last is not None and lines == last.lines and Report.of(plain, lines) != last:
            wrong.append(f"line {lines}: reported {last}, found {Report.of(plain, lines)}")
        if stamp is not None and lines == stamp.upto:
            if not readable or not np.array_equal(on_disk, plain.labels.volume):
                wrong.append(f"labels.zarr does not hold the labels of line {lines}, as it says")
            if dict(stamp.infos) != plain.infos:
                wrong.append(f"labels.zarr does not hold the descriptions of line {lines}")
    if stamp is not None and stamp.upto > lines:
        wrong.append(f"labels.zarr names line {stamp.upto} of {lines}")
    if last is not None and not last.lines <= lines <= last.lines + 1:
        wrong.append(f"{last.lines} lines were reported, {lines} are there")
    session = Session(SHAPE, project, BUSY)
    if session.recovered:
        wrong.append(f"complaint: {session.recovered}")
    if Report.of(session, lines) != Report.of(plain, lines):
        wrong.append("the reopened project is another one")
    session.close()
    volume, readable = stored.read()
    stamp = stored.stamp()
    if not readable or not np.array_equal(volume, session.labels.volume):
        wrong.append("labels.zarr is not up to date after closing")
    if session.labels.count() and (stamp is None or stamp.upto != lines):
        wrong.append(f"labels.zarr names {stamp and stamp.upto} after closing, not {lines}")
    seen = {
        "lines": lines,
        "objects": session.labels.count(),
        "unfinished": unfinished,
        "ahead": last is not None and lines > last.lines,
        "reported": len(whole),
    }
    return wrong, seen


def wait_for(reports: Path, count: int) -> None:
    """Wait until so many actions were reported, on a very busy machine for 30 seconds at most."""
    end = time.monotonic() + 30
    while time.monotonic() < end and count > (reports.read_bytes().count(b"\n") if reports.exists() else 0):
        time.sleep(0.002)


def run(root: Path, kills: int, seed: int, most: int = 120) -> list[str]:
    """Kill ``kills`` times; return what was lost."""
    chance = random.Random(seed)
    folder, reports = root / "cells.msam", root / "reports"
    lost: list[str] = []
    unfinished = ahead = reported = 0
    seen: dict[str, int] = {}
    for number in range(kills):
        reports.unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            annotate(folder, reports, seed + number)
            os._exit(2)
        # Some die while they open the project, others after some actions, at any moment of the next.
        wait_for(reports, chance.choice((0, 1)) * chance.randint(0, most))
        time.sleep(chance.uniform(0, 0.06))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            lost.append(f"kill {number}: the victim ended by itself ({status})")
        wrong, seen = check(folder, reports)
        lost += [f"kill {number}: {one}" for one in wrong]
        unfinished += seen["unfinished"]
        ahead += seen["ahead"]
        reported += seen["reported"]
    print(
        f"{kills} kills; {reported} actions reported, {seen['lines']} lines and {seen['objects']} objects at the end; "
        f"{unfinished} kills met labels.zarr unfinished, {ahead} met an action written but not reported; "
        f"{len(lost)} losses"
    )
    return lost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lost = run(Path(folder), options.kills, options.seed)
    print("\n".join(lost))
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
