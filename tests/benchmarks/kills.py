"""Kill ``embed`` of a volume at random moments again and again, then let it end: is the store bit-equal?

    OMP_NUM_THREADS=1 python tests/benchmarks/kills.py --kills 64

One process loads everything, and every victim is a fork of it. The exit code is 1 when anything was lost. The test
suite runs a short version with a fake encoder.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def run(folder: Path, kills: int, planes: int, side: int, fake: bool, seed: int) -> bool:
    """Embed a volume undisturbed into ``folder / whole``, and with ``kills`` SIGKILLs into ``folder / killed``."""
    from microsam_nb.core import Image
    from microsam_nb.engine import embed, load_model, open_store
    from microsam_nb.engine.store.source import Source
    from microsam_nb.engine.tiling import Tiling
    from microsam_nb.engine.training.embedded import new_nano

    chance = random.Random(seed)
    pixels = np.random.default_rng(seed).integers(0, 255, (planes, side, side)).astype(np.uint8)
    image = Image(pixels, "zyx")
    if fake:
        sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
        from fake_encoder import FakeEncoder

        encoder, model = FakeEncoder(), new_nano(seed=3)
        Source.encode_stepwise = lambda self, items: encoder.steps(self, items)
    else:
        model = load_model("nano", "cpu")
    tiling = Tiling((side // 2, side), (8, 8)) if fake else None

    def victim(name: str) -> int:
        pid = os.fork()
        if pid == 0:
            for _ in embed(model, image, open_store(folder / name, model, image, tiling)):
                pass
            os._exit(0)
        return pid

    start = time.perf_counter()
    _, status = os.waitpid(victim("whole"), 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit("the undisturbed run failed")
    whole, hit, rounds, equal = contents(folder / "whole"), 0, 0, True
    while equal and (hit < kills or rounds == 0):
        name = f"killed{rounds}"
        while True:
            pid = victim(name)
            if hit < kills:
                # Early victims die while the store is laid out, later ones between any two writes.
                time.sleep(chance.uniform(0, 2 * seconds / (1 + min(kills, 16))))
                os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            if not os.WIFSIGNALED(status):
                break
            hit += 1
        rounds += 1
        equal = status == 0 and contents(folder / name) == whole
        shutil.rmtree(folder / name)
    print(
        f"{hit} kills while {rounds} stores were made; undisturbed {seconds:.2f} s, {len(whole)} files, "
        f"{sum(map(len, whole.values())) / 1e6:.1f} MB; after the kills {'bit-equal' if equal else 'DIFFERENT'}"
    )
    return equal


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=64)
    parser.add_argument("--planes", type=int, default=48)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--fake", action="store_true", help="an encoder that answers at once, and tiles")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        equal = run(Path(folder), options.kills, options.planes, options.side, options.fake, options.seed)
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
