"""The panel of automatic segmentation: what is asked for, what is shown, and that nothing is asked twice."""

from __future__ import annotations

import time

import numpy as np
import pytest

from microsam_nb.core import Candidate, Mask
from microsam_nb.engine.automatic.settings import KINDS, DistanceSettings, GridSettings, Mode, PromptSettings
from microsam_nb.session import (
    AcceptCandidates,
    Automatic,
    FindAll,
    FitAll,
    Setting,
    Sketched,
    Suggested,
    Surveyed,
    Undo,
)
from microsam_nb.widgets import AutomaticPanel
from microsam_nb.widgets.panels import EVERYTHING

MODES = (("What suits the model", "auto"), ("Distances (AIS)", "ais"), ("Grid of points (AMG)", "amg"))


def settings(kind=DistanceSettings, **changes):
    """Settings as a session holds them."""
    values = {one.name: changes.get(one.name, one.default) for one in kind.describe()}
    return tuple(Setting(name, v if isinstance(v, bool | str) else float(v)) for name, v in values.items())


def candidates(count):
    return tuple(Candidate(Mask((0, 8 * i, 0), np.ones((1, 4, 4), bool)), 0.5, "ais") for i in range(count))


@pytest.fixture
def panel(desk):
    one = desk()
    made = one.panel = AutomaticPanel(one.session, one.hands, MODES, lambda mode: KINDS[Mode(mode)].describe())
    made.desk = one
    made.show(EVERYTHING)
    return made


def searches(panel):
    return [one for one in panel.desk.done if isinstance(one, FindAll)]


def answer(panel, count, automatic, scores=(), areas=()):
    """The engine answers the newest search."""
    session = panel.desk.session
    ticket = session._searches
    session.handle(Surveyed(ticket, automatic.mode, tuple(scores), tuple(areas)))
    session.handle(Suggested(ticket, candidates(count), automatic))


def found(panel, count=3, **changes):
    panel.find.click()
    answer(panel, count, Automatic("ais", settings(**changes)), [0.2, 0.6, 0.9, 0.95], [30, 300, 320, 900])


def test_before_a_search_there_is_a_button_and_no_form(panel):
    assert panel._results.layout.display == "none"
    assert panel.accept.disabled
    assert panel.fit.disabled
    panel.find.click()
    assert searches(panel) == [FindAll("auto", ())]


def test_what_was_found_brings_its_settings_and_histograms(panel):
    found(panel, min_size=40.0)
    assert panel._results.layout.display != "none"
    assert panel.count.value == "3 candidates"
    form = panel._forms["ais"]
    assert form.fields["min_size"].value == 40
    assert form.fields["foreground"].value == 0.5
    assert form.fields["center_distance"].value == 0.6
    assert not panel.accept.disabled
    low, high = panel.scores.selector.selected
    assert (low, high) == (0.0, 1.0)
    low, _ = panel.sizes.selector.selected
    assert low == pytest.approx(np.sqrt(40 * 4 / np.pi))
    assert len(searches(panel)) == 1, "showing values must not search again"


def test_a_slider_sketches_and_what_it_gives_is_kept_when_the_hand_rests(panel):
    found(panel)
    panel._forms["ais"].fields["foreground"].value = 0.7
    sketch = searches(panel)[-1]
    assert not sketch.final
    assert sketch.mode == "ais"
    assert Setting("foreground", 0.7) in sketch.options
    session = panel.desk.session
    session.handle(Sketched(session._searches, candidates(2)))
    assert panel.count.value == "2 candidates"
    for _ in range(100):
        if searches(panel)[-1].final:
            break
        time.sleep(0.05)
    assert searches(panel)[-1] == FindAll("ais", sketch.options, True)
    assert len(searches(panel)) == 3


def test_a_setting_that_needs_the_model_searches_at_once(panel):
    found(panel)
    panel._forms["ais"].fields["diameter"].value = 20.0
    assert searches(panel)[-1].final
    assert Setting("diameter", 20.0) in searches(panel)[-1].options


def test_ranges_of_the_histograms_are_settings(panel):
    found(panel)
    panel.scores.selector.selected = np.array([0.5, 1.0])
    assert Setting("min_score", 0.5) in searches(panel)[-1].options
    assert panel._forms["ais"].fields["min_score"].value == 0.5
    end = panel._histograms[1].edges[-1]
    panel.sizes.selector.selected = np.array([10.0, end / 2])
    options = {one.name: one.value for one in searches(panel)[-1].options}
    assert options["min_size"] == round(np.pi / 4 * 100)
    assert options["max_size"] == round(np.pi / 4 * (end / 2) ** 2)
    count = len(searches(panel))
    # The browser gives back what it was given, rounded to its pixels: nobody has dragged it.
    panel.sizes.selector.selected = np.array([10.0 + end / 1000, end / 2 - end / 1000])
    assert len(searches(panel)) == count


def test_another_method_has_its_own_form(panel):
    found(panel)
    panel.mode.value = "amg"
    assert searches(panel)[-1] == FindAll("amg", ())
    answer(panel, 2, Automatic("amg", settings(GridSettings, pred_iou=0.7)), [0.9], [40])
    assert panel._form.children == (panel._forms["amg"].box,)
    assert panel._forms["amg"].fields["pred_iou"].value == 0.7
    panel.find.click()
    assert searches(panel)[-1].mode == "amg"
    assert Setting("pred_iou", 0.7) in searches(panel)[-1].options


def test_every_kind_of_setting_has_a_field(panel):
    panel.find.click()
    answer(panel, 1, Automatic("apg", settings(PromptSettings)), [0.9], [40])
    fields = panel._forms["apg"].fields
    assert set(fields) == {one.name for one in PromptSettings.describe()}
    assert fields["prompt"].value == "region"
    fields["multimask"].value = True
    assert Setting("multimask", True) in searches(panel)[-1].options
    fields["prompt"].value = "point"
    assert Setting("prompt", "point") in searches(panel)[-1].options
    for one in PromptSettings.describe():
        assert one.help[:20] in fields[one.name].tooltip


def test_fitting_needs_objects_and_begins_with_the_present_settings(panel):
    found(panel)
    assert panel.fit.disabled
    panel.desk.session.handle(AcceptCandidates((0,)))
    assert not panel.fit.disabled
    panel.fit.click()
    assert panel.desk.done[-1] == FitAll("ais", settings())


def test_undo_brings_the_settings_back(panel):
    found(panel)
    panel.find.click()
    answer(panel, 2, Automatic("ais", settings(foreground=0.8)))
    assert panel._forms["ais"].fields["foreground"].value == 0.8
    panel.desk.session.handle(Undo())
    assert panel._forms["ais"].fields["foreground"].value == 0.5
    assert panel.count.value == "3 candidates"


def test_a_search_for_settings_is_plotted():
    from microsam_nb.engine.automatic.tuning import Trial, Tuning
    from microsam_nb.widgets import close_tree, plot_tuning

    trials = tuple(
        Trial(DistanceSettings(foreground=f, min_score=m), f * (1 - m)) for f in (0.3, 0.5) for m in (0.0, 0.5)
    )
    found = Tuning(("foreground", "min_score"), trials, trials[0], 2)
    box = plot_tuning(found)
    assert [one.marks[0].x.tolist() for one in box.children] == [[0.3, 0.5], [0.0, 0.5]]
    assert box.children[0].marks[0].y.tolist() == [0.3, 0.5]
    assert box.children[1].axes[0].label == "min score"
    close_tree(box)


def test_another_model_gets_only_what_was_changed_for_it(panel):
    found(panel, foreground=0.7)
    panel.desk.session.model = "another"
    panel._forms["ais"].fields["min_score"].value = 0.4
    assert searches(panel)[-1].options == (Setting("min_score", 0.4),)
    panel.mode.value = "amg"
    assert searches(panel)[-1] == FindAll("amg", ())


def test_what_a_slider_left_behind_does_not_take_the_place_of_what_comes_after(panel):
    found(panel)
    panel._forms["ais"].fields["foreground"].value = 0.7
    waits = panel._timer
    panel.mode.value = "amg"
    waits.join(20)
    assert searches(panel)[-1] == FindAll("amg", ())


def test_in_a_volume_all_planes_can_be_searched_and_settings_go_on_with_that(desk):
    one = desk((5, 96, 96))
    panel = one.panel = AutomaticPanel(one.session, one.hands, MODES, lambda mode: KINDS[Mode(mode)].describe())
    panel.desk = one
    panel.show(EVERYTHING)
    assert panel.find_volume in panel.box.children
    panel.find_volume.click()
    assert searches(panel) == [FindAll("auto", (), volume=True)]
    answer(panel, 3, Automatic("ais", settings(), volume=True), [0.2, 0.6], [30, 300])
    panel.show(EVERYTHING)
    panel._change({"min_size": 50})
    # While the hand moves only the plane on screen is shown; what is kept is of all planes again.
    assert searches(panel)[-1].volume is False
    assert searches(panel)[-1].final is False
    panel._keep(panel._timer)
    assert searches(panel)[-1].volume is True
    panel.find.click()
    assert searches(panel)[-1].volume is False


def test_one_plane_has_no_button_for_all_planes(panel):
    assert panel.find_volume not in panel.box.children


def test_in_a_movie_objects_are_found_in_one_frame_at_a_time(desk):
    one = desk((3, 96, 96), movie=True)
    made = one.panel = AutomaticPanel(one.session, one.hands, MODES, lambda mode: KINDS[Mode(mode)].describe())
    made.show(EVERYTHING)
    assert made.find_volume not in made.box.children
    assert made.find.description == "Find all cells of this frame"
