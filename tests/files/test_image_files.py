import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from microsam_nb.core import FileError
from microsam_nb.core import Image as CoreImage
from microsam_nb.files.images import read_image
from microsam_nb.files.samples import tissue


def write(path, pixels):
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix.lower() in (".tif", ".tiff"):
        tifffile.imwrite(path, pixels, photometric="rgb" if pixels.shape[-1] == 3 else "minisblack")
    else:
        Picture.fromarray(pixels).save(path)
    return path


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)


@pytest.mark.parametrize("name", ["a.tif", "a.TIFF", "a.png", "a.PNG", "a.bmp", "a.gif", "a.npy"])
def test_grey_pixels_come_back_exactly(tmp_path, pixels, name):
    back = read_image(write(tmp_path / name, pixels))
    # A GIF has a palette and becomes RGB.
    assert np.array_equal(back if back.ndim == 2 else back[..., 1], pixels)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.npy"])
def test_colour_and_16_bit(tmp_path, pixels, name):
    colour = np.stack([pixels, pixels // 2, pixels // 3], axis=-1)
    assert np.array_equal(read_image(write(tmp_path / name, colour)), colour)
    deep = pixels.astype(np.uint16) * 257
    back = read_image(write(tmp_path / name, deep))
    assert np.array_equal(back, deep)
    CoreImage(back)


def test_jpeg_is_close(tmp_path):
    smooth = np.tile(np.arange(48, dtype=np.uint8) * 5, (48, 1))
    back = read_image(write(tmp_path / "a.jpg", smooth)).astype(int)
    assert np.abs(back - smooth).max() <= 6


def test_a_palette_becomes_colours(tmp_path):
    picture = Picture.new("P", (2, 2))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.putdata([0, 1, 1, 0])
    picture.save(tmp_path / "a.png")
    back = read_image(tmp_path / "a.png")
    assert back.tolist() == [[[255, 0, 0], [0, 255, 0]], [[0, 255, 0], [255, 0, 0]]]


def test_a_stack_keeps_its_planes(tmp_path):
    stack = np.arange(4 * 8 * 9, dtype=np.uint16).reshape(4, 8, 9)
    assert np.array_equal(read_image(write(tmp_path / "a.tif", stack)), stack)


def test_a_missing_file(tmp_path):
    for path, remedy in ((tmp_path / "none.tif", "name and the folder"), (tmp_path, "Name the image file in it")):
        with pytest.raises(FileError) as error:
            read_image(path)
        assert remedy in error.value.remedy


@pytest.mark.parametrize("name", ["a.czi", "a", "a.txt"])
def test_an_unknown_ending(tmp_path, name):
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(FileError) as error:
        read_image(tmp_path / name)
    assert "TIFF, PNG" in error.value.remedy


@pytest.mark.parametrize("content", [b"", b"no image at all", b"II*\0\xff\xff\xff\xff", b"\x89PNG\r\n\x1a\nrubbish"])
@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg", ".npy", ".gif", ".bmp"])
def test_rubbish_is_unreadable(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(FileError) as error:
        read_image(path)
    assert "Save it again as TIFF or PNG" in error.value.remedy


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16), "compression": "zlib"}])
def test_a_truncated_tiff_is_unreadable(tmp_path, pixels, options):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, **options)
    whole = path.read_bytes()
    for share in (0.02, 0.1, 0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(FileError) as error:
            read_image(path)
        assert "Save it again" in error.value.remedy


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.npy", "a.bmp", "a.gif"])
def test_other_truncated_files_are_unreadable(tmp_path, pixels, name):
    path = write(tmp_path / name, pixels)
    whole = path.read_bytes()
    for share in (0.02, 0.1, 0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(FileError):
            read_image(path)


def test_objects_in_an_npy_file_are_refused_and_do_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    array = np.empty(1, object)
    array[0] = Trap()
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(FileError) as error:
        read_image(tmp_path / "a.npy")
    assert "Save it again" in error.value.remedy
    assert not (tmp_path / "ran").exists()


def test_the_sample_is_a_colour_picture():
    pixels = tissue()
    assert pixels.shape == (256, 320, 3)
    assert pixels.dtype == np.uint8
    assert CoreImage(pixels).shape == (1, 256, 320)
