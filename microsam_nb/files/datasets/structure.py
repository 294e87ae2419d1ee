"""How a data set is described."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Layout:
    """Where images and their labels lie below a folder.

    ``images`` and ``labels`` are patterns. What the stars of the first stand for takes the place of the stars of the
    second; ``{split}`` is what the split is called, ``{Split}`` the same with a capital letter. A pattern without
    stars names one file for all images. ``axes`` and ``label_axes`` are letters of y, x, z, c, and n for many images
    in one array; left out they are guessed as of any file. Of labels with channels the first is taken.
    """

    images: str
    labels: str
    image_key: str = ""
    label_key: str = ""
    axes: str = ""
    label_axes: str = ""
    #: Whether a match is a folder of which every file is a plane.
    planes: bool = False
    #: Whether labels only say what is foreground: its pieces are the objects.
    binary: bool = False


@dataclass(frozen=True, slots=True)
class DataSet:
    """A public data set: what it is, where it comes from, and the layouts in which its folder is read."""

    name: str
    title: str
    kind: str
    size: str
    licence: str
    source: str
    layouts: tuple[Layout, ...]
    #: What each split is called in the folder, the one of tests first.
    splits: dict[str, str]
    #: Module and function below torch_em.data.datasets that fetch it; "" where torch-em does not, or not so
    #: that it can be read here.
    fetcher: str = ""
    #: What the function is told; ``{split}`` is the split, ``{called}`` what it is called in the folder.
    arguments: dict[str, str] = field(default_factory=dict)


#: Splits of sets that have none.
ALL = {"all": ""}


def hdf5(pattern: str, image: str, labels: str, axes: str = "", label_axes: str = "") -> Layout:
    """Return the layout of HDF5 files that hold images and labels."""
    return Layout(pattern, pattern, image, labels, axes, label_axes)
