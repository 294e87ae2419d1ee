"""How much work a movie takes: it is tracked automatically, then a simulated annotator corrects what is wrong.

usage: python tests/benchmarks/effort_tracks.py PACK [--split all] [--model nano] [--mode auto] [--enough 0.98]

The annotator knows the truth, and works on the session of ``annotate_tracks`` with its actions, as a user with mouse
and keys does. It goes through the movie from the first frame. A cell that is missing is clicked on, followed until it
is found again, and kept; cells that were taken for one are cut apart with a line, objects that are none deleted; tracks
are cut, joined, exchanged and given the right mother. Every click, line and command is counted. TRA is that of the Cell
Tracking Challenge by py-ctcmetrics. Beside it the same movie from nothing, without automatic tracking.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import tifffile
from effort_oracle import largest
from scipy import ndimage
from skimage.measure import find_contours
from tracks import true_tracks

from microsam_nb.annotators.service import EngineService
from microsam_nb.core import Image, MicrosamError, Polygon, Tracks
from microsam_nb.core.tracks import areas
from microsam_nb.engine.evaluation.tracks import evaluate_tracks
from microsam_nb.session import (
    AddPoint,
    AddPrompt,
    Clear,
    Commit,
    CutTrack,
    Delete,
    DeleteIn,
    EndTrack,
    ExtendObject,
    JoinTracks,
    LinkAll,
    Orphan,
    Reparent,
    Runner,
    Session,
    Split,
    SwapTracks,
)

#: Clicks in one frame before the annotator takes what there is.
_CLICKS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--split", default="all")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--enough", type=float, default=0.98)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    print(
        "| movie | true tracks | cells in frames | start | TRA at first | TRA at last | clicks | commands | per track "
        "| kernel s | what |\n" + "| --- " * 11 + "|"
    )
    for row in csv.DictReader((options.pack / "manifest.csv").open()):
        if row["kind"] != "2dt" or options.split not in ("all", row["split"]):
            continue
        truth = true_tracks(options.pack, row)
        image = Image(tifffile.imread(options.pack / row["path_image"]), "tyx")
        for automatic in (True, False):
            annotator = Annotator(image, truth, options)
            first = annotator.link() if automatic else 0.0
            last = annotator.correct()
            told = ", ".join(f"{count} {name}" for name, count in annotator.done.most_common())
            clicks = annotator.done["AddPoint"] + annotator.done["AddPrompt"]
            commands = annotator.done.total() - clicks
            cells = sum(map(len, truth.present.values()))
            name = f"{Path(row['path_image']).stem} ({row['split']})"
            print(
                f"| {name} | {len(truth.present)} | {cells} | {'Link all' if automatic else 'nothing'} | {first:.3f} "
                f"| {last:.3f} | {clicks} | {commands} | {annotator.done.total() / len(truth.present):.1f} "
                f"| {annotator.seconds:.1f} | {told} |",
                flush=True,
            )
            annotator.close()


class Annotator:
    """One movie, its truth, and a session that is worked on."""

    def __init__(self, image: Image, truth: Tracks, options) -> None:
        self.truth, self.options = truth, options
        self.session = Session(image.shape, movie=True)
        self.runner = Runner(self.session, EngineService(image, options.model))
        self.done: Counter[str] = Counter()
        self.seconds = 0.0
        self.runner.wait()

    def close(self) -> None:
        self.runner.close()

    def link(self) -> float:
        self.session.handle(LinkAll(mode=self.options.mode))
        self._wait()
        return self.score()

    def score(self) -> float:
        return evaluate_tracks(self.truth, Tracks(*self.session.family())).tra

    def correct(self) -> float:
        """Go through the frames and correct what is wrong, until the tracks are good enough; return their TRA."""
        for frame in range(len(self.truth.labels)):
            self._split(frame)
            self._find(frame)
            self._relate(frame)
            self._delete(frame)
            if self.options.verbose:
                print(frame, f"{self.score():.3f}", dict(self.done), flush=True)
            if (score := self.score()) >= self.options.enough:
                return score
        return self.score()

    # One frame.

    def _split(self, frame: int) -> None:
        """Cut apart what was taken for one cell."""
        for _ in range(3):
            matches = self._matches(frame)
            together: dict[int, list[int]] = {}
            for cell, own in matches.items():
                together.setdefault(own, []).append(cell)
            wrong = [(own, cells) for own, cells in together.items() if own and len(cells) > 1]
            if not wrong:
                return
            for own, cells in wrong:
                line = _between(*(self._middle(frame, one) for one in cells[:2]))
                if not self._do(Split(line, frame)):
                    self._do(Delete((own,)))

    def _find(self, frame: int) -> None:
        """Click on what is missing, and follow it until it is found again."""
        for cell in areas(self.truth.labels[frame])[0].tolist():
            if self._matches(frame)[cell]:
                continue
            rest = [t for t in self.truth.present[cell] if t > frame]
            until = next((t for t in rest if self._matches(t)[cell]), None)
            # What covers it and is no cell itself.
            for own in np.unique(self.session.labels.volume[frame][self.truth.labels[frame] == cell]).tolist():
                if own and own not in self._matches(frame).values():
                    self._do(DeleteIn(own, frame))
            if not self._click(frame, cell) and not self._outline(frame, cell):
                self._do(Clear())
                continue
            if rest and until != rest[0]:
                self._do(ExtendObject())
                self._wait()
            label = self.session.state.next_id
            if not self._do(Commit()):
                self._do(Clear())
                continue
            frames = self.session.frames(label)
            # Where it is another cell, or none, and where the cell has a track already, it has gone astray.
            wrong = [t for t in frames if t > frame and self._astray(label, cell, t)]
            if wrong:
                self._do(EndTrack(label, wrong[0]))

    def _astray(self, label: int, cell: int, frame: int) -> bool:
        return self._matches(frame).get(cell, 0) != label

    def _relate(self, frame: int) -> None:
        """Make every cell the same track as before, and a daughter of the right one."""
        for cell, own in self._matches(frame).items():
            if not own:
                continue
            # An earlier correction in this frame may have given it another number.
            own = self._matches(frame)[cell]
            known = [t for t in self.truth.present[cell] if t < frame]
            before = next((m for t in reversed(known) if (m := self._matches(t)[cell])), 0)
            if before == own:
                continue
            if before:
                self._continue(before, own, frame)
                continue
            if self.session.frames(own)[0] < frame:
                self._do(CutTrack(own, frame))
                own = self._matches(frame)[cell]
            self._adopt(cell, own, frame)

    def _continue(self, before: int, own: int, frame: int) -> None:
        ends, begins = self.session.frames(before)[-1], self.session.frames(own)[0]
        if ends >= frame and begins < frame:
            self._do(SwapTracks(before, own, frame))
            return
        if ends >= frame:
            self._do(CutTrack(before, frame))
        if begins < frame:
            self._do(CutTrack(own, frame))
            own = self.session.state.next_id - 1
        self._do(JoinTracks(before, own))

    def _adopt(self, cell: int, own: int, frame: int) -> None:
        lineage, mother = self.session.state.lineage, self.truth.lineage.parent(cell)
        right = 0
        if mother is not None:
            right = next((m for t in reversed(self.truth.present[mother]) if (m := self._matches(t)[mother])), 0)
        if (lineage.parent(own) or 0) == right:
            return
        if not right:
            self._do(Orphan(own))
            return
        if self.session.frames(right)[-1] >= frame:
            self._do(CutTrack(right, frame))
        self._do(Reparent(own, right))

    def _delete(self, frame: int) -> None:
        """Remove what is no cell in any frame; end what is none any more."""
        good = set(self._matches(frame).values())
        for own in areas(self.session.labels.volume[frame])[0].tolist():
            if own in good:
                continue
            frames = self.session.frames(own)
            right = [t for t in frames if own in self._matches(t).values()]
            if not right:
                self._do(Delete((own,)))
            elif right[-1] < frame and right[-1] < frames[-1]:
                self._do(EndTrack(own, right[-1] + 1))

    # What a user sees, and does.

    def _click(self, frame: int, cell: int) -> bool:
        """Click until the object in hand is the cell; return whether it is."""
        truth = self.truth.labels[frame] == cell
        region, positive = truth, True
        for _ in range(_CLICKS):
            y, x = _deepest(region)
            self._do(AddPoint(y, x, positive, frame))
            self._wait()
            found = self._in_hand(frame)
            if 2 * (found & truth).sum() > truth.sum() and (found & truth).sum() > 0.6 * (found | truth).sum():
                return True
            lack, surplus = largest(truth & ~found), largest(found & ~truth)
            positive = bool(lack.sum() >= surplus.sum())
            region = lack if positive else surplus
        return self._overlap(frame, cell) > 0.5

    def _outline(self, frame: int, cell: int) -> bool:
        """Draw around the cell; return whether that is it."""
        self._do(Clear())
        truth = np.pad(largest(self.truth.labels[frame] == cell), 1)
        outline = max(find_contours(truth.astype(float), 0.5), key=len)[::3] - 0.5
        self._do(AddPrompt(Polygon(frame, tuple((float(y), float(x)) for y, x in outline))))
        self._wait()
        return self._overlap(frame, cell) > 0.5

    def _overlap(self, frame: int, cell: int) -> float:
        """Return which share of a cell is in hand, of what is free."""
        truth = self.truth.labels[frame] == cell
        return float((self._in_hand(frame) & truth).sum() / truth.sum())

    def _in_hand(self, frame: int) -> np.ndarray:
        one = self.session.state.proposal
        found = np.zeros(self.session.shape[1:], bool) if one is None else one.mask.dense(self.session.shape)[frame]
        # What is committed stays as it is.
        return found & (self.session.labels.volume[frame] == 0)

    def _matches(self, frame: int) -> dict[int, int]:
        """Return of every true cell of a frame the track that has more than half of its pixels there, 0 for none."""
        truth, own = self.truth.labels[frame], self.session.labels.volume[frame]
        out = {}
        for cell, area in zip(*(one.tolist() for one in areas(truth)), strict=True):
            ids, counts = areas(own[truth == cell][None])
            best = int(counts.argmax()) if len(counts) else 0
            out[cell] = int(ids[best]) if len(counts) and 2 * counts[best] > area else 0
        return out

    def _middle(self, frame: int, cell: int) -> tuple[float, float]:
        y, x = ndimage.center_of_mass(self.truth.labels[frame] == cell)
        return float(y) + 0.5, float(x) + 0.5

    def _do(self, action) -> bool:
        """Do what a user does, and count it; return whether it was possible."""
        start = time.perf_counter()
        try:
            self.session.handle(action)
        except MicrosamError as error:
            if self.options.verbose:
                print(type(action).__name__, error, flush=True)
            return False
        finally:
            self.seconds += time.perf_counter() - start
            self.done[type(action).__name__] += 1
        return True

    def _wait(self) -> None:
        start = time.perf_counter()
        self.runner.wait(600)
        self.seconds += time.perf_counter() - start


def _deepest(region: np.ndarray) -> tuple[float, float]:
    depth = ndimage.distance_transform_edt(np.pad(largest(region), 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(y) + 0.5, float(x) + 0.5


def _between(one: tuple[float, float], other: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """Return a line that separates two places."""
    (y0, x0), (y1, x1) = one, other
    y, x, dy, dx = (y0 + y1) / 2, (x0 + x1) / 2, y1 - y0, x1 - x0
    return (y - 3 * dx, x + 3 * dy), (y + 3 * dx, x - 3 * dy)


if __name__ == "__main__":
    main()
