"""classify: give a few objects classes, and let a random forest find those of all others."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import ClassifierError, FileError, Image, ImageError, LabelError
from ..engine.classifying import Classifier, Training, from_bytes, join, to_bytes, train
from ..engine.load import load_model
from ..engine.models import Model
from ..engine.plan import choose_tiling
from ..engine.store import EmbeddingStore, open_store
from ..files.replacing import replacing
from ..session import LoadLabels, Session, Settle
from ..session.actions.classifying import by_hand
from .annotate_2d import annotate_2d
from .annotate_3d import annotate_3d
from .annotate_tracks import annotate_tracks
from .base import Annotator
from .classifying import Table, guesses_of
from .inputs import read_input, read_labels

if TYPE_CHECKING:
    from pandas import DataFrame

#: The objects of an image: an array or the path of one, or a session that holds them, with their classes.
Objects = Any


def classify(
    image: Any,
    *,
    labels: Any = None,
    classes: Sequence[str] = (),
    classifier: Classifier | str | os.PathLike[str] | None = None,
    **more: Any,
) -> Annotator:
    """Show the objects of an image and give them classes: click on a few of each, and all others are predicted.

    ``image``: what an annotator takes, with ``labels`` and the other arguments of ``annotate_2d``; or an open
    annotator, to which the panel is added. ``classes``: names to begin with. ``classifier``: one to go on with, or
    the path of its file. Raises ClassifierError, and what the annotators raise, with the remedy.
    """
    known = load_classifier(classifier) if isinstance(classifier, str | os.PathLike) else classifier
    if isinstance(image, Annotator):
        if labels is not None or more:
            raise ImageError("The annotator is open already.", "Give labels and settings where it is made.")
        annotator = image
    else:
        shown = read_input(image, more.pop("axes", ""), more.pop("name", ""))
        if shown.axes[0] == "t":
            annotator = annotate_tracks(shown, labels=labels, **more)
        else:
            annotator = (annotate_3d if shown.axes[0] == "z" else annotate_2d)(shown, labels=labels, **more)
    annotator.classify(classes, known)
    return annotator


def train_classifier(
    sources: Iterable[Annotator | tuple[Any, Session]], *, model: Any = "nano", kind: str = "both"
) -> Classifier:
    """Train one classifier on the classes that the user gave in several images.

    ``sources``: annotators, which have their models, or pairs of an image and the session of its project, such as
    ``Session(image.shape, Project.open(folder, image, "nano"))``, for which ``model`` is used. ``kind``: "both", or
    only what the "model" sees, or "shape" and brightness. Raises ClassifierError when they hold fewer than two classes,
    or their features differ.
    """
    parts: list[Training] = []
    loaded = None
    for one in sources:
        if isinstance(one, Annotator) and one.engine is not None:
            table, session = Table(one.image, one.session, one.engine), one.session
        elif isinstance(one, tuple):
            shown, session = read_input(one[0]), one[1]
            loaded = loaded or _load(model)
            engine = loaded, _store(shown, loaded)
            table = Table(shown, session, lambda engine=engine: engine)  # type: ignore[misc]
        else:
            raise ClassifierError(
                f"A {type(one).__name__} holds no classes.", "Give annotators with a model, or pairs."
            )
        table.only(kind)
        if parts:
            # What nano sees depends on how large it sees it.
            table.like(parts[0])
        rows = [row for row in session.rows() if by_hand(row.info)]
        for _ in table.compute(rows):
            pass
        parts.append(table.training(rows))
    if not parts:
        raise ClassifierError("There is no image to train on.", "Give annotators, or pairs of an image and a session.")
    return train(join(parts))


def apply_classifier(
    image: Any, labels: Objects, classifier: Classifier | str | os.PathLike[str], *, model: Any = "nano", axes: str = ""
) -> DataFrame:
    """Return the classes of the objects of another image: columns id, category, probability, and one for each class.

    ``labels``: an array, the path of one, or a session that holds the objects. ``model``: the one that the classifier
    was trained with. Raises ClassifierError for another one, LabelError when there are no objects.
    """
    import pandas

    known = classifier if isinstance(classifier, Classifier) else load_classifier(classifier)
    shown = read_input(image, axes)
    session = labels
    if not isinstance(labels, Session):
        session = Session(shown.shape, movie=shown.axes[0] == "t")
        session.handle(LoadLabels.of(*read_labels(labels, shown)))
        session.handle(Settle())
    rows = session.rows()
    if not rows:
        raise LabelError("There are no objects.", "Give labels in which pixels of objects are not 0.")
    loaded = _load(model)
    engine = loaded, _store(shown, loaded)
    table = Table(shown, session, lambda: engine)
    table.like(known.training)
    for _ in table.compute(rows):
        pass
    features = {row.label: found for row in rows if (found := table.row(row.label)) is not None}
    guesses = guesses_of(known, features)
    out = pandas.DataFrame(
        {
            "id": list(guesses),
            "category": [one.category for one in guesses.values()],
            "probability": [one.probability for one in guesses.values()],
        }
    )
    chances = known.predict(np.stack(list(features.values())))
    for place, name in enumerate(known.classes):
        out[f"p_{name}"] = chances[:, place]
    return out


def save_classifier(classifier: Classifier, path: str | os.PathLike[str]) -> Path:
    """Write a classifier to a file, usually named like nuclei.skops, wholly or not at all. Raises FileError."""
    where = Path(path).expanduser()
    data = to_bytes(classifier)
    with replacing(where) as part:
        part.write_bytes(data)
    return where


def load_classifier(path: str | os.PathLike[str]) -> Classifier:
    """Read a classifier. Raises FileError when there is no such file, ClassifierError when it is something else."""
    where = Path(path).expanduser()
    try:
        data = where.read_bytes()
    except OSError as error:
        raise FileError(f"{where} cannot be read ({error.strerror or error}).", "Check the path.") from error
    return from_bytes(data, where.name)


def _load(model: Any) -> Model:
    return model if isinstance(model, Model) else load_model(model)


def _store(image: Image, model: Model) -> EmbeddingStore:
    return open_store(None, model, image, None if model.is_nano else choose_tiling(image.shape, model))
