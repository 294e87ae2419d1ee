import json
import time

import numpy as np
import pytest

from microsam_nb.core import Lineage, Tracks, VoxelSize
from microsam_nb.session import Delete, Describe, LoadTracks, Merge, Orphan, Select, Undo
from microsam_nb.view import Command, colour_of
from microsam_nb.widgets import ObjectsPanel
from microsam_nb.widgets.panels import EVERYTHING


@pytest.fixture
def panel(desk):
    def make(labels, voxel_size=None):
        one = desk((1, *labels.shape))
        one.fill(labels)
        made = one.panel = ObjectsPanel(one.session, one.hands, voxel_size)
        made.desk = one
        made.show(EVERYTHING)
        return made

    return make


@pytest.fixture
def few():
    labels = np.zeros((40, 40), np.uint32)
    labels[2:4, 2:4], labels[10:20, 10:20], labels[30:33, 30:33] = 1, 2, 7
    return labels


def say(panel, **message):
    panel.table._handle_custom_msg(message, [])


def listed(panel):
    return [row[0] for row in panel.table.rows]


def test_it_lists_the_objects(panel, few):
    one = panel(few)
    one.desk.session.handle(Describe(2, name="a cell", category="dividing"))
    colour = "#{:02x}{:02x}{:02x}".format(*colour_of(2))
    assert one.table.rows[1] == [2, colour, "2", "100", "", "a cell", "dividing", ""]
    assert one.table.summary == "3 objects"


def test_sizes_in_the_real_world(panel, few):
    one = panel(few, VoxelSize(None, 0.5, 0.5))
    assert one.table.columns[1]["title"] == "Size (µm²)"
    assert [row[3] for row in one.table.rows] == ["1", "25", "2.25"]
    say(one, kind="filter", text="size > 2")
    assert listed(one) == [2, 7]


def test_sorting_by_a_click_and_backwards_by_another(panel, few):
    one = panel(few)
    say(one, kind="sort", key="area")
    assert listed(one) == [1, 7, 2]
    say(one, kind="sort", key="area")
    assert listed(one) == [2, 7, 1]
    assert one.table.sorting == ["area", True]
    say(one, kind="sort", key="nonsense")
    assert one.table.sorting == ["area", True]


def test_a_click_goes_there_and_with_shift_picks_several(panel, few):
    one = panel(few)
    say(one, kind="pick", label=7, more=False)
    assert one.desk.done == [("go to", 7)]
    one.desk.session.handle(Select((7,)))
    say(one, kind="pick", label=2, more=True)
    assert one.desk.session.selected == (7, 2)
    assert one.table.picked == [7, 2]
    assert "2 picked" in one.table.summary
    one.merge.click()
    assert one.desk.done[-1] == Merge((7, 2))
    assert listed(one) == [1, 7]


def test_what_is_picked_on_the_image_comes_into_sight(panel):
    labels = np.arange(1, 1601, dtype=np.uint32).reshape(40, 40)
    one = panel(labels)
    number = one.table.reveal[1]
    one.desk.session.handle(Select((1500,)))
    assert one.table.reveal == [1499, number + 1]
    assert 1500 in listed(one)


def test_names_and_classes_are_entered_in_place(panel, few):
    one = panel(few)
    say(one, kind="edit", label=7, key="name", text=" new ")
    say(one, kind="edit", label=7, key="category", text="dead")
    info = one.desk.session.infos[7]
    assert (info.name, info.category) == ("new", "dead")
    one.desk.session.handle(Undo())
    assert one.table.rows[2][6] == ""


def test_an_edit_of_an_object_that_has_gone_is_told(panel, few):
    one = panel(few)
    one.desk.session.handle(Delete((7,)))
    say(one, kind="edit", label=7, key="name", text="late")
    assert one.desk.session.notice.error
    assert "Use the number of a committed object" in one.desk.session.notice.text


def test_buttons_are_there_for_what_is_picked(panel, few):
    one = panel(few)
    assert one.delete.disabled
    assert one.improve.disabled
    assert one.merge.disabled
    one.desk.session.handle(Select((2,)))
    assert not one.delete.disabled
    assert not one.improve.disabled
    assert one.merge.disabled
    one.improve.click()
    one.delete.click()
    assert one.desk.done == [Command.IMPROVE, Command.DELETE]


def test_all_that_the_filter_leaves_can_be_picked(panel, few):
    one = panel(few)
    say(one, kind="filter", text="size<50")
    assert one.table.summary == "2 of 3 objects"
    one.pick_all.click()
    assert one.desk.session.selected == (1, 7)


def test_an_empty_table_says_what_to_do(panel):
    one = panel(np.zeros((5, 5), np.uint32))
    assert "Click on one in the image" in one.table.summary
    assert one.pick_all.disabled


def test_ten_thousand_objects(panel, monkeypatch):
    """Only rows in sight travel; a change sends little, and nothing where nothing changed."""
    labels = np.kron(np.arange(1, 10_001, dtype=np.uint32).reshape(100, 100), np.ones((3, 3), np.uint32))
    one = panel(labels)
    assert len(one.table.rows) <= 80
    assert len(json.dumps(one.table.rows)) < 8000
    say(one, kind="window", first=7000)
    assert {7001, 7020} <= set(listed(one))
    assert one.table.first <= 7000
    say(one, kind="window", first=9990)
    assert listed(one)[-1] == 10_000
    sent = []
    monkeypatch.setattr(type(one.table), "send_state", lambda self, key=None: sent.append(key))
    started = time.perf_counter()
    one.desk.session.handle(Delete((5,)))
    took = time.perf_counter() - started
    assert took < 2, "seconds would be felt; it takes about 0.05"
    assert one.table.total == 9999


@pytest.mark.parametrize(
    ("size", "title", "shown"),
    [
        (VoxelSize(0.5, 0.1, 0.2), "Size (µm³)", "0.08"),
        (VoxelSize(None, 0.1, 0.2), "Size", "8"),
        (None, "Size", "8"),
    ],
)
def test_objects_of_a_volume_have_planes_and_a_volume(desk, size, title, shown):
    one = desk((6, 8, 8))
    labels = np.zeros((6, 8, 8), np.uint32)
    labels[2:4, 1:3, 1:3], labels[5, 4:6, 4:6] = 1, 2
    one.fill(labels)
    made = one.panel = ObjectsPanel(one.session, one.hands, size)
    made.show(EVERYTHING)
    assert [column["title"] for column in made.table.columns] == [
        "Id", title, "Planes", "Score", "Name", "Class", "✓",
    ]  # fmt: skip
    assert [row[3:5] for row in made.table.rows] == [[shown, "2–3"], [f"{float(shown) / 2:.4g}", "5"]]
    say(made, kind="sort", key="planes")
    say(made, kind="sort", key="planes")
    assert listed(made) == [2, 1]


def test_tracks_with_frames_mother_and_daughters(desk):
    labels = np.zeros((6, 20, 20), np.uint32)
    labels[:3, 1:4, 1:4], labels[3:, 1:4, 1:4], labels[3:5, 8:12, 8:12] = 1, 2, 3
    one = desk((6, 20, 20), movie=True)
    made = one.panel = ObjectsPanel(one.session, one.hands)
    made.show(EVERYTHING)
    assert made.table.summary.startswith("No tracks yet")
    one.session.handle(LoadTracks.of(Tracks(labels, Lineage({1: (2, 3), 2: (), 3: ()}))))
    assert [column["title"] for column in made.table.columns][:4] == ["Track", "Frames", "Mother", "Daughters"]
    assert [row[2:6] for row in made.table.rows] == [
        ["1", "0–2", "", "2, 3"], ["2", "3–5", "1", ""], ["3", "3–4", "1", ""],
    ]  # fmt: skip
    assert made.table.summary == "3 tracks"
    one.session.handle(Orphan(3))
    assert [row[4:6] for row in made.table.rows] == [["", "2"], ["1", ""], ["", ""]], "also when no pixel changes"
    say(made, kind="sort", key="mother")
    assert listed(made) == [2, 1, 3]
