"""classify: give a few objects classes, and let a random forest find those of all others."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..core import ClassifierError, ImageError, LabelError
from ..engine.classifying import Classifier, Training, join, train
from ..engine.load import load_model
from ..engine.models import Model
from ..session import Session, classed_by_hand
from .annotate_2d import annotate_2d
from .annotate_3d import annotate_3d
from .annotate_tracks import annotate_tracks
from .applying import memory_store, predict_classes
from .base import Annotator
from .classifier_files import load_classifier
from .described import Table
from .inputs import read_input

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
            engine = loaded, memory_store(shown, loaded)
            table = Table(shown, session, lambda engine=engine: engine)  # type: ignore[misc]
        else:
            raise ClassifierError(
                f"A {type(one).__name__} holds no classes.", "Give annotators with a model, or pairs."
            )
        table.only(kind)
        if parts:
            # What nano sees depends on how large it sees it.
            table.like(parts[0])
        rows = [row for row in session.rows() if classed_by_hand(row.info)]
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
    known = classifier if isinstance(classifier, Classifier) else load_classifier(classifier)
    found = predict_classes(read_input(image, axes), labels, known, _load(model))
    if found.empty:
        raise LabelError("There are no objects.", "Give labels in which pixels of objects are not 0.")
    return found


def _load(model: Any) -> Model:
    return model if isinstance(model, Model) else load_model(model)
