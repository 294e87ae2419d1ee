"""The picture that stays in a saved notebook."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Picture

from microsam_nb.core import BoxPrompt, Candidate, Image, Mask, MaskPrompt, Point, Scribble
from microsam_nb.session import LayerName, LoadLabels, Select, Session, SetContours, SetLayer, SetPlane
from microsam_nb.view import colour_of, snapshot
from microsam_nb.view.snapshot import compact


@pytest.fixture
def session():
    made = Session((1, 60, 80))
    made.edit(made.state, made.labels.paint(Mask((0, 5, 5), np.ones((1, 20, 20), bool)), 1))
    return made


IMAGE = Image(np.full((60, 80, 3), 100, np.uint8))


def seen(session, image=IMAGE, **more):
    file = snapshot(image, session, **more)
    assert file.startswith(b"\x89PNG")
    return np.asarray(Picture.open(io.BytesIO(file)).convert("RGB"))


def test_image_and_objects(session):
    session.handle(SetLayer(LayerName.OBJECTS, opacity=1.0))
    out = seen(session)
    assert out.shape == (240, 320, 3), "small images are enlarged"
    assert out[60, 60].tolist() == list(colour_of(1))
    assert out[200, 200].tolist() == [100, 100, 100]
    session.handle(SetLayer(LayerName.OBJECTS, opacity=0.5))
    assert seen(session)[60, 60] == pytest.approx((np.array(colour_of(1)) + 100) / 2, abs=2)
    session.handle(SetContours(True))
    out = seen(session)
    assert out[60, 60].tolist() == [100, 100, 100]
    assert out[60, 21].tolist() == list(colour_of(1))


def test_proposals_and_prompts(session):
    session.amend(
        replace(
            session.state,
            proposals=(Candidate(Mask((0, 30, 30), np.ones((1, 10, 10), bool)), 0.9, "points"),),
            prompts=(
                Point(0, 50.0, 10.0),
                BoxPrompt(0, 40, 60, 55, 75),
                Scribble(0, ((5, 40), (5, 60)), 4.0, False),
                MaskPrompt(Mask((0, 20, 50), np.ones((1, 10, 10), bool))),
            ),
        )
    )
    out = seen(session)
    assert out[140, 140] == pytest.approx([178, 178, 50], abs=3), "half yellow"
    assert out[203, 36, 1] > 200, "the dot"
    assert out[160, 270, 1] > 200, "the box"
    assert out[20, 200, 0] > 200, "the scribble"
    assert out[27, 200, 0] > out[27, 200, 1], "its width"
    assert (out[80:82, 204:236, 1] > 200).any(), "the mask"
    session.handle(SetLayer(LayerName.PROMPTS, visible=False))
    session.handle(SetLayer(LayerName.PROPOSAL, visible=False))
    session.handle(SetLayer(LayerName.OBJECTS, visible=False))
    assert (seen(session) == 100).all()
    session.handle(SetLayer(LayerName.IMAGE, visible=False))
    assert (seen(session) == 255).all()


def test_large_planes_fit(session):
    pixels = np.zeros((3000, 4000), np.uint16)
    pixels[1500:] = 900
    large = Session((1, 3000, 4000))
    large.edit(large.state, large.labels.paint(Mask((0, 100, 100), np.ones((1, 900, 900), bool)), 1))
    large.handle(SetLayer(LayerName.OBJECTS, opacity=1.0))
    out = seen(large, Image(pixels), width=400)
    assert out.shape == (300, 400, 3)
    assert out[50, 50].tolist() == list(colour_of(1))
    assert out[120, 50].tolist() == [0, 0, 0]
    assert out[220, 50].tolist() == [255, 255, 255]


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (700, 2)])
def test_odd_shapes(shape):
    out = seen(Session((1, *shape)), Image(np.ones(shape, np.uint8)), width=100)
    assert max(out.shape[:2]) <= 100


def test_a_photograph_is_kept_small_and_a_drawing_exact():
    def png(pixels):
        file = io.BytesIO()
        Picture.fromarray(pixels).save(file, "PNG")
        return file.getvalue()

    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype(np.uint8)
    flat = np.zeros((300, 300, 3), np.uint8)
    flat[50:90, 60:200] = (230, 159, 0)
    assert compact(png(flat)) == ("image/png", png(flat))
    kind, small = compact(png(noise))
    assert kind == "image/jpeg"
    assert len(small) < len(png(noise)) / 1.5
    flat_again = np.asarray(Picture.open(io.BytesIO(compact(png(flat), 10)[1])))
    assert np.abs(flat_again[60:80, 80:180].astype(int) - flat[60:80, 80:180]).max() < 12, "colours can be told apart"


def test_trails_of_picked_tracks():
    tracks = np.zeros((5, 40, 60), np.uint32)
    for t in range(5):
        tracks[t, 18:21, 8 * t + 8 : 8 * t + 11] = 1
    one, movie = Session((5, 40, 60), movie=True), Image(np.full((5, 40, 60), 100, np.uint8), "tyx")
    for action in (LoadLabels.of(tracks), SetPlane(4), Select((1,)), SetLayer(LayerName.NEIGHBOURS, opacity=1.0)):
        one.handle(action)
    middle = seen(one, movie)[78, 4 * 22]
    assert np.abs(middle.astype(int) - colour_of(1)).max() < 20, middle
    one.handle(SetLayer(LayerName.NEIGHBOURS, visible=False))
    bare = seen(one, movie)
    assert bare[78, 4 * 22].tolist() == bare[0, 0].tolist()
