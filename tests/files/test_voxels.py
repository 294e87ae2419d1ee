"""The voxel size in TIFF files and OME-Zarr."""

import numpy as np
import pytest
import tifffile
import zarr

from microsam_nb.annotators.inputs import read_input
from microsam_nb.core import FileError, VoxelSize
from microsam_nb.files.voxels import read_voxel_size

STACK = np.zeros((3, 8, 9), np.uint8)


def imagej(path, unit="um", spacing=2.0, resolution=(4.0, 5.0)):
    metadata = {"axes": "ZYX", **({"spacing": spacing} if spacing is not None else {})}
    if unit is not None:
        metadata["unit"] = unit
    tifffile.imwrite(path, STACK, imagej=True, resolution=resolution, metadata=metadata)
    return path


def close(found, z, y, x, unit="µm"):
    assert found is not None
    assert (found.z is None) == (z is None)
    assert (found.z or 1, found.y, found.x) == pytest.approx((z or 1, y, x), rel=1e-5)
    assert found.unit == unit


def test_what_imagej_wrote(tmp_path):
    close(read_voxel_size(imagej(tmp_path / "a.tif")), 2, 0.2, 0.25)
    close(read_voxel_size(imagej(tmp_path / "a.TIFF", "nm", 50, (0.1, 0.1))), 50, 10, 10, "nm")


@pytest.mark.parametrize("unit", ["micron", "um", "\\u00B5m"])
def test_ways_to_write_micrometres(tmp_path, unit):
    assert read_voxel_size(imagej(tmp_path / "a.tif", unit)).unit == "µm"


@pytest.mark.parametrize("spacing", [None, 0.0, -1.0])
def test_without_a_distance_of_planes_the_pixels_have_a_size(tmp_path, spacing):
    close(read_voxel_size(imagej(tmp_path / "a.tif", spacing=spacing)), None, 0.2, 0.25)


@pytest.mark.parametrize("unit", [None, "pixel"])
def test_no_unit_no_size(tmp_path, unit):
    assert read_voxel_size(imagej(tmp_path / "a.tif", unit)) is None


@pytest.mark.parametrize(
    ("metadata", "size"),
    [
        (
            {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 0.5},
            VoxelSize(0.5, 0.2, 0.1),
        ),
        ({"PhysicalSizeX": 10, "PhysicalSizeXUnit": "nm"}, VoxelSize(None, 10, 10, "nm")),
        ({"PhysicalSizeX": 10, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 1, "PhysicalSizeYUnit": "mm"}, None),
        ({"PhysicalSizeX": 0}, None),
        ({"PhysicalSizeY": 1}, None),
        ({}, None),
    ],
)
def test_what_ome_writers_wrote(tmp_path, metadata, size):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, STACK, ome=True, metadata={"axes": "ZYX", **metadata})
    assert read_voxel_size(path) == size


def test_the_resolution_of_a_printer_is_left_alone(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack", resolution=(72, 72), resolutionunit="INCH")
    assert read_voxel_size(tmp_path / "a.tif") is None
    assert read_voxel_size(tmp_path / "a.png") is None


@pytest.mark.parametrize("content", [None, b"no image"])
def test_a_file_that_is_no_tiff(tmp_path, content):
    if content:
        (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(FileError) as error:
        read_voxel_size(tmp_path / "a.tif")
    assert "Save it again as TIFF" in error.value.remedy


UM = "micrometer"


@pytest.mark.parametrize("old", [True, False], ids=["0.4", "0.5"])
@pytest.mark.parametrize(
    ("axes", "units", "scale", "whole", "size"),
    [
        ("zyx", (UM, UM, UM), [2.0, 0.25, 0.5], None, VoxelSize(2, 0.25, 0.5)),
        ("zyx", (UM, UM, UM), [1.0, 1.0, 1.0], [2.0, 0.25, 0.5], VoxelSize(2, 0.25, 0.5)),
        ("zyx", ("nanometer",) * 3, [50.0, 10.0, 10.0], None, VoxelSize(50, 10, 10, "nm")),
        ("zyx", (UM, "nanometer", "nanometer"), [2.0, 10.0, 10.0], None, VoxelSize(None, 10, 10, "nm")),
        ("tyx", ("second", UM, UM), [60.0, 0.25, 0.5], None, VoxelSize(None, 0.25, 0.5)),
        ("zyx", ("", "", ""), [2.0, 0.25, 0.5], None, None),
        ("zyx", (UM, UM, "nanometer"), [2.0, 0.25, 0.5], None, None),
        ("zyx", (UM, UM, UM), [2.0, 0.0, 0.5], None, None),
        ("zyx", (UM, UM, UM), None, None, VoxelSize(1, 1, 1)),
    ],
)
def test_the_scale_of_ome_zarr(tmp_path, old, axes, units, scale, whole, size):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2 if old else 3)
    group.create_array("0", data=STACK)
    level = {"path": "0", **({"coordinateTransformations": [{"type": "scale", "scale": scale}]} if scale else {})}
    about = {
        "axes": [{"name": n, "type": "space", **({"unit": u} if u else {})} for n, u in zip(axes, units, strict=True)],
        "datasets": [level],
        **({"coordinateTransformations": [{"type": "scale", "scale": whole}]} if whole else {}),
    }
    group.attrs.update({"multiscales": [about]} if old else {"ome": {"version": "0.5", "multiscales": [about]}})
    assert read_input(tmp_path / "a.zarr").voxel_size == size
