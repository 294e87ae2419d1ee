"""The command that measures models on public data sets."""

from __future__ import annotations

import json
import sys
import types

import numpy as np
import pytest
import tifffile

from microsam_nb.__main__ import main
from microsam_nb.annotators import evaluate_files
from microsam_nb.files.datasets import DATA_SETS


@pytest.fixture
def model(monkeypatch, nano, drawn):
    """nano, loaded once, whose automatic segmentation finds all objects but the first."""
    monkeypatch.setattr("microsam_nb.engine.load.load_model", lambda *_, **__: nano)
    found = np.where(drawn.labels > 1, drawn.labels, 0).astype(np.uint32)
    monkeypatch.setattr(evaluate_files.run, "segment", lambda image, model, settings: found)


def fill(folder, drawn):
    for name, pixels in {"images": drawn.pixels, "masks": drawn.labels.astype(np.uint16)}.items():
        (folder / "test" / name).mkdir(parents=True)
        for one in ("a", "b"):
            tifffile.imwrite(folder / "test" / name / f"{one}.tif", pixels)


def run(*arguments):
    return main(["benchmark", *map(str, arguments)])


def test_the_list_names_every_data_set_and_where_it_comes_from(capsys):
    assert run("list") == 0
    said = capsys.readouterr().out
    assert all(f"{one.name}: {one.title}." in said and one.source in said for one in DATA_SETS.values())


def test_a_data_set_is_measured_as_other_files_are(tmp_path, model, drawn):
    fill(tmp_path / "dsb", drawn)
    asked = ("--data", "dsb", "--path", tmp_path / "dsb", "--mode", "ais", "-q")
    assert run(*asked, "-o", tmp_path / "out") == 0
    rows = json.loads((tmp_path / "out" / "report.json").read_text())["rows"]
    folders = ("--images", tmp_path / "dsb/test/images", "--labels", tmp_path / "dsb/test/masks")
    assert main(["evaluate", *map(str, folders), "--mode", "ais", "-q", "-o", str(tmp_path / "other")]) == 0
    others = json.loads((tmp_path / "other" / "report.json").read_text())["rows"]
    alike = [{name: value for name, value in one.items() if name not in ("image", "name")} for one in rows + others]
    assert len(rows) == 2
    assert alike[:2] == alike[2:]
    assert run(*asked, "--limit", 1, "-o", tmp_path / "one") == 0
    assert len(json.loads((tmp_path / "one" / "report.json").read_text())["rows"]) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data", "dsbb", "--path", "."), "Did you mean dsb"),
        (("--data", "dsb"), "--data NAME --path FOLDER"),
        (("--data", "dsb", "--path", ".", "--limit", "0"), "--limit 1 or more"),
        (("--data", "tissuenet", "--path", ".", "--download"), "Download it from https://datasets.deepcell.org"),
    ],
)
def test_what_is_wrong_is_said_with_its_remedy(arguments, said, capsys):
    assert run(*arguments) == 2
    assert said in capsys.readouterr().err


def test_torch_em_downloads_where_it_is_installed(tmp_path, model, drawn, monkeypatch, capsys):
    asked = ("--data", "dsb", "--path", tmp_path / "dsb", "--mode", "ais", "-q", "--download")
    monkeypatch.setitem(sys.modules, "torch_em", None)
    assert run(*asked) == 2
    assert "conda install" in capsys.readouterr().err

    def get_dsb_data(path, source, download):
        assert (path, source, download) == (str(tmp_path / "dsb"), "reduced", True)
        fill(tmp_path / "dsb", drawn)

    names = ["torch_em", "torch_em.data", "torch_em.data.datasets", "torch_em.data.datasets.light_microscopy"]
    for name in names:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    module = types.ModuleType(f"{names[-1]}.dsb")
    module.get_dsb_data = get_dsb_data
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert run(*asked) == 0
