"""A session without torch and without any widget library, driven by a script."""

from __future__ import annotations

import subprocess
import sys
import textwrap

SCRIPT = """
import sys
from pathlib import Path

BLOCKED = ("torch", "torchvision", "segment_anything", "ipywidgets", "ipycanvas", "anywidget", "bqplot", "IPython")

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
try:
    import torch
except ImportError:
    print("blocked")

import numpy as np
from microsam_nb.core import Candidate, Image, Mask
from microsam_nb.session import (
    AddBox, AddPoint, Commit, Embed, Embedded, LoadLabels, Merge, Paint, Predict, Predicted, Project, Runner, Session,
    Undo,
)

def squares(request):
    "A model that finds a square around the first prompt."
    if isinstance(request, Embed):
        return [Embedded(request.plane, 0.01, "squares")]
    found = []
    for prompts in request.objects:
        y, x = (int(v) for v in getattr(prompts[0], "middle", None) or (prompts[0].y, prompts[0].x))
        found.append(Candidate(Mask((0, y - 2, x - 2), np.ones((1, 5, 5), bool)), 0.9, "squares"))
    return [Predicted(request.ticket, tuple(found))]

image = Image(np.arange(2500, dtype=np.uint16).reshape(50, 50))
folder = Path(sys.argv[1])
session = Session(image.shape, Project.open(folder, image, "squares"))
runner = Runner(session, squares)
labels = np.zeros((50, 50), int)
labels[40:45, 40:45] = 7
session.handle(LoadLabels.of(labels, "elsewhere"))
session.handle(AddPoint(10, 12))
runner.wait()
session.handle(Commit())
session.handle(AddBox(20, 20, 30, 30))
session.handle(AddBox(5, 30, 15, 40))
runner.wait()
session.handle(Commit())
session.handle(Merge((8, 9)))
session.handle(Paint(((35, 5), (35, 15)), 3))
session.handle(Commit())
session.handle(Undo())
runner.close()
session.close()
again = Session(image.shape, Project.open(folder, image, "squares"))
assert np.array_equal(again.labels.volume, session.labels.volume)
assert again.state == session.state
print(*((row.label, row.area) for row in again.rows()))
again.close()
print(*sorted({name.split(".")[0] for name in sys.modules} & set(BLOCKED)), "end")
"""


def test_a_script_annotates_without_torch_and_widgets(tmp_path, pytestconfig):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path / "cells.msam")],
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["blocked", "(7, 25) (8, 50) (10, 25)", "end"]


def test_what_is_not_closed_is_saved_when_the_interpreter_ends(tmp_path, pytestconfig):
    script = SCRIPT.split("again = Session")[0].replace("runner.close()\nsession.close()", "print('open')")
    folder = tmp_path / "cells.msam"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(folder)],
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["blocked", "open"]
    from loose import Loose

    stored = Loose(folder).stored((1, 50, 50))
    stamp = stored.stamp()
    assert stamp.upto == len((folder / "journal.jsonl").read_bytes().splitlines())
    assert (stamp.objects, stamp.pixels) == (3, 100)
    assert stored.read()[1]
