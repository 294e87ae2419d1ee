"""The command line: python -m microsam_nb COMMAND; the commands are in ``commands``."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches

from . import __version__
from .commands import (
    benchmark,
    classify,
    embed,
    evaluate,
    export,
    info,
    lab,
    prompt,
    rerun,
    segment,
    track,
    train,
    train_embedded,
)
from .core import MicrosamError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done; 1: nothing was found, or some images failed; 2: an error that was said in one line; 130: interrupted.
    """
    options, rest = _parser().parse_known_args(arguments)
    options.rest = rest
    if rest and options.run is not lab.run:
        options.command.error(_unknown(rest, options.command.format_help()))
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except MicrosamError as error:
        print(f"microsam-nb: {error}", file=sys.stderr)  # noqa: T201
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="microsam-nb", description="Segment Anything for Microscopy in a notebook.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for one in (
        lab,
        info,
        embed,
        segment,
        track,
        classify,
        prompt,
        rerun,
        evaluate,
        benchmark,
        export,
        train,
        train_embedded,
    ):
        one.add(commands)
    for command in commands.choices.values():
        command.set_defaults(command=command)
    return parser


def _unknown(rest: Sequence[str], known: str) -> str:
    """Return what to say of arguments that a command with this help does not know."""
    near = [get_close_matches(one.split("=")[0], re.findall(r"--[\w-]+", known), 1) for one in rest]
    meant = ", ".join(dict.fromkeys(found[0] for found in near if found))
    return f"unrecognized arguments: {' '.join(rest)}{f'. Did you mean {meant}?' if meant else ''}"


if __name__ == "__main__":
    sys.exit(main())
