"""The panel of views, with a page that does what it is told."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from microsam_nb.core import Candidate, Image, ImageError, Mask, Point, VoxelSize
from microsam_nb.session import Channel, LayerName, LoadLabels, SetChannels, SetLayer, SetPlane
from microsam_nb.view import Look, Pictures, colour_of
from microsam_nb.view.ortho import Arrangement, Side
from microsam_nb.view.palette import PROPOSAL
from microsam_nb.widgets import OrthoPanel
from microsam_nb.widgets.panels import EVERYTHING

SHAPE = (5, 12, 16)


@pytest.fixture
def volume():
    return np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)


@pytest.fixture
def panel(desk, page, volume):
    def make(image=None):
        image = image or Image(volume, "zyx", voxel_size=VoxelSize(0.2, 0.1, 0.1))
        one = desk(image.shape)
        made = one.panel = OrthoPanel(image, one.session, one.hands)
        made.desk, made.page, made.image = one, page, image
        made.show(EVERYTHING)
        made.sections.wait()
        return made

    return make


def seen(panel, layer, side):
    (top, left), (height, width) = panel._arranged.corner(side), panel._arranged.extent(side)
    return panel.page.pixels(panel.canvas[layer])[top : top + height, left : left + width]


def grey(panel, pixels):
    return Pictures(panel.image).through(Look.of(panel.desk.session.state.browsing), pixels).astype(int)


def test_sections_and_projection_in_true_proportions(panel, volume):
    one = panel()
    a = one._arranged
    assert len(a.planes) / SHAPE[0] == pytest.approx(2 * len(a.columns) / SHAPE[2], rel=0.02)
    front, right, top = (seen(one, 0, side)[..., 0].astype(int) for side in (Side.FRONT, Side.RIGHT, Side.TOP))
    # JPEG is not exact.
    assert np.abs(front - grey(one, volume[:, 6][np.ix_(a.planes, a.columns)])).mean() < 4
    assert np.abs(right - grey(one, volume[:, :, 8][np.ix_(a.planes, a.rows)].T)).mean() < 4
    assert np.abs(top - grey(one, volume.max(axis=0)[np.ix_(a.rows, a.columns)])).mean() < 4
    assert "0.2 × 0.1 × 0.1 µm" in one.box.children[-1].value


def test_objects_and_the_object_in_hand_lie_over_them(panel):
    one = panel()
    session = one.desk.session
    drawn = np.zeros(SHAPE, np.uint32)
    drawn[1:4, 2:9, 2:14] = 3
    session.handle(LoadLabels.of(drawn))
    session.handle(SetLayer(LayerName.OBJECTS, opacity=1.0))
    session.handle(SetLayer(LayerName.PROPOSAL, opacity=1.0))
    bitmap = np.zeros(SHAPE, bool)
    bitmap[2:4, 5:8, 7:10] = True
    session.amend(replace(session.state, proposals=(Candidate(Mask.crop(bitmap), 0.9, "points"),)))
    one.show(EVERYTHING)
    one.sections.wait()
    a = one._arranged
    full = np.where(bitmap, 9, drawn)
    for side, expected in (
        (Side.FRONT, full[:, 6][np.ix_(a.planes, a.columns)]),
        (Side.RIGHT, full[:, :, 8][np.ix_(a.planes, a.rows)].T),
        (Side.TOP, np.where(bitmap.any(axis=0), 9, drawn.max(axis=0))[np.ix_(a.rows, a.columns)]),
    ):
        found = seen(one, 1, side)
        assert np.array_equal(found[..., 3] > 0, expected > 0)
        inner = (expected == 3) & (found[..., :3] == colour_of(3)).all(axis=2)
        assert inner.sum() > 0.9 * (expected == 3).sum()
        mine = (found[..., :3] == PROPOSAL).all(axis=2)
        assert mine.sum() > 0.9 * (expected == 9).sum()


def test_a_click_sets_plane_and_place(panel):
    one = panel()
    a = one._arranged
    (top, left) = a.corner(Side.FRONT)
    _, _, across = a.on_screen(0, 0, 11)
    down, _, _ = a.on_screen(4, 0, 0)
    one.canvas[2]._handle_frontend_event(None, {"event": "mouse_down", "x": left + across, "y": top + down}, [])
    assert one.desk.done == [("look at", 4, 6, 11)]
    assert one.place == (6, 11)
    _, row, column = a.on_screen(0, 3, 2)
    one.canvas[2]._handle_frontend_event(None, {"event": "mouse_down", "x": column, "y": row}, [])
    assert one.desk.done[-1] == ("look at", 0, 3, 2)
    one.canvas[2]._handle_frontend_event(None, {"event": "mouse_down", "x": len(a.columns) + 1, "y": 1}, [])
    assert len(one.desk.done) == 2, "between the pictures nothing is meant"
    one.sections.wait()
    front = seen(one, 0, Side.FRONT)[..., 0].astype(int)
    assert np.abs(front - grey(one, one.image.pixels[:, 3][np.ix_(a.planes, a.columns)])).mean() < 4


def test_the_place_follows_the_newest_prompt(panel):
    one = panel()
    session = one.desk.session
    session.amend(replace(session.state, prompts=(Point(0, 2.5, 3.5),)))
    one.show(EVERYTHING)
    assert one.place == (2, 3)


def test_another_plane_reads_and_sends_nothing_but_lines(panel, monkeypatch):
    one = panel()
    before, sent = len(one.page.pictures), len(one.page.messages)
    monkeypatch.setattr(Image, "region", None)
    for plane in (1, 2, 3):
        one.desk.session.handle(SetPlane(plane))
        one.sections.wait()
    assert len(one.page.pictures) == before
    assert len(one.page.messages) > sent


def test_another_contrast_reads_nothing(panel, monkeypatch):
    one = panel()
    monkeypatch.setattr(Image, "region", None)
    one.desk.session.handle(SetChannels((Channel(low=300, high=400),)))
    one.sections.wait()
    assert not any(seen(one, 0, side)[..., :3].any() for side in Side)


def test_a_page_that_is_opened_later_gets_everything(panel):
    one = panel()
    known = [seen(one, 0, side).copy() for side in Side]
    one.page.reload()
    one.canvas[2]._handle_frontend_event(None, {"event": "client_ready"}, [])
    one.sections.wait()
    assert all(np.array_equal(seen(one, 0, side), old) for side, old in zip(Side, known, strict=True))


def test_what_cannot_be_read_is_told(panel, monkeypatch):
    def broken(*_):
        raise ImageError("The file is gone.", "Bring it back.")

    monkeypatch.setattr(Image, "region", broken)
    one = panel()
    assert "Bring it back." in one.desk.session.notice.text


def test_slow_sections_are_shown_as_they_come(panel, monkeypatch, volume):
    """And closing does not wait for the rest."""
    gate, region = threading.Semaphore(0), Image.region

    def slow(*args):
        # What the test itself reads comes at once.
        if threading.current_thread() is not threading.main_thread():
            gate.acquire(timeout=20)
        return region(*args)

    image = Image(volume, "zyx")
    Pictures(image).windows(0)
    made = Arrangement.fit(image.shape, 1.0, 100, 100)
    assert made.sampled == 5
    one = panel(image)
    monkeypatch.setattr(Image, "region", slow)
    monkeypatch.setattr("microsam_nb.widgets.sections._PAUSE", 0.0)
    one.desk.session.handle(SetPlane(2))
    one._clicked(3, 3)
    with pytest.raises(TimeoutError):
        one.sections.wait(0.1)
    gate.release(4)
    picture = grey(one, np.asarray(image.pixels)[:, one.place[0]][np.ix_(one._arranged.planes, one._arranged.columns)])
    shown = one._arranged.planes == 2
    for _ in range(100):
        with pytest.raises(TimeoutError):
            one.sections.wait(0.2)
        rows = seen(one, 0, Side.FRONT)[..., 0].astype(int)
        if np.abs(rows[shown] - picture[shown]).mean() < 6:
            break
    assert np.abs(rows[shown] - picture[shown]).mean() < 6
    assert rows[one._arranged.planes == 4].mean() < 20
    gate.release(100)
    one.sections.wait()
