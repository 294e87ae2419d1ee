"""Which images make a series, and what their results are called."""

import os

import numpy as np
import pytest
import tifffile

from microsam_nb.core import FileError
from microsam_nb.files.catalogue import Catalogue, places
from microsam_nb.files.inputs import find_images, name_results
from microsam_nb.files.series import find_series, match_labels, match_stores, natural


@pytest.fixture
def folder(tmp_path):
    """Make files by name; images are tiny TIFFs, whatever they are called."""

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, np.zeros((4, 4), np.uint8)) if name.endswith("tif") else path.write_bytes(b"")
        return tmp_path

    return make


def test_a_folder_gives_its_images_in_natural_order_and_tells_what_it_leaves_out(folder):
    where = folder("cell10.tif", "Cell2.tif", "cell 1 ü.png", "notes.txt", ".hidden.tif", "Thumbs.db", "more/cell3.tif")
    found = find_series(where)
    assert list(found.paths) == ["Cell2.tif", "cell10.tif", "cell 1 ü.png"]
    assert found.root == where
    assert found.left_out == ("notes.txt",)


def test_a_pattern_keeps_folders_and_never_sees_the_output(folder):
    where = folder("day2/a.tif", "day10/a.tif", "out/day2/a.tif")
    found = find_series(str(where / "**" / "*.tif"), where / "out")
    assert list(found.paths) == ["day2/a.tif", "day10/a.tif"]


def test_a_list_keeps_its_order_and_counts_nothing_twice(folder):
    where = folder("b.tif", "a.tif")
    found = find_series([where / "b.tif", str(where / "a.tif"), where / "b.tif"])
    assert list(found.paths) == ["b.tif", "a.tif"]


def test_a_zarr_folder_is_an_image(tmp_path):
    (tmp_path / "one.zarr").mkdir()
    (tmp_path / "one.zarr" / "zarr.json").write_text("{}")
    assert list(find_series(tmp_path).paths) == ["one.zarr"]
    assert list(find_series(tmp_path / "one.zarr").paths) == ["one.zarr"]


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ("empty", r"\*\*/\*\.tif"),
        ("nowhere/*.tif", "Known are"),
        ([], "Known are"),
        (np.zeros((2, 4, 4)), "save arrays"),
    ],
)
def test_nothing_to_annotate(folder, given, remedy):
    where = folder("empty/x.txt")
    with pytest.raises(FileError, match=remedy):
        find_series(str(where / given) if isinstance(given, str) else given)


def test_images_that_lie_in_the_output(folder):
    where = folder("im/a.tif")
    with pytest.raises(FileError, match="Name another folder as output"):
        find_series(where / "im", where / "im")


def test_natural_order():
    mixed = ["z10.tif", "z9.tif", "Z1.tif", "a2b10.tif", "a2/b9.tif", "a10/b.tif", "z.tif"]
    ordered = ["a2/b9.tif", "a2b10.tif", "a10/b.tif", "z.tif", "Z1.tif", "z9.tif", "z10.tif"]
    assert sorted(mixed, key=natural) == ordered


def test_equal_stems_get_places_of_their_own_that_stay():
    first = places(["d1/a.tif", "d2/a.tif", "b.png", "B.tif"], {})
    assert first == {"d1/a.tif": "d1/a", "d2/a.tif": "d2/a", "b.png": "b.png", "B.tif": "B.tif"}
    # An image that comes later does not push another one away.
    later = places(["d1/a.png", "d1/a.tif"], first)
    assert {name: later[name] for name in first} == first
    assert later["d1/a.png"] == "d1/a.png"
    assert len({one.casefold() for one in later.values()}) == len(later)


def test_labels_belong_to_the_image_with_the_longest_stem(folder):
    where = folder("im/cell1.tif", "im/cell1_2.tif", "im/cell3.tif", "lab/cell1_masks.tif", "lab/cell1_2_masks.png")
    folder("lab/cell9.tif", "lab/readme.txt")
    found = match_labels(where / "lab", find_series(where / "im"))
    assert {name: path.name for name, path in found.items()} == {
        "cell1.tif": "cell1_masks.tif", "cell1_2.tif": "cell1_2_masks.png"
    }  # fmt: skip


def test_labels_of_equal_stems_are_found_by_their_folders(folder):
    where = folder("im/d1/a.tif", "im/d2/a.tif", "lab/d1/a.tif", "lab/d2/a_mask.tif", "lab/a.tif")
    found = match_labels(where / "lab", find_series(str(where / "im/**/*.tif")))
    assert {name: path.relative_to(where).as_posix() for name, path in found.items()} == {
        "d1/a.tif": "lab/d1/a.tif", "d2/a.tif": "lab/d2/a_mask.tif"
    }  # fmt: skip


def test_several_labels_of_one_image_are_refused(folder):
    where = folder("im/a.tif", "lab/a_cyto.tif", "lab/a_nuclei.tif", "lab/other_nuclei.tif")
    found = find_series(where / "im")
    with pytest.raises(FileError, match="Use a pattern"):
        match_labels(where / "lab", found)
    assert match_labels(str(where / "lab" / "*_nuclei.tif"), found)["a.tif"].name == "a_nuclei.tif"
    with pytest.raises(FileError, match="folder or a pattern"):
        match_labels(where / "none", found)


def test_embeddings_are_found_by_the_names_that_the_command_gives_them(folder):
    where = folder("im/a.png", "im/a.tif", "im/b.tif", "im/c.tif")
    folder("stores/a.tif.zarr/zarr.json", "stores/b.zarr/zarr.json")
    found = find_series(where / "im")
    stores = match_stores(where / "stores", found)
    assert stores == {"a.tif": f"{where}/stores/a.tif.zarr", "b.tif": f"{where}/stores/b.zarr"}
    assert name_results(find_images([str(where / "im")])) == ["a.png", "a.tif", "b", "c"]
    # Nobody looks whether what an address leads to is there.
    assert match_stores("https://host/stores/", found)["c.tif"] == "https://host/stores/c.zarr"
    one = find_series([where / "im" / "b.tif"])
    assert match_stores(where / "stores" / "b.zarr", one) == {"b.tif": f"{where}/stores/b.zarr"}
    with pytest.raises(FileError, match="microsam-nb embed"):
        match_stores(where / "im", found)


def test_the_catalogue_is_written_wholly_and_read_again(tmp_path):
    file = tmp_path / "series.json"
    assert Catalogue.read(file) is None
    one = Catalogue(str(tmp_path / "im"), {"ä b.tif": "ä b"})
    one.write(file)
    assert Catalogue.read(file) == one
    assert os.listdir(tmp_path) == ["series.json"]
    file.write_text(file.read_text()[:20])
    with pytest.raises(FileError, match="the work in the folder stays"):
        Catalogue.read(file)
    file.write_text('{"format": 99, "root": "", "places": {}}')
    with pytest.raises(FileError, match="Update"):
        Catalogue.read(file)


def test_a_catalogue_follows_a_folder_that_was_moved_or_lies_in_a_larger_one(tmp_path):
    inner = tmp_path / "all" / "day1"
    inner.mkdir(parents=True)
    one = Catalogue(str(inner), {"a.tif": "a"})
    assert one.at(inner.parent, tmp_path).places == {"day1/a.tif": "a"}
    gone = Catalogue(str(tmp_path / "gone"), {"a.tif": "a"})
    assert gone.at(inner, tmp_path) == Catalogue(str(inner), {"a.tif": "a"})
    (tmp_path / "other").mkdir()
    with pytest.raises(FileError, match="another output"):
        one.at(tmp_path / "other", tmp_path / "out")
