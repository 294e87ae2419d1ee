"""Every format is opened with its own library, and has the same objects."""

import csv
import json
import warnings

import numpy as np
import pandas
import pytest
import roifile
import shapely
import shapely.geometry
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from ome_zarr_models.v05.image_label import ImageLabel
from pycocotools.coco import COCO
from situations import INFOS, LABELS, VOXEL, candidates, image_of

from microsam_nb.core import FileError, ObjectInfo
from microsam_nb.files.export import write_objects
from microsam_nb.files.volumes import open_image

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools

ALL, VOLUME = LABELS["all at once"], LABELS["a volume"]


def inside(rings, shape):
    """The pixels whose centre an odd number of rings (x, y) runs around, by shapely."""
    polygons = [shapely.Polygon(ring) for ring in rings]
    y, x = np.indices(shape)
    centres = shapely.points(x + 0.5, y + 0.5)
    return sum(shapely.contains(one, centres).astype(int) for one in polygons) % 2 == 1


def test_tiff_by_tifffile(tmp_path):
    path = write_objects(tmp_path / "a.tif", VOLUME)
    with tifffile.TiffFile(path) as file:
        assert np.array_equal(file.asarray(), VOLUME)
        assert file.pages[0].compression.name == "ADOBE_DEFLATE"


# ImageJ


@pytest.mark.parametrize("name", LABELS)
def test_rois_by_roifile(tmp_path, name):
    labels = LABELS[name]
    stack = labels if labels.ndim == 3 else labels[None]
    path = write_objects(tmp_path / "a.zip", labels)
    rois = roifile.roiread(path)
    found = np.zeros_like(stack)
    for roi in rois:
        plane = max(roi.position - 1, 0)
        assert (roi.position > 0) == (len(stack) > 1)
        found[plane][inside(roi.coordinates(multi=True), stack.shape[1:])] = roi.properties["label"]
        rows, columns = (stack[plane] == roi.properties["label"]).nonzero()
        assert (roi.top, roi.left) == (rows.min(), columns.min())
        assert (roi.bottom, roi.right) == (rows.max() + 1, columns.max() + 1)
    assert np.array_equal(found, stack)


def test_what_rois_say(tmp_path):
    path = write_objects(
        tmp_path / "a.zip", ALL, infos={**INFOS, 2: ObjectInfo(None, "twin"), 4: ObjectInfo(None, "twin")}
    )
    rois = {roi.properties["label"]: roi for roi in roifile.roiread(path)}
    one = rois[1]
    assert one.name == "Zelle № 1 _ äöü 細胞"
    assert one.properties == {"class": "mitosis", "label": 1, "name": "Zelle № 1 / äöü 細胞", "score": 0.9375}
    assert one.composite
    assert [rois[n].group for n in (1, 3, 5)] == [2, 1, 0]
    assert (rois[2].name, rois[4].name, rois[6].name) == ("twin", "twin-4", "6")
    assert rois[2].roitype == roifile.ROI_TYPE.TRACED


def test_overlapping_candidates_as_rois(tmp_path):
    path = write_objects(tmp_path / "a.zip", np.zeros((8, 9), np.uint32), candidates=candidates((8, 9)))
    rois = roifile.roiread(path)
    assert [roi.name for roi in rois] == ["candidate 1", "candidate 2"]
    for roi, one in zip(rois, candidates((8, 9)), strict=True):
        assert np.array_equal(inside(roi.coordinates(multi=True), (8, 9)), one.mask.dense((1, 8, 9))[0])
        assert roi.properties["score"] == one.score


def test_one_roi(tmp_path):
    path = write_objects(tmp_path / "a.roi", LABELS["one object"])
    assert roifile.roiread(path).properties == {"label": 1}
    for labels, count in ((ALL, 8), (LABELS["no objects"], 0)):
        with pytest.raises(FileError, match=r"Save as \.zip") as error:
            write_objects(path, labels)
        assert f"not {count}" in error.value.what


def test_rois_that_lie_too_far(tmp_path):
    labels = np.zeros((1, 70_000), np.uint32)
    labels[0, 40_000:50_000] = 1
    with pytest.raises(FileError, match=r"\.geojson"):
        write_objects(tmp_path / "a.zip", labels)
    path = write_objects(tmp_path / "a.zip", labels[:, :60_000])
    (roi,) = roifile.roiread(path)
    assert roi.coordinates().tolist() == [[40_000, 0], [50_000, 0], [50_000, 1], [40_000, 1]]


# QuPath


@pytest.mark.parametrize("name", LABELS)
def test_geojson_by_shapely(tmp_path, name):
    labels = LABELS[name]
    stack = labels if labels.ndim == 3 else labels[None]
    content = json.loads(write_objects(tmp_path / "a.geojson", labels).read_text(encoding="utf-8"))
    assert content["type"] == "FeatureCollection"
    y, x = np.indices(stack.shape[1:])
    centres = shapely.points(x + 0.5, y + 0.5)
    found = np.zeros_like(stack)
    for feature in content["features"]:
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.is_valid
        plane = feature["geometry"].get("plane", {"c": -1, "z": 0, "t": 0})
        assert (labels.ndim == 3) == ("plane" in feature["geometry"])
        number = int(feature["properties"]["metadata"]["label"])
        assert shape.area == feature["properties"]["measurements"]["area"] == (stack[plane["z"]] == number).sum()
        assert plane["c"] == -1
        assert plane["t"] == 0
        found[plane["z"]][shapely.contains(shape, centres)] = number
    assert np.array_equal(found, stack)


def test_what_geojson_says(tmp_path):
    path = write_objects(
        tmp_path / "a.geojson", VOLUME, infos=INFOS, image=image_of(VOLUME, "tyx"), candidates=candidates((1, 7, 10))
    )
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    (one, later) = (one for one in features if one["properties"]["metadata"].get("label") == "1")
    about = one["properties"]
    assert (about["objectType"], about["name"]) == ("annotation", "Zelle № 1 / äöü 細胞")
    assert about["classification"]["name"] == "mitosis"
    assert about["measurements"]["intensity_mean"] == 10
    assert about["measurements"]["area_um2"] == 12 * 0.125
    assert about["measurements"]["score"] == 0.9375
    assert (one["geometry"]["plane"]["t"], later["geometry"]["plane"]["t"]) == (0, 2)
    assert one["geometry"]["plane"]["z"] == 0
    first = [one["properties"] for one in features if "origin" in one["properties"]["metadata"]]
    assert [one["classification"]["name"] for one in first] == ["candidate", "candidate"]
    assert [one["measurements"]["score"] for one in first] == [0.75, 0.5]


# COCO


@pytest.mark.parametrize("name", LABELS)
def test_coco_by_pycocotools(tmp_path, name, capsys):
    labels = LABELS[name]
    stack = labels if labels.ndim == 3 else labels[None]
    coco = COCO(write_objects(tmp_path / "a.json", labels, infos=INFOS))
    found = np.zeros_like(stack)
    for plane, image in enumerate(coco.loadImgs(coco.getImgIds())):
        assert (image["height"], image["width"]) == stack.shape[1:]
        for one in coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]])):
            mask = coco.annToMask(one).astype(bool)
            assert one["area"] == mask.sum()
            rows, columns = mask.nonzero()
            y, x = int(rows.min()), int(columns.min())
            assert one["bbox"] == [x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y]
            found[plane][mask] = one["label"]
            wanted = INFOS.get(one["label"], ObjectInfo()).category or "object"
            assert coco.loadCats(one["category_id"])[0]["name"] == wanted
    assert np.array_equal(found, stack)


@given(arrays.arrays(np.uint32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)))
def test_polygons_of_coco_are_exact(tmp_path_factory, labels):
    coco = COCO(write_objects(tmp_path_factory.mktemp("any") / "a.json", labels))
    found = np.zeros_like(labels)
    for one in coco.loadAnns(coco.getAnnIds()):
        found[coco.annToMask(one) > 0] = one["label"]
    assert np.array_equal(found, labels)


def test_candidates_and_names_in_coco(tmp_path, capsys):
    path = write_objects(tmp_path / "a.json", ALL, image=image_of(ALL), infos=INFOS, candidates=candidates(ALL.shape))
    coco = COCO(path)
    assert coco.loadImgs(1)[0]["file_name"] == "Bild 1"
    some = [one for one in coco.loadAnns(coco.getAnnIds()) if "candidate" in one]
    for one, wanted in zip(some, candidates(ALL.shape), strict=True):
        assert np.array_equal(coco.annToMask(one), wanted.mask.dense((1, *ALL.shape))[0])
        assert one["score"] == wanted.score


# OME-Zarr


def nodes(path):
    """What napari's plugin for OME-Zarr sees."""
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return list(Reader(parse_url(path))())


@pytest.mark.parametrize("name", LABELS)
def test_ome_zarr_by_itself(tmp_path, name, caplog):
    labels = LABELS[name]
    path = write_objects(tmp_path / "a.ome.zarr", labels, infos=INFOS, voxel=VOXEL)
    (node,) = nodes(path)
    assert np.array_equal(np.asarray(node.data[0]), labels)
    assert [one["name"] for one in node.metadata["axes"]] == list("zyx"[3 - labels.ndim :])
    assert {one["unit"] for one in node.metadata["axes"]} == {"micrometer"}
    scale = [2.0, 0.25, 0.5][3 - labels.ndim :]
    assert node.metadata["coordinateTransformations"][0] == [{"type": "scale", "scale": scale}]
    assert sorted(node.metadata["color"]) == np.unique(labels[labels > 0]).tolist()


@pytest.mark.parametrize(("name", "axes"), [("all at once", ""), ("a volume", "zyx"), ("a volume", "tyx")])
def test_ome_zarr_is_valid(tmp_path, name, axes):
    labels = LABELS[name]
    path = write_objects(tmp_path / "a.ome.zarr", labels, infos=INFOS, image=image_of(labels, axes))
    about = ImageLabel.from_zarr(zarr.open_group(path, mode="r")).ome_attributes
    assert [axis.name for axis in about.multiscales[0].axes] == list(axes or "yx")
    assert {one.label_value for one in about.image_label.colors} == set(np.unique(labels[labels > 0]).tolist())


def test_ome_zarr_says_what_is_known_and_has_levels(tmp_path):
    labels = np.kron(ALL, np.ones((100, 60), np.uint32))
    path = write_objects(tmp_path / "a.ome.zarr", labels, infos=INFOS)
    (node,) = nodes(path)
    assert node.metadata["properties"][1] == {"name": "Zelle № 1 / äöü 細胞", "class": "mitosis", "score": 0.9375}
    assert [one.shape for one in node.data] == [(700, 600), (350, 300), (175, 150)]
    assert np.array_equal(np.asarray(node.data[2]), labels[::4, ::4])
    assert node.metadata["coordinateTransformations"][2] == [{"type": "scale", "scale": [4.0, 4.0]}]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("consolidated", [False, True])
def test_labels_of_an_ome_zarr_image(tmp_path, version, consolidated):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ome_zarr.format import format_from_version
        from ome_zarr.writer import write_image, write_labels

    path = tmp_path / "image.ome.zarr"
    form = format_from_version(version)
    group = zarr.open_group(path, mode="w", zarr_format=form.zarr_format)
    scale = [[{"type": "scale", "scale": [2.0, 0.25, 0.5]}]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_image(
            VOLUME.astype(np.uint16), group, axes="zyx", fmt=form, scale_factors=[], coordinate_transformations=scale
        )
        write_labels(VOLUME // 2, group, name="others", axes="zyx", fmt=form, scale_factors=[])
        if consolidated:
            zarr.consolidate_metadata(path, zarr_format=form.zarr_format)
    for labels in (VOLUME * 2, VOLUME):  # the second time they are replaced
        assert write_objects(path, labels, image=image_of(VOLUME, "zyx")) == path / "labels" / "objects"
    found = {node.metadata.get("name"): node for node in nodes(path)}
    assert set(found) >= {"others", "objects"}
    assert np.array_equal(np.asarray(found["objects"].data[0]), VOLUME)
    assert np.array_equal(np.asarray(found["others"].data[0]), VOLUME // 2)
    assert np.array_equal(open_image(path)[...], VOLUME)
    found = zarr.open_group(path / "labels" / "objects", mode="r")
    assert found.metadata.zarr_format == form.zarr_format
    if version == "0.5":
        assert ImageLabel.from_zarr(found)


def test_what_is_no_result_of_ours_is_left_alone(tmp_path):
    for name, make in {
        "array.zarr": lambda path: zarr.create_array(path, data=VOLUME),
        "group.zarr": lambda path: zarr.open_group(path, mode="w").create_array("a", data=VOLUME),
        "file.zarr": lambda path: path.write_text("text"),
    }.items():
        make(tmp_path / name)
        with pytest.raises(FileError, match="new or an empty folder"):
            write_objects(tmp_path / name, VOLUME)
    other = tmp_path / "image.zarr"
    write_objects(other, VOLUME)
    about = dict(zarr.open_group(other).attrs)
    about["ome"]["multiscales"][0]["metadata"] = {}
    zarr.open_group(other).attrs.update(about)
    write_objects(other, VOLUME)
    assert zarr.open_group(other / "labels" / "objects", mode="r")["0"].shape == VOLUME.shape


# Tables


def test_a_table_by_csv_and_pandas(tmp_path):
    labels = LABELS["large numbers"]
    path = write_objects(tmp_path / "a.csv", labels, infos=INFOS, image=image_of(labels))
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = {int(line["id"]): line for line in csv.DictReader(file)}
    assert sorted(lines) == np.unique(labels[labels > 0]).tolist()
    one = lines[1]
    assert (one["name"], one["category"], one["area"]) == ("Zelle № 1 / äöü 細胞", "mitosis", "12")
    assert (one["y0"], one["x0"], one["y1"], one["x1"]) == ("0", "0", "4", "4")
    assert float(one["intensity_mean"]) == 10
    assert float(one["area_um2"]) == 12 * 0.125
    table = pandas.read_csv(path)
    assert table["id"].tolist() == sorted(lines)


def test_a_table_without_image_and_without_objects(tmp_path):
    table = pandas.read_csv(write_objects(tmp_path / "a.csv", VOLUME))
    assert table.groupby("plane").size().to_dict() == {0: 8, 2: 7}
    assert "intensity_mean" not in table
    assert {"area", "y", "x", "y0", "axis_major_length"} <= set(table)
    empty = pandas.read_csv(write_objects(tmp_path / "a.csv", LABELS["no objects"]))
    assert len(empty) == 0
    assert list(empty.columns) == list(table.columns)
