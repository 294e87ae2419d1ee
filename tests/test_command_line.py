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


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("MICROSAM_CACHEDIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def test_info(cache, capsys):
    cache.mkdir(parents=True)
    for name in ("vit_b_lm", "vit_b_lm_decoder", "vit_t_lm", "vit_h"):
        (cache / name).write_bytes(bytes(2_000_000))
    assert main(["info"]) == 0
    said = capsys.readouterr().out
    assert "xxh128:" in said
    assert str(cache.parent) in said
    rows = {line.split()[0]: " ".join(line.split()) for line in said.splitlines() if line}
    assert rows["nano"].startswith("nano in package - yes")
    assert rows["vit_b_lm"].startswith("vit_b_lm (v4) 4 MB 416 MB yes light microscopy")
    assert rows["vit_t_lm"].startswith("vit_t_lm (v3) incomplete 81 MB yes")
    assert rows["vit_h"].startswith("vit_h 2 MB 2564 MB - photographs")
    assert rows["vit_l"].startswith("vit_l - 1249 MB -")
    assert len([row for row in rows if row.startswith("vit_")]) == 14


def test_info_downloads_models_by_name_and_label(cache, capsys, monkeypatch):
    fetched = []

    def fetch(model):
        fetched.append(model.name)
        cache.mkdir(parents=True, exist_ok=True)
        (cache / model.name).write_bytes(bytes(3_000_000))
        return [cache / model.name]

    monkeypatch.setattr("microsam_nb.engine.download.fetch", fetch)
    assert main(["info", "--download", "vit_t_lm", "vit_b_lm (v4)"]) == 0
    assert fetched == ["vit_t_lm", "vit_b_lm"]
    assert f"vit_b_lm (v4): 3 MB in {cache}" in capsys.readouterr().out
    assert main(["info", "--download", "all"]) == 0
    assert len(fetched) == 2 + 15


def test_info_downloads_nothing_when_one_name_is_unknown(cache, capsys, monkeypatch):
    monkeypatch.setattr("microsam_nb.engine.download.fetch", lambda model: pytest.fail("fetched"))
    assert main(["info", "--download", "vit_b_lm", "vit_blm"]) == 2
    said = capsys.readouterr().err
    assert "Did you mean 'vit_b_lm'? Choose a name that 'microsam-nb info' lists." in said
    assert said.count("\n") == 1


def test_the_embedded_model_needs_no_download(cache, capsys):
    assert main(["info", "--download", "nano"]) == 0
    assert "nano: part of the package" in capsys.readouterr().out


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
