"""The bar of planes: slider, marks, buttons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from microsam_nb.core import Candidate, Image, Mask, Point, Stop, VoxelSize
from microsam_nb.session import SetPlane
from microsam_nb.view import Command
from microsam_nb.widgets import PlaneBar


@pytest.fixture
def bar(desk):
    def make(axes="zyx", planes=21, voxel_size=None):
        one = desk((planes, 8, 8))
        image = Image(np.zeros((planes, 8, 8), np.uint8) + 1, axes, voxel_size=voxel_size)
        made = PlaneBar(image, one.session, one.hands)
        show = made.show
        made.close, made.show, made.desk = lambda: None, lambda _: show(one.session), one
        one.panel = made
        made.show(None)
        return made

    return make


def amend(bar, **changes):
    bar.desk.session.amend(replace(bar.desk.session.state, **changes))
    bar.show(None)


def test_the_slider_goes_to_planes_and_shows_where_one_is(bar):
    one = bar()
    assert (one.slider.min, one.slider.max) == (0, 20)
    one.slider.value = 7
    assert one.desk.done == [("look at", 7, None, None)]
    one.desk.session.handle(SetPlane(12))
    assert one.slider.value == 12
    assert len(one.desk.done) == 1, "what the session says is not sent back"


def test_text_says_which_plane_and_how_deep(bar):
    one = bar(voxel_size=VoxelSize(0.3, 0.1, 0.1))
    one.desk.session.handle(SetPlane(12))
    assert "plane <b>12</b> of 0–20" in one.text.value
    assert "z 3.6 µm" in one.text.value
    assert "z" not in bar(voxel_size=VoxelSize(None, 0.1, 0.1)).text.value
    movie = bar("tyx", voxel_size=VoxelSize(0.3, 0.1, 0.1))
    assert movie.text.value == "frame <b>0</b> of 0–20"
    assert "frame" in movie.buttons[Command.NEXT_PLANE].tooltip
    assert movie.buttons[Command.SEGMENT_OBJECT].description == "Follow"
    assert not any("plane" in button.tooltip for button in movie.buttons.values())


def test_in_a_movie_it_says_whose_daughters_are_marked(bar):
    one = bar("tyx")
    assert one.daughters.layout.display == "none"
    amend(one, mother=3)
    assert one.daughters.layout.display != "none"
    assert one.mother.value == "Daughters of track 3"
    one.done.click()
    assert one.desk.done == [Command.DAUGHTERS_DONE]
    amend(one, mother=0)
    assert one.daughters.layout.display == "none"


def test_buttons_are_commands_and_rest_where_they_can_do_nothing(bar):
    one = bar()
    for command, button in one.buttons.items():
        button.click()
        assert one.desk.done[-1] is command

    def resting():
        return {command for command, button in one.buttons.items() if button.disabled}

    back, on = {Command.FIRST_PLANE, Command.PREVIOUS_PLANE}, {Command.NEXT_PLANE, Command.LAST_PLANE}
    object_ = {Command.SEGMENT_OBJECT, Command.STOP_HERE}
    assert resting() == back | object_
    one.desk.session.handle(SetPlane(20))
    assert resting() == on | object_
    one.desk.session.handle(SetPlane(5))
    amend(one, prompts=(Point(5, 2, 2),))
    assert resting() == set()


def test_marks_lie_where_the_slider_has_the_planes(bar):
    one = bar()
    bitmap = np.zeros((9, 8, 8), bool)
    bitmap[[0, 1, 2, 6, 8], 2:4, 2:4] = True
    amend(
        one,
        prompts=(Point(17, 2, 2), Point(3, 2, 2), Stop(20)),
        proposals=(Candidate(Mask((2, 0, 0), bitmap), 0.9, "points"),),
    )
    strip = one.strip.value
    assert strip.count("msam-extent") == 3, "an object may have gaps"
    assert "left:7.50%;width:15.00%' title='planes 2 to 4: the object in hand'" in strip
    assert "left:14.50%" not in strip
    assert "left:12.50%;width:5.00%' title='plane 3: prompts'" in strip
    assert "left:97.50%;width:2.50%' title='plane 20: the object ends here'" in strip
    amend(one, prompts=(), proposals=())
    assert one.strip.value == "<div></div>"


def test_planes_with_prompts_are_listed_and_a_click_goes_there(bar):
    one = bar()
    assert one.prompted.value == ""
    amend(one, prompts=(Point(17, 2, 2), Point(3, 2, 2), Point(17, 3, 3), Stop(19)))
    shown = [button for button in one.listed if button.layout.display != "none"]
    assert [button.description for button in shown] == ["3", "17", "19"]
    assert [bool(button.icon) for button in shown] == [False, False, True]
    shown[1].click()
    assert one.desk.done == [("look at", 17, None, None)]
    amend(one, prompts=tuple(Point(plane, 2, 2) for plane in range(20)))
    assert len(one.listed) == 12
    assert "and 8 more" in one.prompted.value
    amend(one, prompts=())
    assert not any(button.layout.display != "none" for button in one.listed)
    shown[0].click()
    assert len(one.desk.done) == 1
