"""Write a project as a Python script."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..annotators.projects import image_of
from ..core import FileError
from .shared import check_new


def add(commands: Any) -> None:
    """Add the command."""
    export = commands.add_parser(
        "export",
        help="write a project as a Python script",
        description="Write a Python script that makes the objects of a project again with the engine alone: image, "
        "model, prompts, labels. What was painted or cut, or what the model answers otherwise today, is in the script.",
    )
    export.add_argument("project", type=Path, metavar="PROJECT", help="project folder, NAME-HASH.msam")
    export.add_argument("--script", type=Path, required=True, metavar="FILE", help="the script to write, .py")
    export.add_argument("-m", "--model", help="a name from 'info', or a checkpoint file (default: the project's)")
    export.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    export.add_argument("--image", type=Path, help="the image, where it is not where the project was opened from")
    export.add_argument("--overwrite", action="store_true", help="also where there is a script")
    export.add_argument("-q", "--quiet", action="store_true", help="only errors")
    export.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..annotators.script import write_script
    from ..engine.load import load_model
    from ..files.replacing import replacing
    from ..session.story import read_story
    from ..session.wording import counted

    if options.script.suffix != ".py":
        raise FileError(f"{options.script} is no name for a script.", "End it with .py.")
    check_new(options.script, overwrite=options.overwrite)
    story = read_story(options.project)
    image, path = image_of(story, options.image)
    model = load_model(options.model or story.model, options.device)
    made = write_script(story, image, path, model, options.script)
    with replacing(options.script) as part:
        part.write_text(made.text, encoding="utf-8")
    if not options.quiet:
        asked, held = counted(made.asked, "answer"), counted(made.held, "stored piece")
        print(f"{options.script}: {asked} of {model.spec.label}, {held}.")  # noqa: T201
        for note in made.notes:
            print(f"  {note}")  # noqa: T201
    return 0
