"""Models, and labels that are there already, compared with true labels of files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..core import FileError, Image, MicrosamError
from ..core.replacing import replaced_whole
from ..engine.automatic import run
from ..engine.automatic.settings import AutomaticSettings, mode_of
from ..engine.automatic.tuning import tune
from ..engine.evaluation.interactive import InteractiveSettings, check_labels, evaluate_interactive
from ..engine.evaluation.plots import plots
from ..engine.evaluation.report import Report, Scored
from ..engine.evaluation.scores import score
from ..engine.evaluation.tracks import evaluate_tracks
from ..engine.evaluation.volumes import evaluate_volume
from ..engine.models import Model
from ..files.importing import read_objects
from ..files.series import find_series, match_labels
from ..files.tracks import read_tracks
from ..files.tracks.ctc import is_ctc
from ..files.volumes import open_image

#: How a model is used: how prompts are simulated, or how all objects are found.
Way = InteractiveSettings | AutomaticSettings


@dataclass(frozen=True, slots=True)
class Pair:
    """An image, and the file of its true labels."""

    name: str
    image: Path
    labels: Path


def find_pairs(images: Any, labels: str | os.PathLike[str]) -> list[Pair]:
    """Return images with their labels, as a series finds them; images without labels are left out.

    Raises FileError where there are no images, no labels, none that belong together, or where both are one file.
    """
    found = find_series(images)
    of = match_labels(labels, found)
    if not of:
        raise FileError(
            f"None of the labels in {labels} has the name of an image.",
            "Labels of cell1.tif are called cell1.tif too, or begin so: cell1_masks.tif.",
        )
    for name, place in of.items():
        if place.resolve() == found.paths[name].resolve():
            raise FileError(
                f"{place.name} is an image and its own labels.",
                "Tell them apart by patterns, such as 'data/*_img.tif' for images and 'data/*_label.tif' for labels.",
            )
    return [Pair(name, found.paths[name], of[name]) for name in found.paths if name in of]


def read_pair(pair: Pair, axes: str = "", key: str = "") -> tuple[Image, NDArray[np.uint32]]:
    """Return an image, and its labels uint32 (planes, y, x). Raises FileError, ImageError and LabelError."""
    image = Image(open_image(pair.image, key), axes, pair.name)
    return image, check_labels(read_objects(pair.labels, image.shape, name=pair.image.name).labels, image)


def evaluate_model(
    model: Model,
    pairs: Sequence[Pair],
    way: Way,
    known: Path | None = None,
    *,
    axes: str = "",
    key: str = "",
    told: Callable[[Pair], object] = lambda _: None,
    read: Callable[[Pair, str, str], tuple[Image, NDArray[np.uint32]]] = read_pair,
) -> Iterator[tuple[Pair, tuple[Scored, ...] | Exception]]:
    """Yield the scores of every image, or why there are none.

    ``known``: a file in which scores are kept; images whose pixels, labels, model and settings are in it are not
    computed again. ``read`` returns an image and its labels uint32 (planes, y, x).
    """
    kept = _read_known(known)
    for pair in pairs:
        told(pair)
        try:
            image, truth = read(pair, axes, key)
            identity = _identity(model, image, truth, way)
            if identity not in kept:
                rows = _scored(model, pair.name, image, truth, way)
                kept[identity] = rows
                if known is not None:
                    line = json.dumps({"of": identity, "rows": [one.as_dict() for one in rows]})
                    with known.open("a", encoding="utf-8") as file:
                        file.write(f"{line}\n")
            yield pair, kept[identity]
        # One image that cannot be read, or is too large, must not keep the others from being scored.
        except (OSError, ValueError, MemoryError, RuntimeError, MicrosamError) as error:
            yield pair, error


def fit_settings(model: Model, pairs: Sequence[Pair], start: AutomaticSettings, axes: str = "") -> AutomaticSettings:
    """Return the settings that segment validation images best, by a grid search. Raises as ``tune`` does."""
    read = [read_pair(pair, axes) for pair in pairs]
    return tune(model, [one for one, _ in read], [labels for _, labels in read], mode_of(start), start=start).settings


def compare_labels(found: str | Path, truth: str | Path) -> Report:
    """Compare labels, or a folder of tracks of the Cell Tracking Challenge, with the truth; volumes as a whole.

    Raises FileError where no names belong together, and LabelError for labels of different sizes.
    """
    provenance = {"found": str(found), "truth": str(truth), **_when()}
    if is_ctc(Path(found)) and is_ctc(Path(truth)):
        tracks = evaluate_tracks(read_tracks(truth), read_tracks(found))
        names = {"tra": "TRA", "det": "DET", "seg": "SEG"}
        others = {names.get(name, name.replace("_", " ")): value for name, value in asdict(tracks).items()}
        return Report((Scored(Path(found).name, mode="tracks", others=others),), provenance)
    rows = []
    for pair in find_pairs(found, truth):
        image = Image(open_image(pair.image), "", pair.name)
        own = read_objects(pair.image, image.shape, name=pair.name).labels
        true = read_objects(pair.labels, image.shape, name=pair.name).labels
        rows.append(Scored(pair.name, mode="labels", scores=score(flat(true), flat(own))))
    return Report(tuple(rows), provenance)


def write_report(report: Report, folder: Path) -> None:
    """Write a report as report.csv, report.json and report.html. Raises FileError."""
    try:
        report.to_csv(folder / "report.csv")
        report.to_json(folder / "report.json")
        with replaced_whole(folder / "report.html") as part:
            part.write_text(
                f'<!doctype html><meta charset="utf-8">{report._repr_html_()}{plots(report)}', encoding="utf-8"
            )
    except OSError as error:
        raise FileError(
            f"The report cannot be written to {folder} ({error.strerror or error}).",
            "Name a folder that you may write to and that has space left.",
        ) from error


def provenance_of(models: Mapping[str, Model], ways: Sequence[tuple[str, Way]], pairs: Sequence[Pair]) -> Any:
    """Return what a report says of where its numbers come from."""
    used = [{"model": name, "settings": _settings(way)} for name, way in ways]
    hashes = {name: one.spec.hash for name, one in models.items()}
    data = hashlib.sha256()
    # A file may hold many images, or images and labels.
    for path in dict.fromkeys(path for pair in pairs for path in (pair.image, pair.labels)):
        data.update(path.read_bytes() if path.is_file() else str(path.stat().st_mtime_ns).encode())
    return {"models": hashes, "settings": used, "data": f"sha256:{data.hexdigest()}", **_when()}


def _scored(model: Model, name: str, image: Image, truth: NDArray[np.uint32], way: Way) -> tuple[Scored, ...]:
    if isinstance(way, InteractiveSettings):
        evaluate = evaluate_volume if image.shape[0] > 1 else evaluate_interactive
        steps = evaluate(model, image, truth, way).steps
        mode = f"{way.start}{' + masks' if way.mask_prompts else ''}"
        first = way.corrections if image.shape[0] > 1 else 0
        return tuple(Scored(name, model.spec.name, mode, first + i, one) for i, one in enumerate(steps))
    found = run.segment(image, model, settings=way)
    return (Scored(name, model.spec.name, str(mode_of(way)), 0, score(flat(truth), found.reshape(flat(truth).shape))),)


def flat(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return one plane as (y, x)."""
    return labels[0] if len(labels) == 1 else labels


def _identity(model: Model, image: Image, truth: NDArray[np.uint32], way: Way) -> str:
    """Return a hash of all that scores depend on."""
    what = json.dumps([__version__, model.spec.hash, image.fingerprint(), image.axes, image.name, _settings(way)])
    return hashlib.sha256(what.encode() + truth.tobytes()).hexdigest()


def _settings(way: Way) -> dict[str, Any]:
    return {"kind": type(way).__name__, **asdict(way)}


def _when() -> dict[str, str]:
    return {"version": __version__, "date": datetime.now(UTC).isoformat(timespec="seconds")}


def _read_known(path: Path | None) -> dict[str, tuple[Scored, ...]]:
    """Return the scores that are kept, by their identity; a line that was torn by an interruption is left out."""
    out: dict[str, tuple[Scored, ...]] = {}
    if path is None or not path.exists():
        return out
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
            out[entry["of"]] = tuple(Scored.from_dict(one) for one in entry["rows"])
        except (ValueError, KeyError, TypeError):
            continue
    return out
