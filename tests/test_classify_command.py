"""The command that applies a saved classifier to many images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas
import pytest
import tifffile
from drawing import disk

import microsam_nb
from microsam_nb.__main__ import main
from microsam_nb.annotators import applying
from microsam_nb.engine.classifying import Classifier
from microsam_nb.session import LoadLabels, Session, SetClass


def cells(seed):
    """Four small discs, 1 to 4, and four large ones, 5 to 8."""
    chance = np.random.default_rng(seed)
    labels = np.zeros((90, 160), np.uint16)
    for n in range(8):
        row, column = divmod(n, 4)
        labels[disk(labels.shape, 20 + 45 * row, 20 + 40 * column, (16 if row else 7) + chance.uniform(-1, 1))] = n + 1
    return np.clip(30 + 90 * (labels > 0) + chance.normal(0, 5, labels.shape), 0, 255).astype(np.uint8), labels


def trained(nano, kind, names=("small", "large")):
    pixels, labels = cells(0)
    session = Session((1, *labels.shape))
    session.handle(LoadLabels.of(labels))
    session.handle(SetClass((1, 2), names[0]))
    session.handle(SetClass((5, 6), names[1]))
    return microsam_nb.train_classifier([(pixels, session)], model=nano, kind=kind)


@pytest.fixture(scope="module")
def shapes(nano):
    return trained(nano, "shape")


@pytest.fixture
def files(tmp_path, monkeypatch, nano, shapes):
    """Images a.tif and b.tif with their labels, and a classifier, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("microsam_nb.engine.load.load_model", lambda *_, **__: nano)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for seed, name in enumerate("ab"):
        pixels, labels = cells(seed + 1)
        tifffile.imwrite(f"images/{name}.tif", pixels)
        tifffile.imwrite(f"labels/{name}_masks.tif", labels)
    microsam_nb.save_classifier(shapes, "cells.skops")
    return tmp_path


def run(*more, images="images", labels="labels", classifier="cells.skops", output="out"):
    return main(["classify", images, "--labels", labels, "--classifier", classifier, "-o", output, *more])


def test_every_object_of_a_folder_gets_its_class(files, capsys, monkeypatch):
    asked = []
    predict = Classifier.predict
    monkeypatch.setattr(Classifier, "predict", lambda *given: asked.append(len(given[1])) or predict(*given))
    assert run() == 0
    assert asked == [8, 8], "once for every image"
    table = pandas.read_csv("out/a.csv")
    assert list(table.columns) == ["id", "category", "probability", "p_large", "p_small"]
    assert list(table["id"]) == list(range(1, 9))
    assert list(table["category"]) == ["small"] * 4 + ["large"] * 4
    assert np.allclose(table["p_large"] + table["p_small"], 1)
    assert "8 objects: 4 large, 4 small" in capsys.readouterr().out


@pytest.fixture(scope="module")
def other(nano):
    """A classifier with other names for the same classes."""
    return trained(nano, "shape", ("tiny", "huge"))


@pytest.mark.parametrize("changed", ["classifier", "labels", "image"])
def test_a_table_of_another_classifier_or_of_other_objects_is_made_anew(files, capsys, other, changed):
    assert run("-q") == 0
    before = (files / "out" / "b.csv").read_text()
    if changed == "classifier":
        microsam_nb.save_classifier(other, "cells.skops")
    elif changed == "labels":
        tifffile.imwrite("labels/b_masks.tif", np.where(cells(2)[1] == 8, 0, cells(2)[1]))
    else:
        tifffile.imwrite("images/b.tif", 255 - cells(2)[0])
    assert run() == 0
    table = pandas.read_csv("out/b.csv")
    assert len(table) == (7 if changed == "labels" else 8)
    assert set(table["category"]) == ({"tiny", "huge"} if changed == "classifier" else {"small", "large"})
    told = capsys.readouterr().out
    assert ("1 of 2 images skipped as done already." in told) == (changed != "classifier")
    assert "this command has not made" not in told
    if changed != "image":
        assert (files / "out" / "b.csv").read_text() != before
    assert run() == 0
    assert "2 of 2 images skipped as done already." in capsys.readouterr().out


def test_the_same_command_goes_on_and_says_what_it_skips(files, capsys, monkeypatch, other):
    predict = applying.predict_classes

    def stop(image, *more):
        if image.name == "b":
            raise KeyboardInterrupt
        return predict(image, *more)

    monkeypatch.setattr(applying, "predict_classes", stop)
    assert run() == 130
    assert [one.name for one in (files / "out").glob("*.csv")] == ["a.csv"]
    monkeypatch.setattr(applying, "predict_classes", predict)
    assert run() == 0
    told = capsys.readouterr().out
    assert told.count("skipped: done already") == 1
    assert "1 of 2 images skipped as done already." in told
    (files / "out" / "a.csv").write_text("mine")
    microsam_nb.save_classifier(other, "cells.skops")
    assert run() == 0
    assert (files / "out" / "a.csv").read_text() == "mine"
    assert "skipped: there is a table that this command has not made" in capsys.readouterr().out
    assert run("--overwrite", "-q") == 0
    assert len(pandas.read_csv("out/a.csv")) == len(pandas.read_csv("out/b.csv")) == 8
    assert capsys.readouterr().out == ""


def test_what_is_wrong_with_one_image_keeps_no_other_from_being_done(files, capsys):
    (files / "labels" / "a_masks.tif").unlink()
    tifffile.imwrite("images/c.tif", cells(5)[0])
    tifffile.imwrite("labels/c_masks.tif", np.ones((5, 6), np.uint8))
    tifffile.imwrite("images/d.tif", cells(5)[0])
    tifffile.imwrite("labels/d.tif", np.zeros((90, 160), np.uint8))
    assert run() == 1
    told = capsys.readouterr()
    assert "a.tif: There are no labels of it. Their file must begin with the name" in told.err
    assert "c_masks.tif have shape (5, 6), the image has 90 x 160" in told.err
    assert "0 objects: 0 large, 0 small" in told.out, "an image without objects is no failure"
    assert list(pandas.read_csv("out/d.csv").columns)[:3] == ["id", "category", "probability"]
    assert sorted(one.name for one in (files / "out").glob("*.csv")) == ["b.csv", "d.csv"]


def test_one_image_and_one_table(files):
    assert run(images="images/a.tif", labels="labels/a_masks.tif", output="classes.csv") == 0
    assert len(pandas.read_csv("classes.csv")) == 8


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"labels": "images"}, "is the image itself. Name another folder"),
        ({"labels": "nowhere"}, "Give a folder or a pattern of label files"),
        ({"labels": "labels/a_masks.tif"}, "is one file for 2 images. Name a folder"),
        ({"output": "one.csv"}, "is one file for 2 images. Name a folder"),
        ({"output": "out.tif"}, "Use NAME.csv, or a folder"),
        ({"classifier": "none.skops"}, "Check the path"),
        ({"classifier": "images/a.tif"}, "Give a file that was saved by an annotator"),
    ],
)
def test_a_wrong_command_is_said_before_the_first_image(files, capsys, wrong, words):
    assert run(**wrong) == 2
    assert words in capsys.readouterr().err
    assert not (files / "out").exists()


def test_a_classifier_of_another_model_is_refused_and_the_right_one_is_the_default(
    files, capsys, monkeypatch, nano, shapes
):
    asked = []
    strange = replace(nano, spec=replace(nano.spec, name="other", hash="xxh128:0"))

    def load(name, *_, **__):
        asked.append(name)
        return strange

    seen = replace(shapes.training, model=(nano.spec.hash, nano.spec.label), kind="both")
    microsam_nb.save_classifier(replace(shapes, training=seen), "seen.skops")
    monkeypatch.setattr("microsam_nb.engine.load.load_model", load)
    assert run(classifier="seen.skops") == 2
    assert asked == ["nano"]
    assert "Change over to the model nano" in capsys.readouterr().err
    assert run("-m", "vit_b_lm", classifier="seen.skops") == 2
    assert asked[1:] == ["vit_b_lm"]


def test_an_image_that_cannot_be_read_is_told_as_that(files, capsys):
    (files / "images" / "c.tif").write_text("no picture")
    assert run() == 1
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "c.tif" in line]
    assert "no labels" not in said
    assert "read" in said
