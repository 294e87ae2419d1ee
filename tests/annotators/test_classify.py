"""classify: the door, the thread behind it, and the functions for other images."""

from __future__ import annotations

import errno
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from drawing import disk

import microsam_nb
from microsam_nb.annotators import classifying
from microsam_nb.annotators.classifier_files import load_classifier, save_classifier
from microsam_nb.annotators.classify import apply_classifier, classify
from microsam_nb.annotators.classify import train_classifier as train_on
from microsam_nb.core import ClassifierError, FileError, Image, ImageError, LabelError
from microsam_nb.session import (
    AcceptGuesses,
    Delete,
    LoadLabels,
    ModelLoaded,
    Paint,
    Select,
    Session,
    SetClass,
    Tool,
    Undo,
)
from microsam_nb.session.series import Jump
from microsam_nb.view import Command

SMALL, LARGE = range(1, 9), range(9, 17)


def cells(seed=0):
    """Eight small dark cells, 1 to 8, and eight large bright ones, 9 to 16."""
    chance = np.random.default_rng(seed)
    labels = np.zeros((160, 320), np.uint32)
    for number in range(16):
        row, column = divmod(number, 8)
        radius = (12 if row else 6) + chance.uniform(-1, 1)
        labels[disk(labels.shape, 40 + 80 * row, 20 + 40 * column, radius)] = number + 1
    pixels = 20 + 60 * (labels > 0) + 90 * (labels > 8) + chance.normal(0, 6, labels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8), labels


@pytest.fixture
def opened(tmp_path, monkeypatch, nano):
    monkeypatch.chdir(tmp_path)
    made = []

    def make(image=None, labels=None, **more):
        pixels, known = cells()
        more.setdefault("model", nano)
        given = {"labels": known if labels is None else labels} if labels is not False else {}
        made.append(classify(pixels if image is None else image, project=False, **given, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def settled(annotator):
    annotator.wait()
    annotator.classifying.wait()
    annotator.wait()
    return annotator.session


def click(annotator, small=(1, 2, 3), large=(9, 10, 11)):
    annotator.session.handle(SetClass(tuple(small), "small"))
    annotator.session.handle(SetClass(tuple(large), "large"))
    return settled(annotator)


def predicted(session):
    return {label: one.category for label, one in session.guesses.known.items()}


def test_a_few_clicks_give_all_others_their_class(opened):
    annotator = opened(classes=("small", "large"))
    assert annotator.session.state.browsing.tool is Tool.CLASSIFY
    session = click(annotator)
    assert predicted(session) == {**dict.fromkeys(SMALL[3:], "small"), **dict.fromkeys(LARGE[3:], "large")}
    assert "Trained on 6 objects" in session.guesses.said
    panel = annotator._panels.made["Classes"]
    assert "small: 3 clicked, 5 predicted" in panel.classes[0].description
    session.handle(SetClass((4, 5), "small"))
    session.handle(SetClass((12, 13), "large"))
    settled(annotator)
    assert "100%" in session.guesses.said
    session.handle(AcceptGuesses.of(session))
    settled(annotator)
    table = annotator.table()
    assert set(table["category"]) == {"small", "large"}
    assert table.set_index("id")["probability"].notna().sum() == 6
    session.handle(Undo())
    assert "probability" not in annotator.table()


def test_it_follows_what_happens_to_objects(opened):
    annotator = opened()
    session = click(annotator)
    session.handle(Delete((1,)))
    session.handle(Delete((16,)))
    settled(annotator)
    assert 16 not in session.guesses.known
    assert "Trained on 5 objects" in session.guesses.said
    session.handle(Undo())
    session.handle(Undo())
    settled(annotator)
    assert 16 in session.guesses.known
    assert "Trained on 6 objects" in session.guesses.said
    # Only the object that looks different is described anew.
    table = annotator.classifying._table
    before = {label: found.print for label, found in table._now.known.items()}
    session.handle(Select((4,)))
    session.handle(Paint(((40.0, 148.0),), 8.0))
    settled(annotator)
    changed = {label for label, found in table._now.known.items() if found.print != before[label]}
    assert changed == {4}


def test_accepted_predictions_are_nothing_to_train_on(opened):
    annotator = opened()
    session = click(annotator)
    session.handle(AcceptGuesses.of(session))
    settled(annotator)
    assert "Trained on 6 objects" in session.guesses.said


def test_one_class_is_too_few(opened):
    annotator = opened()
    session = annotator.session
    session.handle(SetClass((1, 2), "small"))
    settled(annotator)
    assert session.guesses.known == {}
    assert annotator.classifying.classifier is None
    annotator.classifying.save("none.skops")
    settled(annotator)
    assert "two classes" in session.notice.text
    session.handle(SetClass((9,), "large"))
    settled(annotator)
    assert len(session.guesses.known) == 13
    session.handle(Undo())
    settled(annotator)
    assert session.guesses.known == {}


def test_without_objects_the_panel_says_so(opened):
    annotator = opened(labels=False)
    settled(annotator)
    assert "There are no objects yet" in annotator._panels.made["Classes"].said.value


def test_it_works_on_an_open_annotator(opened, nano, tmp_path):
    pixels, labels = cells()
    annotator = microsam_nb.annotate_2d(pixels, labels=labels, project=False, model=nano)
    try:
        assert classify(annotator, classes=("a",)) is annotator
        settled(annotator)
        assert annotator._panels.is_open("Classes")
        with pytest.raises(ImageError, match="where it is made"):
            classify(annotator, labels=labels)
    finally:
        annotator.close()


def test_a_classifier_goes_to_other_images_and_is_trained_on(opened, nano, tmp_path):
    annotator = opened()
    click(annotator)
    annotator.classifying.save("cells.skops")
    session = settled(annotator)
    assert "is saved in" in session.notice.text

    pixels, labels = cells(seed=4)
    table = apply_classifier(pixels, labels, "cells.skops", model=nano)
    assert list(table.columns) == ["id", "category", "probability", "p_large", "p_small"]
    assert list(table["category"]) == ["small"] * 8 + ["large"] * 8
    assert ((table["p_large"] + table["p_small"]) - 1).abs().max() < 1e-6

    other = opened(pixels, labels, classifier="cells.skops")
    session = settled(other)
    assert predicted(session) == {n: "small" if n in SMALL else "large" for n in range(1, 17)}
    session.handle(SetClass((1,), "odd"))
    settled(other)
    assert "Trained on 7 objects" in session.guesses.said
    assert set(other.classifying.classifier.classes) == {"small", "large", "odd"}


def test_one_classifier_of_several_images(opened, nano):
    annotator = opened()
    annotator.session.handle(SetClass((1, 2, 3), "small"))
    pixels, labels = cells(seed=7)
    session = Session((1, 160, 320))
    session.handle(LoadLabels.of(labels))
    session.handle(SetClass((9, 10, 11), "large"))
    made = train_on([annotator, (pixels, session)], model=nano)
    assert made.classes == ("large", "small")
    assert list(apply_classifier(pixels, labels, made, model=nano)["category"]) == ["small"] * 8 + ["large"] * 8
    shapes = train_on([annotator, (pixels, session)], model=nano, kind="shape")
    assert "area" in shapes.training.names
    assert shapes.training.model == ("", "")
    with pytest.raises(ClassifierError, match="Give annotators"):
        train_on([])


def test_another_model_is_refused_with_the_way_out(opened, nano, random_nano):
    annotator = opened()
    session = click(annotator)
    made = annotator.classifying.classifier
    pixels, labels = cells()
    strange = replace(random_nano, spec=replace(random_nano.spec, name="other", hash="xxh128:0"))
    with pytest.raises(ClassifierError, match="Change over to the model nano"):
        apply_classifier(pixels, labels, made, model=strange)
    save_classifier(made, "here.skops")
    other = opened(pixels, labels, model=strange)
    other.classifying.load("here.skops")
    session = settled(other)
    assert session.notice.error
    assert "Change over to the model nano" in session.notice.text
    assert session.guesses.known == {}


def test_when_the_model_changes_objects_are_described_anew(opened, random_nano):
    annotator = opened()
    session = click(annotator)
    before = annotator.classifying.classifier
    service = annotator.engine.__self__._service()
    store = service._open(random_nano)
    service._source, service._store = random_nano, store
    session.handle(ModelLoaded("random", "cpu"))
    settled(annotator)
    assert annotator.classifying.classifier is not before
    assert annotator.classifying.classifier.training.model[0] == random_nano.spec.hash


@pytest.mark.parametrize(("name", "error"), [("no.skops", FileError), ("text.skops", ClassifierError)])
def test_a_file_that_cannot_be_read(opened, tmp_path, name, error):
    (tmp_path / "text.skops").write_text("hello")
    annotator = opened()
    session = click(annotator)
    annotator.classifying.load(name)
    settled(annotator)
    assert session.notice.error
    assert predicted(session), "what was there stays"
    with pytest.raises(error):
        load_classifier(tmp_path / name)


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("path", "why"), [("none/cells.skops", "No such file"), ("cells.skops", "No space left")])
def test_a_file_that_cannot_be_written_is_said_and_what_was_there_stays(opened, monkeypatch, path, why):
    annotator = opened()
    session = click(annotator)
    Path("cells.skops").write_text("before")
    if "space" in why:
        monkeypatch.setattr(Path, "write_bytes", full_disk)
    annotator.classifying.save(path)
    settled(annotator)
    assert session.notice.error
    assert session.notice.text.startswith("The classifier is not saved. ")
    assert why in session.notice.text
    assert session.notice.text.endswith("Choose a folder that exists, that you may write to and that has space left.")
    assert annotator.classifying.kept == session.notice.text == annotator._panels.made["Classes"].kept.value
    assert Path("cells.skops").read_text() == "before"
    assert not list(Path().glob("*.part*"))
    assert predicted(session)


def test_a_classifier_is_saved_while_other_objects_are_still_looked_at(opened, monkeypatch):
    monkeypatch.setattr(classifying, "_TOGETHER", 1)
    annotator = opened()
    settled(annotator)
    table, looking, go = annotator.classifying._table, threading.Event(), threading.Event()
    compute = table.compute

    def slow(rows):
        if not any(row.info.category for row in rows):
            looking.set()
            assert go.wait(60)
        yield from compute(rows)

    monkeypatch.setattr(table, "compute", slow)
    # All look different; those that get a class are described at once.
    table._now.known.clear()
    annotator.session.handle(SetClass((1, 2), "small"))
    annotator.session.handle(SetClass((9, 10), "large"))
    waiting = []

    def heard(_):
        if "is saved" in annotator.classifying.kept:
            waiting.append(annotator.session.guesses.waiting)

    annotator.session.changed.connect(heard)
    annotator.classifying.save("early.skops")
    assert looking.wait(60)
    go.set()
    settled(annotator)
    assert waiting[0] > 0
    assert annotator.session.guesses.waiting == 0
    assert Path("early.skops").exists()
    assert len(annotator.session.guesses.known) == 12


def test_what_is_computed_after_another_way_to_describe_objects_was_chosen_is_left_out(opened, nano):
    annotator = opened()
    session = click(annotator)
    shapes = train_on([annotator], model=nano, kind="shape")
    table = classifying.Table(annotator.image, session, annotator.engine)
    rows = session.rows()
    steps = table.compute(rows)
    next(steps)
    other = threading.Thread(target=table.like, args=(shapes.training,))
    other.start()
    other.join(60)
    for _ in table.compute(rows[:4]):
        pass
    for _ in steps:
        pass
    known = [found for row in rows if (found := table.row(row.label)) is not None]
    assert {len(found) for found in known} == {len(shapes.training.names)}
    assert table.training(rows).names == shapes.training.names


def test_images_without_objects_cannot_be_classified(opened, nano):
    annotator = opened()
    click(annotator)
    pixels, labels = cells()
    with pytest.raises(LabelError, match="not 0"):
        apply_classifier(pixels, 0 * labels, annotator.classifying.classifier, model=nano)


def test_tracks_have_one_class_each(opened):
    pixels, labels = cells()
    movie = Image(np.stack([pixels, np.roll(pixels, 2, 1)]), "tyx")
    annotator = opened(movie, np.stack([labels, np.roll(labels, 2, 1)]))
    session = click(annotator)
    assert predicted(session)[16] == "large"
    assert predicted(session)[8] == "small"


def test_keys_choose_classes_while_the_tool_is_in_the_hand(opened):
    annotator = opened(classes=("small", "large"))
    annotator._act(Command.SHOW_OBJECTS)
    annotator.wait()
    assert annotator.session.state.browsing.category == "large"
    assert annotator.session.state.browsing.layers.objects.visible
    annotator._act(Command.SHOW_PROMPTS)
    annotator.wait()
    assert "There is no class 5" in annotator.session.notice.text
    annotator._act(Command.PICK)
    annotator._act(Command.SHOW_OBJECTS)
    annotator.wait()
    assert not annotator.session.state.browsing.layers.objects.visible


@pytest.fixture
def series_of(tmp_path, monkeypatch, nano):
    """A function that opens a series of such images, a.tif, b.tif, ..., with their labels, and shows classes."""
    monkeypatch.chdir(tmp_path)
    made = []

    def make(*kinds, **more):
        for folder in ("images", "labels"):
            Path(folder).mkdir()
        for seed, kind in enumerate(kinds):
            pixels, labels = cells(seed)
            name = f"{'abc'[seed]}.tif"
            colour = {"photometric": "rgb"} if kind == "rgb" else {}
            tifffile.imwrite(f"images/{name}", np.stack([pixels] * 3, -1) if kind == "rgb" else pixels, **colour)
            tifffile.imwrite(f"labels/{name}", labels.astype(np.uint16))
        made.append(microsam_nb.annotate_series("images", "out", labels="labels", model=nano))
        classify(made[0].annotator, classes=("small", "large"), **more)
        settled(made[0].annotator)
        return made[0]

    yield make
    for one in made:
        one.close()


def go_to(series, place):
    series.handle(Jump(place))
    series.wait()
    return series.annotator


def test_a_classifier_goes_on_in_the_next_image_of_a_series(series_of):
    series = series_of("gray", "gray")
    click(series.annotator)
    annotator = go_to(series, 1)
    session = settled(annotator)
    assert annotator.image.name == "b"
    assert annotator.shows("Classes")
    assert session.state.browsing.tool is Tool.CLASSIFY
    assert predicted(session) == {n: "small" if n in SMALL else "large" for n in range(1, 17)}
    assert not session.acted, "nobody has touched this image"
    session.handle(SetClass((1,), "small"))
    assert "Trained on 7 objects" in settled(annotator).guesses.said
    session = settled(go_to(series, 0))
    assert "Trained on 7 objects" in session.guesses.said, "those of the first image count once"
    session.handle(SetClass((1,), ""))
    assert "Trained on 6 objects" in settled(series.annotator).guesses.said


def test_images_that_are_left_before_anybody_has_learned_in_them_lose_nothing(series_of, opened, monkeypatch):
    first = opened()
    click(first)
    series = series_of("gray", "gray", "gray", classifier=first.classifying.classifier)
    learn = classifying.Classifying._learn

    def learn_in_the_last_only(trainer):
        if trainer._table._image.name == "c":
            learn(trainer)

    monkeypatch.setattr(classifying.Classifying, "_learn", learn_in_the_last_only)
    series.annotator.session.handle(SetClass((1, 2, 3, 4), "small"))
    series.annotator.session.handle(SetClass((9, 10, 11, 12), "large"))
    annotator = go_to(series, 1)
    annotator.session.handle(SetClass((1,), "small"))
    session = settled(go_to(series, 2))
    assert "Trained on 15 objects" in session.guesses.said
    assert predicted(session) == {n: "small" if n in SMALL else "large" for n in range(1, 17)}


def test_a_classifier_is_kept_for_the_images_after_one_that_cannot_use_it(series_of, opened):
    first = opened()
    click(first)
    series = series_of("gray", "rgb", "gray", classifier=first.classifying.classifier)
    annotator = go_to(series, 1)
    session = settled(annotator)
    assert session.guesses.known == {}
    assert annotator.classifying.kept.startswith("What was taught in other images is not used here. ")
    click(annotator)
    assert "Trained on 6 objects" in session.guesses.said
    annotator = go_to(series, 2)
    session = settled(annotator)
    assert predicted(session) == {n: "small" if n in SMALL else "large" for n in range(1, 17)}
    assert "Trained on 6 objects" in session.guesses.said, "only on those of the classifier"
    assert annotator.classifying.kept.startswith("Part of what was taught in other images is not used here. ")
