"""Settings fitted to known objects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from microsam_nb.core import Image, LabelError, SettingsError
from microsam_nb.engine import load_model, open_store
from microsam_nb.engine.automatic import (
    DistanceSettings,
    GridSettings,
    Progress,
    PromptOf,
    PromptSettings,
    Segmenter,
    Tuning,
    prompts,
    segmenter,
    tune,
)
from microsam_nb.engine.automatic.maps import Scale
from microsam_nb.engine.automatic.tuning import GRIDS, Trial, best_iou, tuning
from microsam_nb.engine.training.distances import distance_targets

SHARP = DistanceSettings(
    smoothing_share=0.0, distance_smoothing=0.0, foreground_smoothing=0.0, min_size=0, diameter=20.0
)
BAD = replace(SHARP, foreground=0.99)
GRID = {"foreground": (0.5, 0.99), "center_distance": (0.1, 0.6)}


@pytest.fixture
def blurred(monkeypatch, drawn):
    """The decoder is never sure of the foreground; the planes that it was asked for."""
    seen = []

    def plane_maps(model, store, plane, zoom, region=None):
        seen.append(plane)
        maps = distance_targets(drawn.labels)
        maps[0] *= 0.9
        yield 1, 1, maps

    monkeypatch.setattr(segmenter, "plane_maps", plane_maps)
    monkeypatch.setattr(segmenter, "find_scale", lambda *_: iter([Scale(1.0, 20.0)]))
    return seen


def search(model, images, labels, start=BAD, grid=GRID, **options):
    return tune(model, images, labels, start=start, grid=grid, **options)


def test_better_settings_than_a_bad_start_are_found(random_nano, drawn, blurred):
    found = search(random_nano, [drawn.pixels], [drawn.labels])
    assert found.start == Trial(BAD, 0.0)
    assert found.best.score > 0.95
    assert found.settings.foreground == 0.5
    assert found.settings.diameter == 20.0, "what was not varied stays"
    assert [one.score for one in found.trials].count(0.0) == 2


def test_a_good_start_is_kept(random_nano, drawn, blurred):
    found = search(random_nano, [drawn.pixels], [drawn.labels], start=SHARP, grid={"foreground": (0.95, 0.99)})
    assert found.settings == SHARP
    assert found.best is found.start


def test_the_model_is_asked_once_for_each_plane(random_nano, drawn, blurred):
    found = search(random_nano, [drawn.pixels, np.stack([drawn.pixels] * 2)], [drawn.labels, [drawn.labels] * 2])
    assert blurred == [0, 0, 1]
    assert len(found.trials) == 4
    assert found.images == 3


def test_answers_are_asked_once_for_each_prompt(random_nano, drawn, blurred, monkeypatch):
    asked = []
    answer = prompts._answer

    def spy(model, store, view, some):
        asked.extend(some)
        return answer(model, store, view, some)

    monkeypatch.setattr(prompts, "_answer", spy)
    start = PromptSettings(smoothing_share=0, distance_smoothing=0, diameter=20.0, prompt=PromptOf.POINT, min_size=0)
    grid = {"center_distance": (0.4, 0.5, 0.6), "nms": (0.5, 0.9), "min_score": (0.0, 0.5)}
    found = search(random_nano, [drawn.pixels], [drawn.labels], start, grid)
    assert len(found.trials) == 12
    assert len(asked) == len(set(asked)) == 4


def test_a_grid_is_answered_once(monkeypatch, drawn):
    nano, count = load_model("nano", "cpu"), []
    find = segmenter.find_by_grid

    def spy(*arguments, **options):
        count.append(1)
        return find(*arguments, **options)

    monkeypatch.setattr(segmenter, "find_by_grid", spy)
    start = GridSettings(pred_iou=0.99, stability=0.7, box_nms=0.4, min_size=25, diameter=22.0)
    grid = {"pred_iou": (0.5, 0.7), "stability": (0.6, 0.8)}
    found = search(nano, [drawn.pixels], [drawn.labels], start, grid)
    assert len(count) == 1
    assert found.start.score < 0.2
    assert found.best.score > 0.7


def test_planes_without_objects_do_not_count(random_nano, drawn, blurred):
    volume, labels = np.stack([drawn.pixels] * 3), np.stack([drawn.labels, 0 * drawn.labels, drawn.labels])
    found = search(random_nano, [volume], [labels])
    assert (found.images, blurred) == (2, [0, 2])


def test_some_annotated_objects_suffice(random_nano, drawn, blurred):
    """Two of four objects are annotated: what is found beside them does no harm."""
    some = np.where(drawn.labels > 2, 0, drawn.labels)
    found = search(random_nano, [drawn.pixels], [some], partial=True)
    assert found.metric == "mean IoU"
    assert found.best.score > 0.95
    assert search(random_nano, [drawn.pixels], [some], grid={"foreground": (0.5,)}).best.score < 0.6


def test_the_mean_of_the_best_iou():
    truth = np.zeros((4, 10), np.int32)
    truth[0, :4], truth[2, :4], truth[3, 9] = 5, 7, 9
    found = np.zeros((4, 10), np.uint32)
    found[0, 2:6], found[2, :4], found[1, 8] = 3, 1, 2
    assert best_iou(truth, found) == pytest.approx((2 / 6 + 1 + 0) / 3)
    assert best_iou(truth, np.zeros((4, 10), np.uint32)) == 0.0
    assert best_iou(truth, truth) == 1.0


def test_objects_without_any_background_have_an_iou():
    truth = np.ones((4, 10), np.int32)
    assert best_iou(truth, np.ones((4, 10), np.uint32)) == 1.0


def test_the_start_is_that_of_the_model(random_nano, drawn, blurred):
    found = tune(random_nano, [drawn.pixels], [drawn.labels], grid={"min_size": (25, 300)})
    assert found.start.settings == DistanceSettings()
    assert found.settings.min_size == 25


def test_every_mode_has_a_grid_of_its_own_settings():
    for mode, kind in (("amg", GridSettings), ("ais", DistanceSettings), ("apg", PromptSettings)):
        own = kind()
        for name, values in GRIDS[mode].items():
            for value in values:
                replace(own, **{name: value})
            assert name not in own.costly()


def test_progress_counts_trials_and_the_result_comes_last(random_nano, drawn, blurred):
    own = Segmenter(random_nano, open_store(None, random_nano, Image(drawn.pixels)))
    *steps, last = tuning([own], [drawn.labels], SHARP, grid={"foreground": (0.3, 0.5)})
    assert [one for one in steps if one.unit == "trials"] == [Progress(n, 3, "trials") for n in (1, 2, 3)]
    assert steps[0].unit == "windows", "what the model does can be left between two steps too"
    assert isinstance(last, Tuning)


# What it says


@pytest.fixture
def result():
    trials = [Trial(replace(SHARP, foreground=a, center_distance=b), s)
              for a, b, s in ((0.3, 0.4, 0.5), (0.3, 0.6, 0.7), (0.5, 0.4, 0.25), (0.5, 0.6, 0.6))]  # fmt: skip
    return Tuning(("foreground", "center_distance"), tuple(trials), Trial(replace(SHARP, foreground=0.9), 0.125), 2)


def test_rows_begin_with_the_best(result):
    rows = result.rows()
    assert rows[0] == {"foreground": 0.3, "center_distance": 0.6, "mSA": 0.7}
    assert rows[-1] == {"foreground": 0.9, "center_distance": 0.6, "mSA": 0.125}
    assert len(rows) == 5


def test_curves_have_the_best_score_of_every_value(result):
    assert result.curves() == {
        "foreground": [(0.3, 0.7), (0.5, 0.6)],
        "center_distance": [(0.4, 0.5), (0.6, 0.7)],
    }


def test_a_line_says_what_was_found(result):
    assert str(result) == "foreground=0.3, center_distance=0.6: mSA 0.700 instead of 0.125, 2 images"


def test_a_table_shows_it_in_a_notebook(result):
    html = result._repr_html_()
    assert html.startswith(f"<p>{result}</p><table>")
    assert html.count("<tr>") == 6
    assert "<th>foreground</th><th>center_distance</th><th>mSA</th>" in html
    assert html.index("<td>0.7</td>") < html.index("<td>0.125</td>")


def test_words_and_switches_can_be_varied_and_shown(random_nano, drawn, blurred):
    start = PromptSettings(smoothing_share=0, distance_smoothing=0, diameter=20.0, min_size=0)
    grid = {"prompt": (PromptOf.BOX, PromptOf.POINT), "refine": (True, False)}
    found = search(random_nano, [drawn.pixels], [drawn.labels], start, grid)
    assert set(dict(found.curves()["prompt"])) == {PromptOf.BOX, PromptOf.POINT}
    assert "prompt=" in str(found)
    assert "<td>box</td>" in found._repr_html_()


# What is refused


@pytest.mark.parametrize("grid", [{"box_nms": (0.5,)}, {"foreground": ()}, {"size": (1,)}])
def test_a_grid_of_unknown_settings_is_refused(random_nano, drawn, grid):
    with pytest.raises(SettingsError) as error:
        search(random_nano, [drawn.pixels], [drawn.labels], grid=grid)
    assert "Use some of: boundary_distance, center_distance" in error.value.remedy


def test_values_out_of_range_are_refused(random_nano, drawn):
    with pytest.raises(SettingsError) as error:
        search(random_nano, [drawn.pixels], [drawn.labels], grid={"foreground": (0.5, 1.5)})
    assert "from 0.0 to 1.0" in error.value.remedy


@pytest.mark.parametrize(
    ("labels", "remedy"),
    [
        ([], "one for each image"),
        ([np.ones((96, 96), int)] * 2, "one for each image"),
        ([np.ones((96, 95), int)], "(planes, y, x) for a volume"),
        ([np.ones((2, 96, 96), int)], "(planes, y, x) for a volume"),
        ([np.zeros((96, 96), int)], "Annotate some objects first"),
    ],
)
def test_labels_that_do_not_fit_are_refused(random_nano, drawn, labels, remedy):
    with pytest.raises(LabelError) as error:
        search(random_nano, [drawn.pixels], labels)
    assert remedy in error.value.remedy


def test_nothing_to_learn_from_is_refused(random_nano):
    with pytest.raises(LabelError) as error:
        search(random_nano, [], [])
    assert "Annotate some objects first" in error.value.remedy


def test_an_unknown_mode_is_refused(random_nano, drawn):
    with pytest.raises(SettingsError) as error:
        tune(random_nano, [drawn.pixels], [drawn.labels], "watershed")
    assert "auto, amg, ais, apg" in error.value.remedy
