import subprocess
import sys

import numpy as np
import pytest
import tifffile

from microsam_nb.__main__ import _notebook, main


@pytest.fixture
def image(tmp_path, drawn):
    tifffile.imwrite(tmp_path / "discs.tif", drawn.pixels)
    return tmp_path / "discs.tif"


def test_prompt_writes_the_objects(tmp_path, image, drawn, capsys):
    table = tmp_path / "prompts.csv"
    table.write_text("object,y,x,y0,x0,y1,x1\n3,,,13,15,36,38\n7,,,21,61,40,80\n")
    assert main(["prompt", str(image), str(table), "-o", str(tmp_path / "out.tif")]) == 0
    labels = tifffile.imread(tmp_path / "out.tif")
    assert set(np.unique(labels)) == {0, 3, 7}
    for number, truth in ((3, drawn.labels == 1), (7, drawn.labels == 2)):
        mask = labels == number
        assert (mask & truth).sum() / (mask | truth).sum() > 0.6
    assert "2 of 2 objects" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("prompts", "remedy"),
    [
        ("object,y,x\n1,500,4\n", "Click inside"),
        ("object,y,x\n", "one prompt per line"),
        ("object,y,x\n5000000000,4,4\n", "as numbers below a header"),
        ("object,plane,y,x\n1,7,4,4\n", "Click inside"),
        ("object,y,x\n1,a,b\n", "as numbers below a header"),
        ("foo,bar\n1,2\n", "Begin the file with the line"),
        ("object,y0,x0,y1,x1\n1,2,2,2,2\n", "larger box"),
    ],
)
def test_errors_are_one_line_and_leave_no_file(tmp_path, image, prompts, remedy, capsys):
    table = tmp_path / "prompts.csv"
    table.write_text(prompts)
    assert main(["prompt", str(image), str(table), "-o", str(tmp_path / "out.tif")]) == 2
    said = capsys.readouterr().err
    assert remedy in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out.tif").exists()


def test_a_volume_is_refused(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "volume.tif", np.zeros((5, 20, 20), np.uint8))
    (tmp_path / "p.csv").write_text("object,y,x\n1,4,4\n")
    assert main(["prompt", str(tmp_path / "volume.tif"), str(tmp_path / "p.csv"), "-o", "out.tif"]) == 2
    assert "image of one plane" in capsys.readouterr().err


def test_info(capsys):
    assert main(["info"]) == 0
    said = capsys.readouterr().out
    assert "nano" in said
    assert "xxh128:" in said


def test_help_needs_no_torch():
    code = (
        "import sys\nfrom microsam_nb.__main__ import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules and 'ipywidgets' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "prompt" in done.stdout


def test_lab_passes_options_on(tmp_path, monkeypatch):
    commands = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "call", lambda command, cwd: commands.append((command, cwd)) or 0)
    options = ["--no-browser", "--allow-root", "--port=8899"]
    assert main(["lab", *options]) == 0
    command, cwd = commands[0]
    assert command[1:] == ["-m", "jupyter", "lab", "--LabApp.default_url=/lab/tree/00_start_here.ipynb", *options]
    assert (cwd / "00_start_here.ipynb").is_file()


def test_unknown_options_of_other_commands_are_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["info", "--no-browser"])
    assert stop.value.code == 2
    assert "unrecognized arguments: --no-browser" in capsys.readouterr().err


def test_lab_copies_its_notebook_outside_a_clone(tmp_path):
    path = _notebook(tmp_path)
    assert path.parent.name == "microsam_nb_notebooks"
    path.write_text("mine")
    assert _notebook(tmp_path).read_text() == "mine", "a notebook that was changed is not overwritten"


def test_lab_takes_the_notebook_of_a_clone(tmp_path):
    own = tmp_path / "notebooks" / "00_start_here.ipynb"
    own.parent.mkdir()
    own.write_text("{}")
    assert _notebook(tmp_path) == own
