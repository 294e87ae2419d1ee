"""A random forest that tells classes of objects apart, and what it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core import ClassifierError

#: Trees, as in micro-sam; the forest is the same whenever it is trained on the same objects.
_TREES, _SEED = 200, 0
#: An accuracy of so few objects, all together and of a class, would say nothing.
_FEW, _FEWEST = 10, 3


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """Annotated objects: features float32 (n, columns) with the columns' names, and the class of each.

    ``model``: hash and name of the model that saw them, "" where only shapes are used; ``side`` of the windows in
    pixels that it looked at, 0 for whole planes or tiles.
    """

    rows: NDArray[np.float32]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    model: tuple[str, str]
    kind: str
    side: int = 0

    def fits(self, other: Training) -> None:
        """Raise ClassifierError unless both have the same features."""
        if self.model[0] != other.model[0]:
            raise self._another(other.model[1])
        if self.names != other.names:
            raise ClassifierError(
                f"The classifier has {len(self.names)} features, the image gives {len(other.names)} others.",
                "Use images with as many channels as those that it was trained on, or train another one.",
            )

    def suits(self, hash_: str, name: str) -> None:
        """Raise ClassifierError for another model than the one that saw the objects; shapes suit all."""
        if self.model[0] not in ("", hash_):
            raise self._another(name)

    def _another(self, name: str) -> ClassifierError:
        return ClassifierError(
            f"The classifier knows what {self.model[1]} sees in objects, not what {name} does.",
            f"Change over to the model {self.model[1]} first, or train another classifier.",
        )


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """A ``forest`` of scikit-learn and the objects it was trained on; made by ``train``.

    ``accuracy``: share of the annotated objects that trees which have not seen them get right (out of bag); None where
    they are too few.
    """

    forest: Any
    training: Training
    accuracy: float | None

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(str(name) for name in self.forest.classes_)

    def predict(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability of every class, (n, classes), for features (n, columns); nan and inf are unknown."""
        if rows.ndim != 2 or rows.shape[1] != len(self.training.names):
            raise ClassifierError(
                f"The classifier has {len(self.training.names)} features, not {rows.shape[-1]}.",
                "Give those that a Describer of the same kind and model makes.",
            )
        if not len(rows):
            return np.zeros((0, len(self.classes)))
        found: NDArray[np.float64] = self.forest.predict_proba(_known(rows)[:, columns_of(self.training.names)])
        return found


def train(training: Training) -> Classifier:
    """Train a forest, in which rare classes weigh as much as frequent ones. Raises ClassifierError for one class."""
    from sklearn.ensemble import RandomForestClassifier

    names = sorted(set(training.classes))
    if len(names) < 2:
        has = f"All objects have the class {names[0]!r}" if names else "No object has a class"
        raise ClassifierError(f"{has}.", "Click on a few objects of two classes or more.")
    forest = RandomForestClassifier(_TREES, random_state=_SEED, max_features="sqrt", min_samples_leaf=1, bootstrap=True)
    classes, rows = np.array(training.classes), _known(training.rows)[:, columns_of(training.names)]
    counts = [training.classes.count(name) for name in names]
    # class_weight="balanced" means the same, but sklearn takes a class that is called "1" for a number and fails.
    weights = {name: len(classes) / (len(names) * count) for name, count in zip(names, counts, strict=True)}
    forest.fit(rows, classes, sample_weight=np.array([weights[name] for name in training.classes]))
    accuracy = None
    if len(classes) >= _FEW and min(counts) >= _FEWEST:
        accuracy = _out_of_bag(forest, rows, classes)
    return Classifier(forest, training, accuracy)


def join(trainings: Sequence[Training]) -> Training:
    """Return the objects of several images as one training. Raises ClassifierError when their features differ."""
    first, *others = trainings
    for one in others:
        first.fits(one)
    rows = np.concatenate([one.rows for one in trainings])
    return replace(first, rows=rows, classes=tuple(name for one in trainings for name in one.classes))


def columns_of(names: Sequence[str]) -> NDArray[np.int64]:
    """Return the columns that the forest gets: those of shape so often that they are half of all.

    Among hundreds of channels of a model a tree would seldom be offered the area (large and small nuclei after 5
    clicks each: 0.84 right, 0.96 with shapes alone).
    """
    seen = np.array([name.startswith("seen_") for name in names], bool)
    shape = np.flatnonzero(~seen)
    times = max(1, round(int(seen.sum()) / max(1, len(shape))))
    return np.concatenate([np.flatnonzero(seen), np.tile(shape, times)])


def _known(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features with nan for what is not finite: the forest knows what to do with that."""
    return np.where(np.isfinite(rows), rows, np.nan).astype(np.float32)


def _out_of_bag(forest: Any, rows: NDArray[np.float32], classes: NDArray[np.str_]) -> float:
    """Return the share of objects that the trees which were trained without them get right together."""
    votes = np.zeros((len(rows), len(forest.classes_)))
    for tree, drawn in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        left = np.ones(len(rows), bool)
        left[drawn] = False
        if left.any():
            votes[left] += tree.predict_proba(rows[left])
    seen = votes.sum(1) > 0
    return float((forest.classes_[votes[seen].argmax(1)] == classes[seen]).mean())
