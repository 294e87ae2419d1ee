from microsam_nb.view.doubts import Doubt, doubts


def test_an_object_that_goes_on_well_raises_no_doubt():
    assert doubts({}, {}) == []
    assert doubts(dict.fromkeys(range(9), 0.95), {p: 100 + p for p in range(9)}) == []


def test_low_agreement_and_the_lowest_come_first():
    found = doubts({2: 0.92, 3: 0.65, 5: 0.4}, {})
    assert [one.plane for one in found] == [5, 3]
    assert found[0] == Doubt(5, "agreement 0.40")
    assert [one.plane for one in doubts({2: 0.92, 3: 0.85, 4: 0.88}, {})] == [3]


def test_a_jump_in_area_is_told_of_the_plane_that_was_carried():
    fine = dict.fromkeys((1, 2, 4, 5), 0.95)
    found = doubts(fine, {1: 100, 2: 110, 3: 100, 4: 250, 5: 260})
    assert found == [Doubt(4, "area jumps 2.5 times")]
    # Plane 3 has prompts: where its neighbour below is much smaller, that one is doubtful.
    assert [one.plane for one in doubts(fine, {1: 28, 2: 30, 3: 100, 4: 100})] == [2]


def test_a_few_pixels_and_gaps_are_no_jump():
    assert doubts(dict.fromkeys(range(5), 0.95), {0: 3, 1: 3, 2: 12, 3: 12, 4: 12}) == []
    assert doubts(dict.fromkeys((0, 1, 8, 9), 0.95), {0: 100, 1: 100, 5: 0, 8: 900, 9: 900}) == []


def test_the_ends_of_a_round_object_are_no_jump():
    assert doubts(dict.fromkeys(range(5), 0.95), {0: 40, 1: 160, 2: 200, 3: 150, 4: 30}) == []


def test_both_reasons_name_a_plane_once():
    assert [one.plane for one in doubts({1: 0.95, 2: 0.3}, {0: 100, 1: 100, 2: 900, 3: 900})] == [2]
