"""The curve of agreement: lines, marks, doubtful planes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from microsam_nb.core import Candidate, Mask, Point, Stop
from microsam_nb.session import SetPlane
from microsam_nb.session.state import Agreement
from microsam_nb.widgets.curve import CurvePanel
from microsam_nb.widgets.panels import EVERYTHING


@pytest.fixture
def panel(desk):
    one = desk((10, 16, 16))
    made = one.panel = CurvePanel(one.session, one.hands)
    made.desk = one
    made.show(EVERYTHING)
    return made


def hold(panel, agreements, prompts=(), areas=()):
    """Put an object in hand whose slices agree so well, from plane 2 on."""
    sections = tuple(Agreement(0, 2 + i, value, 0.9 - i / 100) for i, value in enumerate(agreements))
    bitmap = np.zeros((len(agreements), 16, 16), bool)
    for i in range(len(agreements)):
        bitmap[i].ravel()[: areas[i] if areas else 50] = True
    proposals = (Candidate(Mask((2, 0, 0), bitmap), 0.9, "extended"),)
    session = panel.desk.session
    session.amend(replace(session.state, sections=sections, prompts=prompts, proposals=proposals))
    panel.show(EVERYTHING)


def listed(panel):
    return [int(one.description) for one in panel.listed if one.layout.display != "none"]


def test_without_an_object_it_says_how_to_get_one(panel):
    assert "Shift-S" in panel.caption.value
    assert listed(panel) == []


def test_lines_and_planes_with_prompts(panel):
    hold(panel, [0.9, 1.0, 0.95], (Point(3, 4, 4), Stop(9)))
    assert panel.agreement.x.tolist() == [2, 3, 4]
    assert panel.agreement.y.tolist() == [0.9, 1.0, 0.95]
    assert np.allclose(panel.score.y, [0.9, 0.89, 0.88])
    assert panel.prompts.x.tolist() == [3]
    assert "No plane is doubtful" in panel.caption.value


def test_doubtful_planes_are_listed_and_a_click_goes_there(panel):
    hold(panel, [0.5, 1.0, 0.65, 0.95, 0.95], (Point(3, 4, 4),), [50, 50, 50, 50, 150])
    assert listed(panel) == [2, 4, 6]
    assert "Plane 2: agreement 0.50" in panel.caption.value
    assert "area jumps 3.0 times" in panel.listed[2].tooltip
    panel.listed[1].click()
    assert panel.desk.done == [("look at", 4, None, None)]
    hold(panel, [0.95] * 5)
    assert listed(panel) == []
    panel.listed[1].click()
    assert len(panel.desk.done) == 1


def test_a_plane_with_prompts_is_not_doubtful(panel):
    hold(panel, [0.5, 0.95], (Point(2, 4, 4),))
    assert listed(panel) == []


def test_the_shown_plane_is_marked_and_a_click_on_the_curve_goes_to_a_plane(panel):
    hold(panel, [0.5, 0.95])
    panel.desk.session.handle(SetPlane(3))
    opacities = list(panel.bars.opacities)
    assert opacities[3] > opacities[2] > opacities[0] == 0
    assert panel.bars.colors[2] != panel.bars.colors[3]
    message = {"event": "element_click", "data": {"x": 7.0, "y": 1, "index": 7}}
    panel.bars._handle_custom_msgs(panel.bars, message)
    assert panel.desk.done == [("look at", 7, None, None)]


def test_of_several_objects_the_worst_counts(panel):
    session = panel.desk.session
    sections = (Agreement(0, 2, 0.95, 0.9), Agreement(1, 2, 0.6, 0.95), Agreement(1, 3, 0.95, 0.5))
    session.amend(replace(session.state, sections=sections))
    panel.show(EVERYTHING)
    assert panel.agreement.y.tolist() == [0.6, 0.95]
    assert panel.score.y.tolist() == [0.9, 0.5]
    assert listed(panel) == [2]
