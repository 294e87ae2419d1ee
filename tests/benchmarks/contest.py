"""Two environments doing the same work in turn: what the benchmarks against micro-sam share.

Each contestant is a process of its own that waits for tasks as lines of JSON. Repetitions alternate between the
contestants, so that whatever else the machine does disturbs all of them alike. Memory is the largest resident set of
a process of its own that does one task only.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


@dataclass
class Contestant:
    """A way to do the work: ``python`` runs ``script`` with ``arguments``."""

    name: str
    python: str
    script: str
    arguments: list[str]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    busy: dict[str, list[float]] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def working(self) -> Iterator[subprocess.Popen[str]]:
        command = [self.python, str(HERE / self.script), *self.arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(60)

    def ask(self, process: subprocess.Popen[str], task: dict[str, object]) -> dict[str, float]:
        process.stdin.write(json.dumps(task) + "\n")
        for line in process.stdout:
            # Libraries may print; an answer is a line of JSON with a mark.
            if line.startswith("answer "):
                return json.loads(line.removeprefix("answer "))
        raise SystemExit(f"{self.name} stopped at the task {task['task']}; its error is above.")


def ours(weights: str, precision: str = "auto") -> Contestant:
    return Contestant(f"microsam_nb, {precision}", sys.executable, "work_ours.py", [weights, precision])


def peer(python: str, weights: str) -> Contestant:
    return Contestant("micro-sam", python, "work_peer.py", [weights])


def compete(contestants: list[Contestant], tasks: dict[str, dict[str, object]], repetitions: int) -> None:
    """Time every task in turn, after one that does not count; then measure memory, one process per task."""
    with ExitStack() as stack:
        at_work = [(one, stack.enter_context(one.working())) for one in contestants]
        for name, task in tasks.items():
            for one, process in at_work:
                one.ask(process, task)
            for _ in range(repetitions):
                for one, process in at_work:
                    answer = one.ask(process, task)
                    one.seconds.setdefault(name, []).append(answer["seconds"])
                    one.busy.setdefault(name, []).append(answer["busy"])
    for one in contestants:
        for name, task in tasks.items():
            with one.working() as process:
                one.peak[name] = one.ask(process, task)["peak"]


def print_table(contestants: list[Contestant]) -> None:
    """Print medians, ranges and peak memory, and their ratios to the last contestant.

    Processor seconds say more than seconds on a machine that has other work; with more than one thread they contain
    the waiting of threads for each other.
    """
    print(
        "| task | who | seconds: median | range | times faster | processor seconds: median | times fewer "
        "| peak memory (MiB) | share |\n" + "| --- " * 9 + "|"
    )
    last = contestants[-1]
    for name in last.seconds:
        for one in contestants:
            seconds, busy = one.seconds[name], one.busy[name]
            faster = statistics.median(last.seconds[name]) / statistics.median(seconds)
            fewer = statistics.median(last.busy[name]) / statistics.median(busy)
            print(
                f"| {name} | {one.name} | {statistics.median(seconds):.3f} | {min(seconds):.3f}-{max(seconds):.3f} "
                f"| {faster:.2f} | {statistics.median(busy):.3f} | {fewer:.2f} "
                f"| {one.peak[name] / 2**20:.0f} | {one.peak[name] / last.peak[name]:.2f} |"
            )


def limit_threads(count: int | None) -> None:
    """Give every contestant so many threads; None leaves the libraries their choice."""
    if count:
        os.environ["OMP_NUM_THREADS"] = str(count)


@contextmanager
def weights_file(given: str | None) -> Iterator[str]:
    """Give the checkpoint, or write vit_b with random weights: costs are the same, masks are noise."""
    if given:
        yield given
        return
    import torch
    from segment_anything import sam_model_registry

    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        path = str(Path(folder) / "vit_b_random.pth")
        torch.save(sam_model_registry["vit_b"]().state_dict(), path)
        yield path


def drawn_image(side: int = 1024) -> np.ndarray:
    """Grey blobs over the whole range of uint8, so that micro-sam's own stretch of contrast changes nothing."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(0).normal(size=(side, side)), 8)
    low, high = noise.min(), noise.max()
    return np.round((noise - low) / (high - low) * 255).astype(np.uint8)
