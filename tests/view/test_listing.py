import pytest

from microsam_nb.core import Box, Lineage, ObjectInfo
from microsam_nb.session import Row
from microsam_nb.view.listing import arrange


def row(label, area, score=None, name="", category=""):
    return Row(label, area, Box((0, 0, 0), (1, 1, 1)), ObjectInfo(score, name, category))


ROWS = [
    row(1, 50, 0.9, "cell 10", "alive"),
    row(2, 10, 0.5, "cell 9", "dead"),
    row(3, 30, None, "", "alive"),
    row(10, 20, 0.7, "Spot", ""),
]


def numbers(text="", key="label", down=False, pixel=1.0):
    return [one.label for one in arrange(ROWS, text, key, down, pixel)]


@pytest.mark.parametrize(
    ("key", "up", "down"),
    [
        ("label", [1, 2, 3, 10], [10, 3, 2, 1]),
        ("area", [2, 10, 3, 1], [1, 3, 10, 2]),
        ("score", [2, 10, 1, 3], [1, 10, 2, 3]),
        ("name", [2, 1, 10, 3], [10, 1, 2, 3]),
        ("category", [1, 3, 2, 10], [2, 1, 3, 10]),
    ],
)
def test_sorting(key, up, down):
    assert numbers(key=key) == up
    assert numbers(key=key, down=True) == down


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("", [1, 2, 3, 10]),
        ("cell", [1, 2]),
        ("CELL 9", [2]),
        ("alive", [1, 3]),
        ("10", [1, 10]),
        ("size<25", [2, 10]),
        ("size >= 30 alive", [1, 3]),
        ("area = 10", [2]),
        ("score<0.8", [2, 10]),
        ("id>2", [3, 10]),
        ("size<1.2.3", []),
        ("nothing like it", []),
        ("size<", []),
    ],
)
def test_filtering(text, left):
    assert numbers(text) == left


def test_sizes_are_compared_in_the_unit_shown():
    assert numbers("size<5", pixel=0.25) == [2]
    assert numbers("size<=5", pixel=0.25) == [2, 10]


def test_tracks_are_sorted_by_mother_and_by_how_many_daughters_they_have():
    lineage = Lineage({1: (), 2: (1,), 3: (), 10: (3,)})

    def sorted_by(key, down=False):
        return [one.label for one in arrange(ROWS, "", key, down, lineage=lineage)]

    assert sorted_by("mother") == [1, 3, 2, 10]
    assert sorted_by("mother", True) == [3, 1, 2, 10]
    assert sorted_by("daughters") == [2, 10, 1, 3]
    assert numbers(key="mother") == numbers(key="daughters") == [1, 2, 3, 10], "there are none without a lineage"
