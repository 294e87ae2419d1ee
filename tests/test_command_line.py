import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from microsam_nb.__main__ import main
from microsam_nb.commands.lab import _notebook
from microsam_nb.commands.shared import progress_bar


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
        ("object,y0,x0,y1,x1\n1,2,2,9,9\n1,3,3,9,9\n", "Keep one box"),
        ("object,kind\n1,stop\n", "a box or another prompt"),
        ("object,kind,plane\n1,stop,4\n", "a box or another prompt"),
        ("object,kind,points\n3,polygon,200 1;200 9;220 5\n", "Draw it inside"),
    ],
)
def test_errors_are_one_line_and_leave_no_file(tmp_path, image, prompts, remedy, capsys):
    table = tmp_path / "prompts.csv"
    table.write_text(prompts)
    assert main(["prompt", str(image), str(table), "-o", str(tmp_path / "out.tif")]) == 2
    said = capsys.readouterr().err
    assert remedy in said
    assert said.count("\n") == 1
    assert sorted(one.name for one in tmp_path.iterdir()) == ["discs.tif", "prompts.csv"]


def test_every_plane_of_a_volume_is_segmented_on_its_own(tmp_path, drawn, capsys):
    volume = np.stack([np.zeros_like(drawn.pixels), drawn.pixels, drawn.pixels[::-1], drawn.pixels])
    tifffile.imwrite(tmp_path / "volume.tif", volume, photometric="minisblack")
    table = tmp_path / "prompts.csv"
    table.write_text(
        "object,plane,kind,y0,x0,y1,x1\n5,1,,13,15,36,38\n5,2,,60,15,83,38\n70000,2,,56,61,75,80\n5,3,stop,,,,\n"
    )
    assert main(["prompt", str(tmp_path / "volume.tif"), str(table), "-o", str(tmp_path / "out.tif")]) == 0
    labels = tifffile.imread(tmp_path / "out.tif")
    assert labels.shape == volume.shape
    assert labels.dtype == np.uint32
    truth = np.zeros(volume.shape, int)
    truth[1][drawn.labels == 1] = 5
    truth[2][drawn.labels[::-1] == 1] = 5
    truth[2][drawn.labels[::-1] == 2] = 70000
    for plane, number in ((1, 5), (2, 5), (2, 70000)):
        found, wanted = labels[plane] == number, truth[plane] == number
        assert (found & wanted).sum() / (found | wanted).sum() > 0.6
    assert not labels[[0, 3]].any()
    said = capsys.readouterr().out
    assert "Read as 4 planes (z) of 96 x 96 pixels" in said
    assert "2 of 2 objects" in said


def test_every_kind_of_prompt_is_answered(tmp_path, image, drawn):
    tifffile.imwrite(tmp_path / "known.tif", drawn.labels.astype(np.uint8))
    table = tmp_path / "prompts.csv"
    table.write_text(
        "object,kind,y0,x0,y1,x1,points,file,label\n"
        "1,ellipse,13,15,35,37,,,\n"
        '2,polygon,,,,,"21 70;30 79;39 70;30 61",,\n'
        "3,mask,,,,,,known.tif,3\n"
        "4,scribble,,,,,73 77;79 83,,\n"
    )
    assert main(["prompt", str(image), str(table), "-o", str(tmp_path / "out.tif")]) == 0
    labels = tifffile.imread(tmp_path / "out.tif")
    for number in range(1, 5):
        mask, truth = labels == number, drawn.labels == number
        assert (mask & truth).sum() / (mask | truth).sum() > 0.6, number


@pytest.mark.parametrize("pixels", [np.ones((1, 1), np.uint8), np.full((3, 4), 7.5), np.eye(5, dtype=bool)])
def test_the_smallest_images_pass(tmp_path, pixels):
    np.save(tmp_path / "a.npy", pixels)
    (tmp_path / "p.csv").write_text("object,y,x,y0,x0,y1,x1\n1,0.5,0.5,,,,\n2,,,0,0,1,1\n")
    code = main(["prompt", str(tmp_path / "a.npy"), str(tmp_path / "p.csv"), "-o", str(tmp_path / "out.tif")])
    assert code == (0 if tifffile.imread(tmp_path / "out.tif").any() else 1)


@pytest.mark.parametrize(
    ("pixels", "remedy"),
    [
        (np.full((4, 4), np.nan), "Check how it was computed"),
        (np.zeros((4, 4), complex), "real number type"),
        (np.zeros((0, 4)), "read or cropped"),
        (np.zeros(4), "axes y and x"),
        (np.zeros((2, 3, 4, 5)), "name the axes"),
    ],
)
def test_what_is_no_image_is_one_line(tmp_path, capsys, pixels, remedy):
    np.save(tmp_path / "a.npy", pixels)
    (tmp_path / "p.csv").write_text("object,y,x\n1,0.5,0.5\n")
    assert main(["prompt", str(tmp_path / "a.npy"), str(tmp_path / "p.csv"), "-o", str(tmp_path / "out.tif")]) == 2
    said = capsys.readouterr().err
    assert remedy in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out.tif").exists()


def test_axes_of_a_volume_can_be_said(tmp_path, drawn, capsys):
    tifffile.imwrite(tmp_path / "movie.tif", drawn.pixels[None].repeat(3, 0), photometric="minisblack")
    (tmp_path / "p.json").write_text(
        '[{"object": 1, "kind": "box", "plane": 2, "y0": 13, "x0": 15, "y1": 36, "x1": 38}]'
    )
    arguments = ["prompt", str(tmp_path / "movie.tif"), str(tmp_path / "p.json"), "-o", str(tmp_path / "out.tif")]
    assert main([*arguments, "--axes", "tyx"]) == 0
    assert "3 frames (t)" in capsys.readouterr().out
    assert main([*arguments, "--axes", "yx"]) == 2
    assert "Name 3 axes" in capsys.readouterr().err


def test_an_image_where_nothing_is_found_gives_exit_code_1(tmp_path, image, capsys, monkeypatch):
    import microsam_nb.engine
    from microsam_nb.core import Candidate, Mask

    nothing = Candidate(Mask((0, 0, 0), np.zeros((0, 0, 0), bool)), 0.0, "points")
    monkeypatch.setattr(microsam_nb.engine, "predict_many", lambda model, embedding, objects: [nothing] * len(objects))
    (tmp_path / "p.csv").write_text("object,y,x\n4,5,5\n")
    assert main(["prompt", str(image), str(tmp_path / "p.csv"), "-o", str(tmp_path / "out.tif")]) == 1
    said = capsys.readouterr()
    assert "Object 4 was not found; give it more points or a box." in said.err
    assert "0 of 1 objects" in said.out


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"output": "out.png"}, "Use a name ending in .tif"),
        ({"output": "none/out.tif"}, "Choose a folder that exists"),
        ({"output": "discs.tif"}, "Choose another name for the labels"),
        ({"image": "none.tif"}, "Check the name and the folder"),
        ({"prompts": "none.csv"}, "Check the name and the folder"),
        ({"model": "nanno"}, "Did you mean 'nano'"),
        ({"axes": "xy"}, "Use one of: yx, yxc"),
    ],
)
def test_wrong_options_are_one_line_and_leave_no_file(tmp_path, image, capsys, options, remedy):
    (tmp_path / "p.csv").write_text("object,y,x\n1,24,26\n")
    before = image.read_bytes()
    names = {"image": "discs.tif", "prompts": "p.csv", "output": "out.tif", "model": "nano", "axes": "", **options}
    arguments = [str(tmp_path / names[one]) for one in ("image", "prompts", "output")]
    arguments.insert(2, "-o")
    assert main(["prompt", *arguments, "-m", names["model"], "--axes", names["axes"]]) == 2
    said = capsys.readouterr().err
    assert remedy in said
    assert said.count("\n") == 1
    assert sorted(one.name for one in tmp_path.iterdir()) == ["discs.tif", "p.csv"]
    assert image.read_bytes() == before


def test_the_help_of_prompt_shows_every_kind(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["prompt", "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    for word in ("point", "box", "ellipse", "polygon", "scribble", "mask", "stop", "exit codes"):
        assert word in said


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
    assert command[1:5] == ["-m", "jupyter", "lab", "--LabApp.default_url=/lab/tree/00_start_here.ipynb"]
    assert command[-3:] == options
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


@pytest.mark.parametrize("shape", [(20, 30), (200, 300)])
def test_a_mask_of_another_size_is_refused_before_the_model_loads(tmp_path, image, drawn, capsys, shape):
    mask = np.zeros(shape, np.uint8)
    mask[5:15, 5:15] = 1
    tifffile.imwrite(tmp_path / "mask.tif", mask)
    (tmp_path / "p.csv").write_text("object,kind,file\n4,mask,mask.tif\n")
    arguments = [str(image), str(tmp_path / "p.csv"), "-o", str(tmp_path / "out.tif"), "-m", str(tmp_path / "none.pt")]
    assert main(["prompt", *arguments]) == 2
    said = capsys.readouterr().err
    height, width = drawn.labels.shape
    assert f"Object 4: The mask was drawn in {shape[0]} x {shape[1]} pixels" in said
    assert f"Give a mask of {height} x {width} pixels" in said


@pytest.mark.parametrize(
    ("word", "said"), [("--min-sise", "Did you mean --min-size?"), ("--qqqq", "unrecognized arguments: --qqqq 5\n")]
)
def test_an_option_that_does_not_exist_is_told_with_the_command_and_the_nearest_one(word, said, capsys):
    with pytest.raises(SystemExit):
        main(["segment", "images", "-o", "labels", word, "5"])
    err = capsys.readouterr().err
    assert said in err
    assert "usage: microsam-nb segment" in err


def test_progress_in_a_log(capsys):
    # Not a terminal: the bar is not shown, and has none of its parts.
    with progress_bar("one.tif", quiet=False) as told:
        for done in range(3):
            told(SimpleNamespace(done=done, total=0, unit="tiles", note=f"note {done}"))
    assert "one.tif: note 2" in capsys.readouterr().err
