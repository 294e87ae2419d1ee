import numpy as np
import tifffile

from microsam_nb.annotators.inputs import read_input


def test_a_planar_colour_picture_is_one_plane(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 40, 30)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", planarconfig="separate")
    for axes in ("", "yxc"):
        image = read_input(tmp_path / "a.tif", axes, "")
        assert (image.axes, image.shape, image.lazy) == ("yxc", (1, 40, 30), False)
        assert np.array_equal(image.plane(), np.moveaxis(pixels, 0, -1))
