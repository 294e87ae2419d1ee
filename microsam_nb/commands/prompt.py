"""Segment the objects that a table of prompts points at."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import FileError, PromptError

if TYPE_CHECKING:
    from ..core import Image, Prompt


def add(commands: Any) -> None:
    from ..files.prompts import FORMAT

    prompt = commands.add_parser(
        "prompt",
        help="segment the objects that a table of prompts points at",
        description="Segment what prompts point at, every plane on its own, and write the objects as a label image.",
        epilog=f"{FORMAT}\nexit codes: 0 objects were found, 1 none was found, 2 an error, said in one line.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    prompt.add_argument("image", type=Path, help="TIFF, PNG, JPEG or .npy image or volume")
    prompt.add_argument("prompts", type=Path, help="CSV or JSON file of prompts, see below")
    prompt.add_argument("-o", "--output", type=Path, required=True, help="label image to write (.tif)")
    prompt.add_argument(
        "-m", "--model", default="nano", help="a name from `info`, or a checkpoint file (default: nano)"
    )
    prompt.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    prompt.add_argument(
        "-e", "--embeddings", metavar="STORE", help="use, and complete, the store that `embed` made of this image"
    )
    prompt.add_argument("--axes", default="", help="yx, yxc, zyx, tyx, zyxc or tyxc, where the guess is wrong")
    prompt.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..core import Image, Labels
    from ..engine import choose_tiling, load_model, open_store, predict_many
    from ..files.labels import check_labels_path, write_labels
    from ..files.prompts import read_prompts
    from ..files.volumes import open_image
    from ..session.wording import be

    check_labels_path(options.output)
    if options.output.exists() and options.image.exists() and options.output.samefile(options.image):
        raise FileError(f"{options.output} is the image itself.", "Choose another name for the labels.")
    objects = read_prompts(options.prompts)
    image = Image(open_image(options.image), options.axes, options.image.stem)
    planes = _by_plane(objects, image)
    if image.shape[0] > 1:
        print(image.reading)  # noqa: T201
    model = load_model(options.model, options.device)
    tiling = choose_tiling(image.shape[1:], model)
    if options.embeddings:
        if "://" not in options.embeddings and not Path(options.embeddings).exists():
            raise FileError(
                f"There is no store {options.embeddings}.", "Make it with: microsam-nb embed IMAGE -o STORE."
            )
        tiling = open_store(options.embeddings).tiling
    store = open_store(options.embeddings, model, image, tiling)
    labels = Labels(image.shape)
    for plane, asked in planes.items():
        found = predict_many(model, store, list(asked.values()))
        for number, candidate in zip(asked, found, strict=True):
            try:
                labels.apply(labels.paint(candidate.mask, number))
            except PromptError:
                why = "lies under earlier objects" if candidate.mask.area else "was not found"
                where = f" in plane {plane}" if image.shape[0] > 1 else ""
                print(f"Object {number} {why}{where}; give it more points or a box.", file=sys.stderr)  # noqa: T201
    count = labels.count()
    write_labels(options.output, labels.volume if image.shape[0] > 1 else labels.volume[0])
    print(f"{count} of {len(objects)} objects {be(count)} in {options.output}.")  # noqa: T201
    return 0 if count else 1


def _by_plane(objects: Mapping[int, Sequence[Prompt]], image: Image) -> dict[int, dict[int, list[Prompt]]]:
    """Return the prompts of every plane by object. Raises PromptError that names the object."""
    from ..core import Stop
    from ..engine.prompting import gather

    planes: dict[int, dict[int, list[Prompt]]] = {}
    for number, prompts in objects.items():
        pointing = [one for one in prompts if not isinstance(one, Stop)]
        if not pointing:
            raise PromptError(f"Object {number} has nothing but stops.", "Give it a point, a box or another prompt.")
        own: dict[int, list[Prompt]] = {}
        for one in pointing:
            own.setdefault(one.plane, []).append(one)
        try:
            for each in prompts:
                each.check(image.shape)
            for some in own.values():
                gather(some, image.shape[1:])
        except PromptError as error:
            raise PromptError(f"Object {number}: {error.what}", error.remedy) from error
        for plane, some in own.items():
            planes.setdefault(plane, {})[number] = some
    return dict(sorted(planes.items()))
