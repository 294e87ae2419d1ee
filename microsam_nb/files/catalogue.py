"""What the results of a series are called, for good."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..core import FileError
from ..core.replacing import replaced_whole

_FORMAT = 1


def places(names: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """Return where the results of each image lie below the output, without ending; no two are the same.

    That is its folder and stem, with the ending where stems are equal. Those of ``known`` stay as they are, so that
    an image that is added never takes another's place.
    """
    out = dict(known)
    new = [name for name in names if name not in known]
    short = {name: str(PurePosixPath(name).with_suffix("")) for name in new}
    # File systems may not tell capitals from small letters.
    same = Counter(one.casefold() for one in short.values())
    taken = {place.casefold() for place in out.values()}
    for name in new:
        place = short[name] if same[short[name].casefold()] == 1 else name
        number, free = 1, place
        while free.casefold() in taken:
            number += 1
            free = name if number == 2 else f"{name}-{number}"
        taken.add(free.casefold())
        out[name] = free
    return out


@dataclass(frozen=True, slots=True)
class Catalogue:
    """series.json: the folder of the images, and the place of the results of every image that was ever in it."""

    root: str
    places: Mapping[str, str]

    @classmethod
    def read(cls, file: Path) -> Catalogue | None:
        """Return what a file says, None when it is not there. Raises FileError."""
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            if int(found["format"]) > _FORMAT:
                raise FileError(f"{file} was written by a newer version.", "Update microsam_nb to go on with it.")
            return cls(str(found["root"]), {str(name): str(place) for name, place in found["places"].items()})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileError(
                f"{file} cannot be read ({error}).", "Restore it, or delete it: the work in the folder stays."
            ) from error

    def write(self, file: Path) -> None:
        """Write it, wholly or not at all. Raises OSError."""
        about = {"format": _FORMAT, "root": self.root, "places": dict(self.places)}
        with replaced_whole(file) as part:
            part.write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")

    def at(self, root: Path, output: Path) -> Catalogue:
        """Return it for images below ``root``: the same folder, one around it, or one that it was moved to.

        Raises FileError when the output belongs to other images.
        """
        own = Path(self.root)
        if own == root or not own.exists():
            return Catalogue(str(root), self.places)
        if own.is_relative_to(root):
            way = own.relative_to(root)
            return Catalogue(str(root), {(way / name).as_posix(): place for name, place in self.places.items()})
        raise FileError(f"{output} holds the work on the images in {own}.", "Name another output for these images.")
