"""Find the classes of the objects of many images with a saved classifier, and write tables."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import FileError, MicrosamError, SettingsError
from .made import Earlier, Made

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..engine import Model
    from ..engine.classifying import Classifier

#: Why an image is left out.
_SKIPPED = {
    Earlier.SAME: "skipped: done already",
    Earlier.STRANGE: "skipped: there is a table that this command has not made; --overwrite makes it anew",
}


def add(commands: Any) -> None:
    classify = commands.add_parser(
        "classify",
        help="find the classes of the objects of images with a saved classifier",
        description="Find the class of every object of images, volumes and movies with a classifier that an annotator "
        "saved, and write a table (CSV) for each: id, category, probability, and the probability of every class. "
        "Tables that were made by the same classifier of the same objects are skipped, others made anew; what made "
        "them is in classified.jsonl beside them.",
        epilog="Exit codes: 0 everything is classified, 1 some images failed, 2 the command is wrong, 130 interrupted.",
    )
    classify.add_argument("images", nargs="+", metavar="INPUT", help="image, zarr folder, folder of images, or pattern")
    classify.add_argument(
        "-l", "--labels", required=True, metavar="LABELS",
        help="the objects: for one image a file; otherwise a folder or a pattern of files that begin with the names "
        "of the images",
    )  # fmt: skip
    classify.add_argument("-c", "--classifier", required=True, metavar="FILE", help="such as nuclei.skops")
    classify.add_argument(
        "-o", "--output", required=True, metavar="TABLE_OR_FOLDER",
        help="for one image NAME.csv; otherwise a folder in which every image gets its own STEM.csv",
    )  # fmt: skip
    classify.add_argument(
        "-m", "--model", help="a name from 'info', or a checkpoint file (default: the one of the classifier)"
    )
    classify.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    classify.add_argument("--axes", default="", help="yx, yxc, zyx, tyx, zyxc or tyxc, where the guess is wrong")
    classify.add_argument(
        "--overwrite", action="store_true", help="also tables that are done, or that this command has not made"
    )
    classify.add_argument("-q", "--quiet", action="store_true", help="no table of what was done, only errors")
    classify.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..annotators.classifier_files import load_classifier
    from ..engine.load import load_model
    from ..files.inputs import find_images
    from ..files.replacing import check_writable
    from ..session.wording import counted

    paths = find_images(options.images)
    places = _places(paths, Path(options.output))
    given = _labels(paths, options.labels)
    classifier = load_classifier(options.classifier)
    made = Made(places[paths[0]].parent)
    of = {path: _identity(path, given.get(path), Path(options.classifier), options.axes) for path in paths}
    found = {path: made.find(places[path], of[path]) for path in paths}
    skipped = {} if options.overwrite else {path: _SKIPPED[one] for path, one in found.items() if one in _SKIPPED}
    left = [path for path in paths if path not in skipped]
    rows: list[tuple[str, str]] = [(path.name, why) for path, why in skipped.items()]
    failed = 0
    if left:
        # What is wrong with the command is said before the first image.
        model = load_model(options.model or classifier.training.model[1] or "nano", options.device)
        classifier.training.suits(model.spec.hash, model.spec.label)
        places[left[0]].parent.mkdir(parents=True, exist_ok=True)
        check_writable(places[left[0]])
    try:
        for path in left:
            try:
                table = _classify(path, given.get(path), classifier, model, options.axes)
                rows.append((path.name, _write(table, places[path], made, of[path], classifier.classes)))
            except (MicrosamError, MemoryError, RuntimeError) as error:
                failed += 1
                rows.append((path.name, "failed"))
                said = str(error) if isinstance(error, MicrosamError) else f"{error.__class__.__name__}: {error}"
                print(f"microsam-nb: {path}: {said}", file=sys.stderr)  # noqa: T201
    except KeyboardInterrupt:
        print("\nStopped. Run the same command to go on.", file=sys.stderr)  # noqa: T201
        return 130
    if not options.quiet:
        for name, what in rows:
            print(f"{name[:39]:<40}{what}")  # noqa: T201
        if done := sum(why == _SKIPPED[Earlier.SAME] for why in skipped.values()):
            print(f"\n{done} of {counted(len(paths), 'image')} skipped as done already.")  # noqa: T201
    return 1 if failed else 0


def _classify(path: Path, labels: Path | None, classifier: Classifier, model: Model, axes: str) -> DataFrame:
    """Return the table of one image. Raises MicrosamError."""
    from ..annotators.applying import predict_classes
    from ..annotators.inputs import read_input

    image = read_input(path, axes)  # a file that cannot be read lacks more than labels
    if labels is None:
        raise FileError("There are no labels of it.", "Their file must begin with the name of the image; see --labels.")
    return predict_classes(image, labels, classifier, model)


def _write(table: DataFrame, place: Path, made: Made, of: str, classes: Sequence[str]) -> str:
    """Write a table and what it was made of, and return what is in it. Raises FileError."""
    from ..files.replacing import replacing
    from ..session.wording import counted

    with replacing(place) as part:
        table.to_csv(part, index=False)
        made.note(place, part, of)
    counts = table["category"].value_counts()
    each = ", ".join(f"{counts.get(name, 0)} {name}" for name in classes)
    return f"{counted(len(table), 'object')}: {each}  {place}"


def _identity(path: Path, labels: Path | None, classifier: Path, axes: str) -> str:
    """Return what tells a table from those of other files; a classifier belongs to its model."""
    from .. import __version__
    from ..annotators.beginning import fingerprint_of

    files = [fingerprint_of(one) for one in (path, labels, classifier) if one is not None]
    return json.dumps([__version__, *files, axes])


def _places(paths: Sequence[Path], output: Path) -> Mapping[Path, Path]:
    """Return the table of every image. Raises SettingsError for one file for several images."""
    from ..files.inputs import name_results

    if output.suffix.lower() == ".csv":
        if len(paths) > 1:
            raise SettingsError(f"{output} is one file for {len(paths)} images.", "Name a folder with -o.")
        return {paths[0]: output}
    if output.suffix and not output.is_dir():
        raise SettingsError(f"Tables cannot be written as {output.suffix}.", "Use NAME.csv, or a folder.")
    return {path: output / f"{name}.csv" for path, name in zip(paths, name_results(paths), strict=True)}


def _labels(paths: Sequence[Path], labels: str) -> Mapping[Path, Path]:
    """Return the labels of images, as far as there are some. Raises FileError."""
    from ..files.inputs import is_image
    from ..files.series import Found, match_labels

    file = Path(labels).expanduser()
    if file.is_file() or (file.is_dir() and is_image(file)):
        if len(paths) > 1:
            raise FileError(f"{labels} is one file for {len(paths)} images.", "Name a folder or a pattern of labels.")
        found = {paths[0]: file}
    else:
        whole = {path: Path(os.path.abspath(path)) for path in paths}
        root = Path(os.path.commonpath([one.parent for one in whole.values()]))
        names = {one.relative_to(root).as_posix(): path for path, one in whole.items()}
        found = {names[name]: one for name, one in match_labels(labels, Found(root, names)).items()}
    for path, one in found.items():
        if one.resolve() == path.resolve():
            raise FileError(f"{one} is the image itself.", "Name another folder, or a pattern such as '*_masks.tif'.")
    return found
