"""Objects of other programs."""

import json
import zipfile

import numpy as np
import pytest
import roifile
import tifffile
import zarr
from PIL import Image as Picture
from pycocotools import mask as coco_masks
from situations import LABELS

from microsam_nb.core import FileError, LabelError, ObjectInfo
from microsam_nb.files.formats.found import fitted
from microsam_nb.files.importing import read_objects

ALL = LABELS["all at once"]
SHAPE = (1, *ALL.shape)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: tifffile.imwrite(path / "a.tif", ALL.astype(np.uint16)),  # Cellpose, StarDist
        lambda path: tifffile.imwrite(path / "a.tif", ALL[None, ..., None].astype(np.uint32)),  # ilastik
        lambda path: tifffile.imwrite(path / "a.tif", ALL.astype(np.float32)),  # Fiji
        lambda path: tifffile.imwrite(path / "a.tif", ALL.astype(np.int32), compression="zlib"),
        lambda path: Picture.fromarray(ALL.astype(np.uint16)).save(path / "a.png"),
        lambda path: np.save(path / "a.npy", ALL[..., None]),
        lambda path: zarr.create_array(path / "a.zarr", data=ALL[None]),
    ],
)
def test_label_images(tmp_path, write):
    write(tmp_path)
    (path,) = tmp_path.iterdir()
    assert np.array_equal(read_objects(path, SHAPE).labels[0], ALL)


def test_of_a_palette_the_numbers_count(tmp_path):
    picture = Picture.fromarray(ALL.astype(np.uint8), "P")
    picture.putpalette(np.random.default_rng(0).integers(0, 255, 768).astype(np.uint8).tobytes())
    picture.save(tmp_path / "a.png")
    assert np.array_equal(read_objects(tmp_path / "a.png", SHAPE).labels[0], ALL)


def test_the_pickle_of_cellpose_is_not_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "sprung"), "w")

    np.save(tmp_path / "a_seg.npy", {"masks": ALL, "trap": Trap()}, allow_pickle=True)
    with pytest.raises(FileError, match="Save the masks as TIFF or PNG"):
        read_objects(tmp_path / "a_seg.npy", SHAPE)
    assert not (tmp_path / "sprung").exists()


def test_colours_are_no_labels(tmp_path):
    Picture.fromarray(np.stack([ALL.astype(np.uint8)] * 3, axis=-1)).save(tmp_path / "a.png")
    with pytest.raises(LabelError, match="Give labels made for this image"):
        read_objects(tmp_path / "a.png", SHAPE)


@pytest.mark.parametrize(
    ("labels", "shape"), [((4, 1), (1, 4, 1)), ((4,), (1, 4, 1)), ((1, 1), (1, 1, 1)), ((3, 1, 5), (3, 1, 5))]
)
def test_narrow_images(labels, shape):
    assert fitted(np.ones(labels, np.uint8), shape).shape == (shape if shape[0] > 1 else shape[1:])


# Fiji


def rois(path, *made):
    roifile.roiwrite(path, made, mode="w")
    return path


def shaped(kind, **options):
    return roifile.ImagejRoi(roitype=kind, top=2, left=3, bottom=6, right=9, **options)


def test_shapes_that_are_drawn_in_fiji(tmp_path):
    freehand = roifile.ImagejRoi.frompoints(np.array([(0, 0), (2, 0), (2, 2), (0, 2)]), name="0012-0034")
    subpixel = roifile.ImagejRoi.frompoints(np.array([(10.2, 0.4), (12.6, 0.4), (12.6, 3.4)]), name="StarDist")
    line = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE, x2=5, y2=5)
    points = roifile.ImagejRoi.frompoints(np.array([(1, 1), (5, 5)]))
    points.roitype = roifile.ROI_TYPE.POINT
    oval = shaped(roifile.ROI_TYPE.OVAL, name="nucleus 3")
    path = rois(tmp_path / "a.zip", freehand, line, oval, points, subpixel)
    found = read_objects(path, (1, 10, 14))
    labels = found.labels[0]
    assert np.unique(labels).tolist() == [0, 1, 2, 3]
    assert (labels == 1).sum() == 4
    y, x = np.indices((10, 14)) + 0.5
    assert np.array_equal(labels == 2, ((y - 4) / 2) ** 2 + ((x - 6) / 3) ** 2 <= 1)
    assert found.infos == {
        1: ObjectInfo(None, "0012-0034"),
        2: ObjectInfo(None, "nucleus 3"),
        3: ObjectInfo(None, "StarDist"),
    }


@pytest.mark.parametrize("place", [{"position": 2}, {"z_position": 2}, {"t_position": 2}, {"c_position": 1}])
def test_the_plane_of_a_roi(tmp_path, place):
    path = rois(tmp_path / "a.zip", shaped(roifile.ROI_TYPE.RECT, **place))
    plane = 0 if "c_position" in place else 1
    counts = (read_objects(path, (3, 10, 14)).labels > 0).sum(axis=(1, 2)).tolist()
    assert counts == [24 if i == plane else 0 for i in range(3)]


def test_on_a_single_picture_the_place_in_a_stack_is_that_of_a_channel(tmp_path):
    one, other = (shaped(roifile.ROI_TYPE.RECT, position=n, name=f"{n}") for n in (3, 2))
    assert read_objects(rois(tmp_path / "a.zip", one), (1, 10, 14)).labels.any()
    with pytest.raises(LabelError, match="for this image"):
        read_objects(rois(tmp_path / "a.zip", one, other), (1, 10, 14))


def test_only_lines(tmp_path):
    path = rois(tmp_path / "a.zip", roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE, x2=5, y2=5))
    assert not read_objects(path, SHAPE).labels.any()


def test_a_single_roi_file(tmp_path):
    shaped(roifile.ROI_TYPE.RECT).tofile(tmp_path / "a.roi")
    assert read_objects(tmp_path / "a.roi", (1, 10, 14)).labels.sum() == 24


def test_a_torn_zip(tmp_path):
    path = rois(tmp_path / "a.zip", shaped(roifile.ROI_TYPE.RECT))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("b.roi", b"Iout" + bytes(3))
    with pytest.raises(FileError, match="ROI Manager"):
        read_objects(path, SHAPE)


# QuPath

SQUARE = [[[1, 1], [5, 1], [5, 5], [1, 5], [1, 1]]]


def feature(coordinates=SQUARE, kind="Polygon", plane=None, **properties):
    geometry = {"type": kind, "coordinates": coordinates, **({"plane": plane} if plane else {})}
    return {"type": "Feature", "id": "PathAnnotationObject", "geometry": geometry, "properties": properties}


def geojson(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("wrap", [lambda some: {"type": "FeatureCollection", "features": some}, lambda some: some])
def test_what_qupath_exports(tmp_path, wrap):
    cell = feature(
        objectType="cell", classification={"name": "Tumor: CD3+", "color": [200, 0, 0]}, isLocked=True,
        measurements=[{"name": "score", "value": 0.5}, {"name": "Area", "value": 16}],
    )  # fmt: skip
    region = feature([[[0, 0], [10, 0], [10, 7], [0, 7], [0, 0]]], objectType="annotation", name="tissue")
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {}}
    found = read_objects(geojson(tmp_path / "a.geojson", wrap([region, cell, point])), SHAPE)
    assert np.bincount(found.labels.ravel()).tolist() == [0, 70 - 16, 16], "what lies on top stays whole"
    assert found.infos == {1: ObjectInfo(None, "tissue"), 2: ObjectInfo(0.5, "", "Tumor: CD3+")}


def test_other_geojson(tmp_path):
    alone = read_objects(geojson(tmp_path / "a.json", {"type": "Polygon", "coordinates": SQUARE}), SHAPE)
    assert alone.labels.sum() == 16
    twice = geojson(tmp_path / "b.geojson", [feature(), feature()])
    assert read_objects(twice, SHAPE).hidden == 1
    planes = [
        feature(plane={"c": -1, "z": 2, "t": 0}),
        feature(plane={"c": -1, "z": 0, "t": 1}),
        feature(plane={"z": 9}),
    ]
    found = read_objects(geojson(tmp_path / "c.geojson", planes), (3, 7, 10))
    assert [np.unique(plane).tolist() for plane in found.labels] == [[0], [0, 2], [0, 1]]


@pytest.mark.parametrize(
    "content",
    [{"features": [{"geometry": {"type": "Polygon", "coordinates": [[["a", 2]]]}}]}, {"features": 3}, 3,
     {"features": [feature([[[0, 0], [None, 1], [2, 2]]])]}],
)  # fmt: skip
def test_damaged_geojson(tmp_path, content):
    with pytest.raises(FileError, match="QuPath"):
        read_objects(geojson(tmp_path / "a.geojson", content), SHAPE)


# COCO


def coco(path, annotations, names=("a.png",), size=ALL.shape):
    images = [{"id": 7 + i, "file_name": name, "height": size[0], "width": size[1]} for i, name in enumerate(names)]
    categories = [{"id": 3, "name": "cell"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))
    return path


def encoded(number):
    found = coco_masks.encode(np.asfortranarray((number == ALL).astype(np.uint8)))
    return {**found, "counts": found["counts"].decode()}


def test_compressed_runs_of_pycocotools(tmp_path):
    numbers = range(1, 9)
    path = coco(
        tmp_path / "a.json",
        [{"id": n, "image_id": 7, "category_id": 3, "segmentation": encoded(n), "iscrowd": 1} for n in numbers],
    )
    found = read_objects(path, SHAPE)
    assert np.array_equal(found.labels[0], ALL)
    assert found.infos[8] == ObjectInfo(None, "", "cell")


def test_large_compressed_masks(tmp_path):
    rng = np.random.default_rng(0)
    masks = [np.kron(rng.random((20, 30)) < 0.3, np.ones((23, 31))) > 0, rng.random((460, 930)) < 0.5]
    for mask in masks:
        found = coco_masks.encode(np.asfortranarray(mask.astype(np.uint8)))
        line = {"id": 1, "image_id": 7, "segmentation": {**found, "counts": found["counts"].decode()}}
        path = coco(tmp_path / "a.json", [line], size=mask.shape)
        assert np.array_equal(read_objects(path, (1, *mask.shape)).labels[0] > 0, mask)


def test_which_image_of_several(tmp_path):
    lines = [
        {"id": i, "image_id": 7 + i, "segmentation": [[x, 1, x + 2, 1, x + 2, 3, x, 3]]} for i, x in enumerate((1, 4))
    ]
    path = coco(tmp_path / "a.json", lines, ("day1/a.png", "b.png"))
    for name, x in (("a", 1), ("day1/a.png", 1), ("b", 4)):
        assert (read_objects(path, SHAPE, name=name).labels[0] > 0).nonzero()[1].min() == x
    with pytest.raises(FileError, match="named as in the file"):
        read_objects(path, SHAPE)
    assert read_objects(path, (2, *ALL.shape)).labels.any(axis=(1, 2)).tolist() == [True, True]


@pytest.mark.parametrize(
    "segmentation",
    [{"counts": [3, 4], "size": [7, 10]}, {"counts": [70], "size": [5, 5]}, {"counts": [-5, 75], "size": [7, 10]},
     {"counts": "é", "size": [7, 10]}, None, [["a"] * 6], [[1, 2, 3, 4, 5, 6, 7]]],
)  # fmt: skip
def test_damaged_coco(tmp_path, segmentation):
    with pytest.raises(FileError, match="COCO"):
        read_objects(coco(tmp_path / "a.json", [{"image_id": 7, "segmentation": segmentation}]), SHAPE)


# OME-Zarr


def test_the_labels_of_an_image(tmp_path):
    image = zarr.open_group(tmp_path / "a.zarr", mode="w")
    scales = [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}]
    image.attrs["ome"] = {"version": "0.5", "multiscales": scales}
    image.create_array("0", data=ALL * 10)
    inside = image.create_group("labels")
    with pytest.raises(FileError, match="Name some"):
        read_objects(tmp_path / "a.zarr", SHAPE)
    inside.attrs["ome"] = {"labels": ["cells"]}
    cells = inside.create_group("cells")
    cells.attrs["ome"] = {"multiscales": scales, "image-label": {"properties": [{"label-value": 2, "class": "T"}]}}
    cells.create_array("0", data=ALL)
    for path in (tmp_path / "a.zarr", tmp_path / "a.zarr" / "labels" / "cells"):
        found = read_objects(path, SHAPE)
        assert np.array_equal(found.labels[0], ALL)
        assert found.infos == {2: ObjectInfo(None, "", "T")}
    inside.attrs["ome"] = {"labels": ["cells", "nuclei"]}
    with pytest.raises(FileError, match=r"a\.zarr/labels/cells"):
        read_objects(tmp_path / "a.zarr", SHAPE)
