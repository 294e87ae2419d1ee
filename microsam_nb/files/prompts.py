"""Read and write prompts: tables (CSV) and JSON."""

from __future__ import annotations

import contextlib
import csv
import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core import FileError, Image, Mask, MaskPrompt, MicrosamError, Prompt, prompt_from_json, prompt_to_json
from .replacing import replacing

#: What prompt files look like, for --help.
FORMAT = """\
prompts, as a CSV table with a header, one prompt per line:
  object,y,x,positive          a point; positive is 1 or 0, and 1 when left out
  object,y0,x0,y1,x1           a box
  object,kind,y0,x0,y1,x1      kind box or ellipse
  object,kind,points,width,positive
                               kind polygon or scribble; points are "y x; y x; y x"
  object,kind,file,label       kind mask: the pixels of an image that are label, or not 0;
                               it has the height and width of the image that is segmented
  object,kind                  kind stop: the object ends before this plane; nothing is segmented
columns may come in any order and stay empty; plane is 0 when left out.

prompts, as JSON: a list of such prompts,
  [{"object": 1, "kind": "point", "plane": 0, "y": 3.5, "x": 7, "positive": true},
   {"object": 1, "kind": "polygon", "points": [[1, 2], [3, 4], [5, 1]]}]

coordinates are in pixels: pixel i covers i to i + 1. Prompts with the same object number
(1 to 4294967295) segment one object together, plane by plane.
"""

_COLUMNS = (
    "object", "plane", "kind", "y", "x", "positive", "y0", "x0", "y1", "x1", "points", "width", "file", "label",
)  # fmt: skip
_CORNERS = ("y0", "x0", "y1", "x1")
#: The columns that each kind reads, beside object and plane; those in brackets may be empty.
_FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "point": (("y", "x"), ("positive",)),
    "box": (_CORNERS, ()),
    "ellipse": (_CORNERS, ()),
    "polygon": (("points",), ()),
    "scribble": (("points",), ("width", "positive")),
    "mask": (("file",), ("label",)),
    "stop": ((), ()),
}
_TABLE = (
    "Give object,y,x or object,y0,x0,y1,x1 as numbers below a header; "
    "microsam-nb prompt --help shows the columns of other kinds."
)
_JSON = 'Write it like {"object": 1, "kind": "point", "y": 3.5, "x": 7}; microsam-nb prompt --help shows all kinds.'


def read_prompts(path: Path) -> dict[int, list[Prompt]]:
    """Read prompts by object from a CSV table or, by its ending, a JSON file; ``FORMAT`` says what they look like.

    Mask files are found from the folder of ``path``. Raises FileError naming the line, in JSON the prompt.
    """
    if not path.is_file():
        raise FileError(f"There is no file {path}.", "Check the name and the folder.")
    objects: dict[int, list[Prompt]] = {}
    found = _read_json(path) if path.suffix.lower() == ".json" else _read_table(path)
    for number, prompt in found:
        objects.setdefault(number, []).append(prompt)
    if not objects:
        raise FileError(f"{path} holds no prompts.", "Give one prompt per line below the header object,y,x.")
    return objects


def write_prompts(path: Path, objects: Mapping[int, Sequence[Prompt]]) -> None:
    """Write prompts by object as JSON, which ``read_prompts`` reads; under a temporary name, then renamed.

    Raises FileError.
    """
    if path.suffix.lower() != ".json":
        raise FileError(
            f"Prompts cannot be written as {path.suffix or 'a file without ending'}.", "Use a name ending in .json."
        )
    lines = (
        json.dumps({"object": int(number), **prompt_to_json(prompt)})
        for number, prompts in objects.items()
        for prompt in prompts
    )
    with replacing(path) as part:
        part.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def _read_table(path: Path) -> Iterator[tuple[int, Prompt]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            # Spreadsheets in languages with a decimal comma separate columns by semicolons.
            head = lines.readline()
            lines.seek(0)
            separator = ";" if ";" in head and "," not in head else ","
            reader = csv.DictReader(lines, delimiter=separator, skipinitialspace=True, strict=True)
            _check_header(path, [name.strip() for name in reader.fieldnames or () if name])
            for row in reader:
                with _located(f"{path}, line {reader.line_num}", _TABLE):
                    found = _prompt(_row(row), path.parent)
                yield found
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"{path} is not a CSV table ({error}).", "Save the prompts as comma-separated text.") from error


def _check_header(path: Path, header: list[str]) -> None:
    if "object" not in header:
        raise FileError(
            f"{path} has no column 'object' in its first line.",
            "Begin the file with the line object,y,x or object,y0,x0,y1,x1.",
        )
    for name in header:
        near = difflib.get_close_matches(name, [c for c in _COLUMNS if len(c) > 2], 1, 0.75)
        # Any other column is the user's own; one that is misspelt would change what is meant.
        if name not in _COLUMNS and near:
            raise FileError(f"{path} has a column {name!r}.", f"Call it {near[0]!r}, or remove it.")


def _row(row: Mapping[str | None, Any]) -> dict[str, Any]:
    """Return one line of a table as plain values."""
    if None in row:
        raise ValueError("it has more cells than the header has columns")
    cells = {k.strip(): v.strip() for k, v in row.items() if k is not None and isinstance(v, str) and v.strip()}
    kind = cells.get("kind", "").lower() or ("box" if "y0" in cells else "mask" if "file" in cells else "point")
    if kind not in _FIELDS:
        raise ValueError(f"kind is {kind!r}, not one of {', '.join(_FIELDS)}")
    needed, allowed = _FIELDS[kind]
    missing = [name for name in ("object", *needed) if name not in cells]
    if missing:
        raise ValueError(f"{', '.join(missing)} is missing")
    values: dict[str, Any] = {"kind": kind, "object": int(cells["object"])}
    for name in ("plane", *needed, *allowed):
        if name in cells:
            values[name] = _CELL.get(name, float)(cells[name])
    return values


def _sign(cell: str) -> bool:
    if cell.lower() not in ("0", "1", "true", "false"):
        raise ValueError(f"positive is {cell!r}")
    return cell.lower() in ("1", "true")


def _line(cell: str) -> list[list[float]]:
    return [[float(value) for value in pair.split()] for pair in cell.split(";") if pair.strip()]


_CELL: dict[str, Callable[[str], Any]] = {"plane": int, "label": int, "file": str, "positive": _sign, "points": _line}


def _read_json(path: Path) -> Iterator[tuple[int, Prompt]]:
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise FileError(
            f"{path}, line {error.lineno} is not JSON ({error.msg}).", "Check the commas and brackets before it."
        ) from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise FileError(f"{path} is not a JSON file ({error}).", "Save the prompts as JSON text.") from error
    if not isinstance(data, list):
        raise FileError(f"{path} holds no list of prompts.", f"Begin the file with [ and end it with ]. {_JSON}")
    for number, one in enumerate(data, start=1):
        with _located(f"{path}, prompt {number}", _JSON):
            found = _prompt(one, path.parent)
        yield found


@contextlib.contextmanager
def _located(where: str, remedy: str) -> Iterator[None]:
    """Say of the errors of a block where in the file they arose."""
    try:
        yield
    except KeyError as error:
        raise FileError(f"{where} is no prompt ({error.args[0]} is missing).", remedy) from error
    except MicrosamError as error:
        raise FileError(f"{where}: {error.what}", error.remedy) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise FileError(f"{where} is no prompt ({error}).", remedy) from error


def _prompt(values: Any, folder: Path) -> tuple[int, Prompt]:
    if not isinstance(values, dict):
        raise ValueError(f"{values!r} is no prompt")
    rest = dict(values)
    number = rest.pop("object")
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number < 2**32:
        raise ValueError(f"object is {number}, ids go from 1 to {2**32 - 1}")
    if rest["kind"] == "mask" and "file" in rest:
        return number, _mask(folder / str(rest["file"]), int(rest.get("plane", 0)), rest.get("label"))
    needed = _FIELDS.get(rest["kind"], ((), ()))[0]
    for name in needed if rest["kind"] != "mask" else ("mask",):
        if name not in rest:
            raise KeyError(name)
    return number, prompt_from_json(rest)


def _mask(path: Path, plane: int, label: int | None) -> MaskPrompt:
    """Read the pixels of an image (y, x) or (plane, y, x) that are ``label``, or not 0."""
    from .images import read_image  # its codecs are not needed for most tables

    image = Image(read_image(path), name=path.name)
    pixels = np.asarray(image.plane(plane if image.shape[0] > 1 else 0))
    if pixels.ndim == 3:
        pixels = pixels[..., :3].max(axis=2)
    height, width = pixels.shape
    mask = Mask.crop(pixels != 0 if label is None else pixels == label, (plane, 0, 0))
    return MaskPrompt(mask, (height, width))
