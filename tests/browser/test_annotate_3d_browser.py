"""A volume in a real browser: prompts in two planes, the object through all planes, a correction, commit, save."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from annotator_page import Screen, labels
from scipy import ndimage

pytestmark = pytest.mark.browser

CELL = """from microsam_nb import annotate_3d
from microsam_nb.core import Image
from microsam_nb.files import samples
volume = Image(samples.nuclei(), "zyx", "nuclei", voxel_size=(2.0, 0.5, 0.5))
annotator = annotate_3d(volume, project="nuclei.msam")
annotator"""

#: A nucleus of the sample, (y, x), which lies in planes 0 to 8, and the background beside it.
NUCLEUS = (130.0, 76.0)


def in_hand(screen: Screen) -> list[int]:
    """The planes that the object in hand reaches through."""
    return screen.book.kernel(
        "from microsam_nb.core.sections import planes_of\n"
        "found = annotator.session.state.proposals\n"
        "list(planes_of(found[0].mask)) if found else []"
    )


def test_two_prompts_become_an_object_that_is_corrected_committed_and_saved(open_notebook, lab):
    book = open_notebook("volume.ipynb", CELL)
    book.run()
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    screen.canvas.focus()
    screen.go_to(3)
    screen.says("Ready")
    screen.click(*NUCLEUS)
    screen.wait()
    assert in_hand(screen) == [3]
    screen.go_to(5)
    screen.click(*NUCLEUS)
    screen.wait()
    assert in_hand(screen) == [3, 5]
    assert screen.page.locator(".msam-planes", has_text="Prompts in planes").count() >= 1

    # Through all planes: it fills the gap, and ends by itself.
    screen.press("Shift+S")
    screen.wait()
    whole = in_hand(screen)
    assert {3, 4, 5} < set(whole)
    assert max(whole) < 14, "it goes on where nothing is"
    screen.open_panel("views")
    screen.open_panel("agreement")
    screen.page.wait_for_timeout(1200)
    screen.shot("volume-extended")
    # In the panel they are drawn as large as there is room, whole, and a click goes where it was made.
    views = screen.page.locator(".msam-views-canvas canvas").first
    box, side = views.bounding_box(), screen.page.locator(".msam-views").first.bounding_box()
    assert box["x"] + box["width"] <= side["x"] + side["width"]
    views.click(position={"x": 0.25 * box["width"], "y": 0.2 * box["height"]})
    screen.page.wait_for_timeout(400)
    screen.wait()
    clicked, expected = book.kernel(
        "panel = annotator._panels.made['Views']\n"
        "down, across = panel._arranged.size\n"
        "[list(panel.place), list(panel._arranged.at(0.2 * down, 0.25 * across)[1:])]"
    )
    assert abs(clicked[0] - expected[0]) <= 2
    assert abs(clicked[1] - expected[1]) <= 2
    size = "annotator.session.state.proposals[0].mask.area"
    before = book.kernel(size)

    # One plane is corrected by hand, which does not touch the others.
    screen.canvas.focus()
    screen.go_to(4)
    screen.press("w")
    y, x = NUCLEUS
    screen.drag("stroke", (y, x), (y + 22, x))
    screen.wait()
    assert in_hand(screen) == whole
    assert book.kernel(size) > before
    screen.press("Control+z")
    assert book.kernel(size) == before
    screen.press("Control+Shift+z")
    corrected = book.kernel(size)

    # A stop ends it at once.
    screen.go_to(max(whole))
    screen.press("Shift+X")
    screen.wait()
    assert max(in_hand(screen)) == max(whole) - 1
    screen.press("Control+z")
    assert book.kernel(size) == corrected

    # One object in the volume, one undo.
    screen.press("c")
    screen.wait()
    volume = labels(book)
    assert (volume == 1).sum() == corrected
    screen.shot("volume-committed")
    screen.press("Control+z")
    assert not labels(book).any()
    screen.press("Control+Shift+z")
    assert np.array_equal(labels(book), volume)
    screen.press("Control+s")
    screen.says("saved")
    screen.wait()
    saved = [tifffile.imread(path) for path in Path(lab.work).glob("nuclei-*_labels.tif")]
    assert any(np.array_equal(one, volume) for one in saved)

    # The page is closed, the kernel starts anew: everything is there.
    book.kernel("annotator.close()\nTrue")
    book.run()
    screen.wait()
    assert np.array_equal(labels(book), volume)


def drawn() -> tuple[np.ndarray, np.ndarray]:
    """A volume, uint8 (20, 128, 160), and the truth of one nucleus in planes 3 to 16.

    From plane 10 on it lies further to the right, and another nucleus lies where it was.
    """
    random = np.random.default_rng(4)
    shape = (20, 128, 160)
    rows, columns = np.mgrid[:128, :160] + 0.5
    bright, truth = np.zeros(shape), np.zeros(shape, bool)
    for plane in range(3, 17):
        radius = 16 * np.sqrt(1 - ((plane - 9.5) / 8) ** 2)
        truth[plane] = ((rows - 60) / radius) ** 2 + ((columns - middle(plane)) / (0.9 * radius)) ** 2 < 1
        bright[plane][truth[plane]] = 0.8
        if plane >= 10:
            wide = 15 * np.sqrt(1 - ((plane - 11) / 8) ** 2)
            bright[plane][((rows - 60) ** 2 + (columns - 59) ** 2 < wide**2) & ~truth[plane]] = 0.8
    for z, y, x, radius in ((6, 25, 130, 14), (12, 108, 130, 13), (10, 108, 25, 12)):
        for plane in range(shape[0]):
            bright[plane][(rows - y) ** 2 + (columns - x) ** 2 < radius**2 - (2 * (plane - z)) ** 2] = 0.9
    texture = ndimage.gaussian_filter(random.normal(size=shape), (0.5, 2, 2))
    blurred = ndimage.gaussian_filter(bright * (1 + 0.15 * texture / texture.std()), (0.3, 1, 1))
    return (25 + 170 * blurred + random.normal(0, 5, shape)).clip(0, 255).astype(np.uint8), truth


def middle(plane: int) -> float:
    """Where the drawn nucleus is, along x."""
    return 55 + 29 * (plane >= 10) + 0.5 * plane


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def object_in_hand(screen: Screen) -> np.ndarray:
    """The object in hand, bool (planes, h, w)."""
    return np.array(
        screen.book.kernel("annotator.session.state.proposals[0].mask.dense(annotator.session.shape).tolist()")
    )


def yellow(screen: Screen, y: float, x: float) -> bool:
    """Whether the object in hand is drawn at a place: more red than blue over a grey image."""
    red, _, blue, _ = screen.pixel(y, x)
    return red > blue + 15


def until_yellow(screen: Screen, y: float, x: float, wanted: bool = True) -> None:
    for _ in range(100):
        if yellow(screen, y, x) is wanted:
            return
        screen.page.wait_for_timeout(50)
    raise AssertionError(f"at {y}, {x} the object in hand is {'not ' if wanted else ''}drawn")


def test_planes_that_are_wrong_are_corrected_by_a_click_and_only_they_change(open_notebook, lab):
    volume, truth = drawn()
    tifffile.imwrite(lab.work / "two_nuclei.tif", volume)
    cell = "from microsam_nb import annotate_3d\n"
    cell += "annotator = annotate_3d('two_nuclei.tif', axes='zyx', project='two_nuclei.msam')\nannotator"
    book = open_notebook("wrong_planes.ipynb", cell)
    book.run()
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    screen.says("Ready")
    screen.canvas.focus()
    for plane in (5, 8):
        screen.go_to(plane)
        screen.click(60, middle(plane))
    screen.press("Shift+S")
    book.until("annotator.session.state.answered and not annotator.session.state.stale", 60)
    first = object_in_hand(screen)
    wrong = range(10, 17)
    assert all(first[plane].any() for plane in wrong), "it ends: this would be a test of something else"
    assert max(overlap(first[plane], truth[plane]) for plane in wrong) < 0.1, "nothing is wrong: this would be no test"
    screen.go_to(12)
    where, other, beside = (60.5, middle(12) + 6), (60.5, 59.5), (60.5, middle(13) + 6)
    until_yellow(screen, *other)
    assert not yellow(screen, *where)
    screen.shot("volume-wrong")

    # One click in one of the wrong planes: that one is right, and so are its neighbours, without being asked for.
    screen.click(60.5, middle(12))
    book.until("annotator.session.state.answered and not annotator.session.state.stale", 60)
    screen.wait()
    until_yellow(screen, *where)
    until_yellow(screen, *other, wanted=False)
    screen.shot("volume-corrected")
    screen.go_to(13)
    until_yellow(screen, *beside)
    screen.shot("volume-corrected-beside")
    second = object_in_hand(screen)
    for plane in wrong:
        assert overlap(second[plane], truth[plane]) > 0.8, plane
    # Plane 9 lies beside a wrong one; the others were right, and are no neighbours.
    for plane in set(range(20)) - {9, *wrong}:
        assert np.array_equal(second[plane], first[plane]), f"plane {plane} was right, and is another one now"
    assert overlap(second, truth) > 0.8
    screen.press("Control+z")
    assert np.array_equal(object_in_hand(screen), first)
    screen.press("Control+Shift+z")
    screen.wait()
    assert np.array_equal(object_in_hand(screen), second)

    screen.press("c")
    committed = labels(book)
    assert np.array_equal(committed > 0, second)
    screen.shot("volume-corrected-committed")
    screen.press("Control+z")
    assert not labels(book).any()
    screen.press("Control+Shift+z")
    assert np.array_equal(labels(book), committed)
    screen.press("Control+s")
    screen.says("saved")
    screen.wait()
    (path,) = Path(lab.work).glob("two_nuclei*_labels.tif")
    saved = tifffile.imread(path)
    assert np.array_equal(saved, committed)
    assert overlap(saved == 1, truth) > 0.8


def test_keys_wheel_slider_and_buttons_go_through_the_planes(open_notebook):
    book = open_notebook("planes.ipynb", CELL.replace('project="nuclei.msam"', "project=False"))
    book.run()
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    screen.canvas.focus()
    assert screen.plane() == 12, "a volume opens in its middle"
    screen.press("Home")
    assert screen.plane() == 0
    for _ in range(5):
        screen.page.keyboard.press("PageDown")
    screen.wait()
    assert screen.plane() == 5
    screen.press("End")
    assert screen.plane() == 23
    screen.press("Home")
    assert screen.plane() == 0
    screen.canvas.hover()
    screen.page.keyboard.down("Shift")
    screen.page.mouse.wheel(0, 120)
    screen.page.keyboard.up("Shift")
    screen.page.wait_for_timeout(400)
    screen.wait()
    assert screen.plane() == 1
    screen.page.locator(".msam-plane-slider .noUi-handle").first.focus()
    for _ in range(3):
        screen.page.keyboard.press("ArrowRight")
    screen.page.wait_for_timeout(400)
    screen.wait()
    assert screen.plane() == 4
    # What is on screen is that plane: pixels of the canvas follow the brightness of the volume.
    bright, dark = book.kernel(
        "plane = volume.pixels[4].astype(int)\n"
        "from scipy import ndimage\n"
        "smooth = ndimage.uniform_filter(plane, 5)\n"
        "import numpy as np\n"
        "a = np.unravel_index(int(smooth.argmax()), plane.shape)\n"
        "b = np.unravel_index(int(smooth[8:-8, 8:-8].argmin()), (plane.shape[0] - 16, plane.shape[1] - 16))\n"
        "[[int(a[0]), int(a[1])], [int(b[0]) + 8, int(b[1]) + 8]]"
    )
    assert screen.pixel(*bright)[0] > screen.pixel(*dark)[0] + 60
