"""Measure how good models are on public data sets, by their names."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .evaluate import add_ways, make_folder, measure


def add(commands: Any) -> None:
    benchmark = commands.add_parser(
        "benchmark",
        help="measure how good models are on public data sets",
        description="'benchmark list' shows the data sets. 'benchmark --data NAME --path FOLDER' measures models on "
        "one that was downloaded to FOLDER, as 'evaluate' does on files.",
        epilog="The folder of -o gets what 'evaluate' writes. Exit codes: 0 done, 1 some images failed, 2 the command "
        "is wrong, 130 interrupted.",
    )
    benchmark.add_argument("action", nargs="?", choices=("list",), help="show all data sets")
    benchmark.add_argument("--data", metavar="NAME", help="a name from 'benchmark list'")
    benchmark.add_argument("--path", type=Path, metavar="FOLDER", help="where the data set is, or is downloaded to")
    benchmark.add_argument("--split", default="", help="test, val, train or all (default: the first that has labels)")
    benchmark.add_argument("--limit", type=int, metavar="N", help="only the first N images")
    benchmark.add_argument("--download", action="store_true", help="download by torch-em, where it is installed")
    add_ways(benchmark)
    benchmark.set_defaults(run=run, validation_images=None, validation_labels=None)


def run(options: argparse.Namespace) -> int:
    from ..core import SettingsError

    if options.action == "list":
        print(_table())  # noqa: T201
        return 0
    if options.data is None or options.path is None:
        raise SettingsError("A data set and its folder are needed.", "Give --data NAME --path FOLDER, or say: list")
    if options.limit is not None and options.limit < 1:
        raise SettingsError(f"{options.limit} images cannot be measured.", "Give --limit 1 or more.")
    from ..annotators.benchmarks import fetch, find_members, read_member
    from ..files.datasets import data_set

    data = data_set(options.data)
    split = options.split or next(iter(data.splits))
    if options.download:
        fetch(data, options.path, split)
    members = find_members(data, options.path, split, options.limit)
    make_folder(options.output)
    try:
        return measure(options, members, read_member)
    except KeyboardInterrupt:
        print("\nStopped. Run the same command to go on.", file=sys.stderr)  # noqa: T201
        return 130


def _table() -> str:
    """Return all data sets as lines."""
    from ..files.datasets import DATA_SETS

    lines = []
    for one in DATA_SETS.values():
        fetched = "; --download gets it" if one.fetcher else ""
        lines.append(f"{one.name}: {one.title}. {one.kind}; splits: {', '.join(one.splits)}{fetched}")
        lines.append(f"    size: {one.size}; licence: {one.licence}; from {one.source}")
    return "\n".join(lines)
