"""The classes that a classifier finds for the objects of one image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import Image
from ..engine.classifying import Classifier
from ..engine.models import Model
from ..engine.plan import choose_tiling
from ..engine.store import EmbeddingStore, open_store
from ..session import LoadLabels, Session, Settle
from .classifying import guesses_of
from .described import Table
from .inputs import read_labels

if TYPE_CHECKING:
    from pandas import DataFrame


def predict_classes(image: Image, labels: Any, classifier: Classifier, model: Model) -> DataFrame:
    """Return the class of every object: columns id, category, probability, and p_CLASS for each class.

    ``labels``: an array, the path of one, or a session that holds the objects. Raises ClassifierError for another model
    or number of channels, LabelError and FileError for labels that do not fit.
    """
    import pandas

    session = labels
    if not isinstance(labels, Session):
        session = Session(image.shape, movie=image.axes[0] == "t")
        session.handle(LoadLabels.of(*read_labels(labels, image)))
        session.handle(Settle())
    engine = model, memory_store(image, model)
    table = Table(image, session, lambda: engine)
    table.like(classifier.training)
    rows = session.rows()
    for _ in table.compute(rows):
        pass
    features = {row.label: found for row in rows if (found := table.row(row.label)) is not None}
    width = len(classifier.training.names)
    chances = classifier.predict(np.stack(list(features.values())) if features else np.zeros((0, width), np.float32))
    guesses = guesses_of(classifier.classes, list(features), chances)
    out = {
        "id": list(guesses),
        "category": [one.category for one in guesses.values()],
        "probability": [one.probability for one in guesses.values()],
    }
    return pandas.DataFrame({**out, **{f"p_{name}": chances[:, i] for i, name in enumerate(classifier.classes)}})


def memory_store(image: Image, model: Model) -> EmbeddingStore:
    """Return a store for what a model sees in an image, in memory."""
    return open_store(None, model, image, None if model.is_nano else choose_tiling(image.shape, model))
