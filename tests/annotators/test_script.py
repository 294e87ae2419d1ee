"""A project as a script: it runs by itself, and gives the same labels."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tifffile
from annotation import Annotation, annotate_cells

from microsam_nb.__main__ import main
from microsam_nb.core import Image
from microsam_nb.session import AddPoint, Commit, ExtendObject, SetBatched, SetPlane


@pytest.fixture
def cells(tmp_path, drawn, nano):
    return annotate_cells(tmp_path, drawn, nano)


def made_by(script):
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return tifffile.imread(script.with_name(f"{script.stem}_labels.tif"))


def test_a_script_gives_the_same_labels(cells, tmp_path, capsys):
    one, labels = cells
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "out.py"
    assert main(["export", str(one.folder), "--script", str(script)]) == 0
    said = capsys.readouterr().out
    assert "answers of nano" in said
    text = script.read_text()
    assert "predict_many(model, store, [[Point(plane=0, y=" in text
    assert '"../cells.tif"' in text or "'../cells.tif'" in text
    assert "microsam_nb.session" not in text
    assert "widgets" not in text
    assert np.array_equal(made_by(script), labels[0])


def test_clicks_become_calls(tmp_path, drawn, nano):
    """Corrections, several objects at once: nothing has to be stored."""
    tifffile.imwrite(tmp_path / "cells.tif", drawn.pixels)
    image = Image(drawn.pixels, name="cells")
    middles = [np.argwhere(drawn.labels == n).mean(0) for n in (1, 2, 3, 4)]
    one = Annotation(tmp_path / "cells.msam", image, nano)
    one.do(AddPoint(*middles[0]), AddPoint(2.0, 2.0, False), Commit(), SetBatched(True))
    one.do(AddPoint(*middles[1]), AddPoint(*middles[2]), AddPoint(*middles[3]), Commit())
    labels = one.close()
    assert labels.max() == 4
    assert main(["export", str(one.folder), "--script", str(tmp_path / "a.py"), "-q"]) == 0
    text = (tmp_path / "a.py").read_text()
    assert "from_json" not in text
    assert "previous=[answer_1[0].mask]" in text
    assert np.array_equal(made_by(tmp_path / "a.py"), labels[0])


def test_a_volume(tmp_path, drawn, nano):
    pixels = np.stack([drawn.pixels] * 3)
    tifffile.imwrite(tmp_path / "stack.tif", pixels, photometric="minisblack", metadata={"axes": "ZYX"})
    image = Image(pixels, "zyx", "stack")
    middles = [np.argwhere(drawn.labels == n).mean(0) for n in (1, 2)]
    one = Annotation(tmp_path / "stack.msam", image, nano)
    one.do(SetPlane(1), AddPoint(*middles[0], plane=1), ExtendObject(), Commit())
    one.do(SetPlane(2), AddPoint(*middles[1], plane=2), Commit())
    labels = one.close()
    assert main(["export", str(one.folder), "--script", str(tmp_path / "a.py"), "-q"]) == 0
    assert np.array_equal(made_by(tmp_path / "a.py"), labels)


def test_mistakes(cells, tmp_path, capsys):
    one, _ = cells
    assert main(["export", str(one.folder), "--script", str(tmp_path / "a.txt")]) == 2
    assert "End it with .py" in capsys.readouterr().err
    assert main(["export", str(one.folder), "--script", str(tmp_path / "none" / "a.py")]) == 2
    assert "Choose a folder that exists" in capsys.readouterr().err
    (tmp_path / "a.py").write_text("print('mine')")
    words = ["export", str(one.folder), "--script", str(tmp_path / "a.py"), "-q"]
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "a.py").read_text() == "print('mine')"
    assert main([*words, "--overwrite"]) == 0
    assert "predict_many" in (tmp_path / "a.py").read_text()
