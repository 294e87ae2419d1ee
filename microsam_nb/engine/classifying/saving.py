"""Classifiers as bytes, by skops: nothing in such a file is run when it is read, as a pickle would be."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import ClassifierError
from .classifier import Classifier, Training, columns_of

_FORMAT, _VERSION = "microsam_nb object classifier", 1
#: What a forest is made of beside types that skops knows as harmless: a table of nodes, which is checked.
_TREES = ["sklearn.tree._tree.Tree"]
_REMEDY = "Give a file that was saved by an annotator, usually named like nuclei.skops."


def to_bytes(classifier: Classifier) -> bytes:
    """Return a classifier with all that it was trained on."""
    import skops.io

    training = classifier.training
    content = {
        "format": _FORMAT, "version": _VERSION, "forest": classifier.forest, "accuracy": classifier.accuracy,
        "rows": training.rows, "classes": list(training.classes), "names": list(training.names),
        "model": list(training.model), "kind": training.kind, "side": training.side,
    }  # fmt: skip
    made: bytes = skops.io.dumps(content)
    return made


def from_bytes(data: bytes, what: str = "The file") -> Classifier:
    """Return the classifier that ``to_bytes`` wrote.

    Raises ClassifierError for anything else, and for files with types that scikit-learn and numpy do not have.
    """
    import skops.io

    try:
        strange = set(skops.io.get_untrusted_types(data=data)) - set(_TREES)
    except Exception as error:
        raise ClassifierError(f"{what} is no classifier ({_short(error)}).", _REMEDY) from error
    if strange:
        raise ClassifierError(
            f"{what} holds types that no classifier needs: {', '.join(sorted(strange)[:3])}.",
            f"Do not open it unless you know who made it. {_REMEDY}",
        )
    try:
        content = skops.io.loads(data, trusted=_TREES)
    except Exception as error:
        raise ClassifierError(f"{what} cannot be read ({_short(error)}).", _REMEDY) from error
    return _checked(content, what)


def _checked(content: Any, what: str) -> Classifier:
    from sklearn.ensemble import RandomForestClassifier

    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ClassifierError(f"{what} is no classifier of objects.", _REMEDY)
    if content.get("version") != _VERSION:
        raise ClassifierError(
            f"{what} has version {content.get('version')}.", f"Open it with a newer microsam_nb; this reads {_VERSION}."
        )
    try:
        hash_, name = (str(one) for one in content["model"])
        rows = np.asarray(content["rows"], np.float32)
        classes, names = (tuple(str(one) for one in content[key]) for key in ("classes", "names"))
        forest, accuracy = content["forest"], content["accuracy"]
        kind, side = str(content["kind"]), int(content["side"])
    except (KeyError, TypeError, ValueError) as error:
        raise ClassifierError(f"{what} lacks a part ({_short(error)}).", _REMEDY) from error
    whole = rows.shape == (len(classes), len(names)) and isinstance(forest, RandomForestClassifier)
    width = len(columns_of(names))
    if not whole or forest.n_features_in_ != width or set(map(str, forest.classes_)) != set(classes):
        raise ClassifierError(f"The parts of {what[:1].lower()}{what[1:]} do not fit together.", _REMEDY)
    if not all(_sound(tree.tree_, width) for tree in forest.estimators_):
        raise ClassifierError(f"The trees of {what[:1].lower()}{what[1:]} are damaged.", _REMEDY)
    training = Training(rows, classes, names, (hash_, name), kind, side)
    return Classifier(forest, training, None if accuracy is None else float(accuracy))


def _sound(tree: Any, features: int) -> bool:
    """Whether a tree leads nowhere outside its own nodes and the features: scikit-learn does not look."""
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    inner = left >= 0
    places, ends = np.arange(len(left)), np.full(len(left), len(left))
    # Children come after their parents, so that no way goes in circles.
    fine = (left > places) & (right > places) & (left < ends) & (right < ends) & (feature >= 0) & (feature < features)
    return bool(len(left) and (fine | ~inner).all())


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0][:120]
