"""Measure how good models, or labels that are there already, are on images whose objects are known."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .shared import progress_bar

if TYPE_CHECKING:
    from ..annotators.evaluate_files import Pair, Way
    from ..engine.evaluation.report import Report
    from ..engine.models import Model


def add(commands: Any) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="measure how good models or labels are, beside true labels",
        description="Segment images whose objects are known and compare, or compare labels that are there already: "
        "mSA, SA50, SA75, precision, recall, F1, Dice, boundary F1 and distance; TRA, DET and SEG of tracks. Labels of "
        "cell1.tif are called cell1.tif too, or begin so: cell1_masks.tif.",
        epilog="The folder gets report.csv with a line per image, report.json with all counts and where they come from "
        "(models, settings, data), report.html, and scores.jsonl, by which the same command goes on after an "
        "interruption. Exit codes: 0 done, 1 some images failed, 2 the command is wrong, 130 interrupted.",
    )
    evaluate.add_argument("--images", nargs="+", metavar="INPUT", help="images, volumes, folders or patterns")
    evaluate.add_argument("--labels", metavar="FOLDER", help="true labels: a folder or a pattern")
    evaluate.add_argument("--compare", metavar="FOLDER", help="compare these labels, or tracks, instead of a model's")
    evaluate.add_argument(
        "--annotators", nargs="+", metavar="FOLDER",
        help="labels of the same images by several people: how far they agree; OUTPUT/consensus gets labels for all",
    )  # fmt: skip
    evaluate.add_argument("--times", nargs="+", metavar="FOLDER", help="series: how long somebody worked per object")
    evaluate.add_argument("--validation-images", nargs="+", metavar="INPUT", help="images to fit settings to first")
    evaluate.add_argument("--validation-labels", metavar="FOLDER", help="their labels; a grid search finds settings")
    add_ways(evaluate)
    evaluate.set_defaults(run=run)


def add_ways(parser: Any) -> None:
    """Add the options that say which models are measured, and how."""
    parser.add_argument("-m", "--model", nargs="+", default=["nano"], help="one model or several (default: nano)")
    parser.add_argument(
        "--mode", nargs="+", default=["auto"], help="auto, amg, ais, apg or interactive; also several (default: auto)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="folder for the report")
    parser.add_argument("--start", default="box", choices=("box", "point"), help="first prompt (interactive)")
    parser.add_argument("--corrections", type=int, default=7, metavar="N", help="rounds of clicks (default: 7)")
    parser.add_argument("--mask-prompts", action="store_true", help="also give answers back as prompts (interactive)")
    parser.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--precision", default="auto", help="auto, fp32, bf16 or fp16 (default: auto)")
    parser.add_argument("--axes", default="", help="yx, yxc, zyx, tyx, zyxc or tyxc, where the guess is wrong")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar and no table, only errors")


def run(options: argparse.Namespace) -> int:
    from ..core import SettingsError

    asked = [name for name in ("images", "compare", "annotators", "times") if getattr(options, name) is not None]
    if len(asked) != 1:
        raise SettingsError(
            "One thing is evaluated at a time.",
            "Give --images or --compare, with --labels, or --annotators, or --times.",
        )
    if (options.labels is None) == (asked[0] in ("images", "compare")):
        raise SettingsError(
            "True labels belong to images, and to labels that are compared.",
            "Give --labels with --images or --compare, and with nothing else.",
        )
    if (options.validation_images is None) != (options.validation_labels is None):
        raise SettingsError("Validation needs images and labels.", "Give both, or neither.")
    make_folder(options.output)
    if options.times is not None:
        return _times(options)
    if options.annotators is not None:
        from ..annotators.agreement_files import compare_annotators

        place = None if options.output is None else options.output / "consensus"
        return _finish(options, compare_annotators(options.annotators, place), failed=0)
    if options.compare is not None:
        from ..annotators.evaluate_files import compare_labels

        return _finish(options, compare_labels(options.compare, options.labels), failed=0)
    try:
        from ..annotators.evaluate_files import find_pairs, read_pair

        return measure(options, find_pairs(options.images, options.labels), read_pair)
    except KeyboardInterrupt:
        print("\nStopped. Run the same command to go on.", file=sys.stderr)  # noqa: T201
        return 130


def _times(options: argparse.Namespace) -> int:
    """Tell how long somebody worked on the images of series, and write times.csv."""
    from ..annotators.annotation_times import annotation_times, table_of
    from ..session.wording import counted

    table = table_of([one for folder in options.times for one in annotation_times(folder)])
    if options.output is not None:
        from ..files.replacing import replacing

        with replacing(options.output / "times.csv") as part:
            table.to_csv(part, index=False)
    if not options.quiet:
        print(table.round(1).to_string(index=False))  # noqa: T201
        seconds, objects = table["seconds"].sum(), int(table["objects"].sum())
        each = f", {seconds / objects:.1f} s per object" if objects else ""
        print(f"{seconds:.0f} s for {counted(objects, 'object')} in {counted(len(table), 'image')}{each}")  # noqa: T201
    return 0


def measure(options: argparse.Namespace, pairs: Sequence[Pair], read: Any) -> int:
    """Score all models in all modes on images that ``read`` opens, write and show the report; return the exit code."""
    from ..annotators.evaluate_files import provenance_of
    from ..engine.evaluation.report import Report
    from ..engine.load import load_model

    known = None if options.output is None else options.output / "scores.jsonl"
    models, ways, rows, failed = {}, [], [], 0
    for name in options.model:
        model = models[name] = load_model(name, options.device, precision=options.precision)
        for mode in options.mode:
            way = _way(options, model, mode)
            ways.append((name, way))
            for pair, found in _followed(options, f"{model.spec.label} {mode}", pairs, model, way, known, read):
                if isinstance(found, Exception):
                    failed += 1
                    print(f"microsam-nb: {pair.image}: {found}", file=sys.stderr)  # noqa: T201
                else:
                    rows += found
    return _finish(options, Report(tuple(rows), provenance_of(models, ways, pairs)), failed)


def _followed(
    options: argparse.Namespace, title: str, pairs: Sequence[Pair], model: Model, way: Way, known: Any, read: Any
) -> Any:
    """Yield the scores of every image while a bar shows how many are done."""
    from ..annotators.evaluate_files import evaluate_model
    from ..engine.automatic import Progress

    with progress_bar(title, options.quiet) as told:
        for done, one in enumerate(evaluate_model(model, pairs, way, known, axes=options.axes, read=read), start=1):
            told(Progress(done, len(pairs), "images"))
            yield one


def _way(options: argparse.Namespace, model: Model, mode: str) -> Way:
    """Return how a model is used; raise what is wrong with that before anything is computed."""
    from ..annotators.evaluate_files import find_pairs, fit_settings
    from ..engine.automatic.maps import check_decoder
    from ..engine.automatic.modes import settings_for
    from ..engine.automatic.settings import needs_decoder
    from ..engine.evaluation.interactive import InteractiveSettings, Start

    if mode == "interactive":
        return InteractiveSettings(Start(options.start), options.corrections, options.mask_prompts)
    settings = settings_for(model, mode)
    if needs_decoder(settings):
        check_decoder(model)
    if options.validation_images is None:
        return settings
    pairs = find_pairs(options.validation_images, options.validation_labels)
    return fit_settings(model, pairs, settings, options.axes)


def make_folder(folder: Path | None) -> None:
    """Make the folder of a report. Raises FileError."""
    from ..core import FileError

    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder} cannot be made ({error.strerror}).", "Name another folder with -o.") from error


def _finish(options: argparse.Namespace, report: Report, failed: int) -> int:
    """Write the report and show it."""
    if options.output is not None and report.rows:
        from ..annotators.evaluate_files import write_report

        write_report(report, options.output)
    if not options.quiet and report.rows:
        print(report)  # noqa: T201
    return 1 if failed else 0
