import numpy as np
import pytest

from microsam_nb.core import Box, Image, ObjectInfo
from microsam_nb.core.suspects import Suspect
from microsam_nb.session import Check, Delete, LoadLabels, Merge, Relabel, Session, Undo
from microsam_nb.view.review import Review, intensities, place_of, with_surroundings


@pytest.fixture
def session():
    labels = np.zeros((1, 20, 60), np.uint32)
    for label in range(1, 6):
        labels[0, 5:15, 10 * label : 10 * label + 8] = 2 * label
    one = Session(labels.shape)
    one.handle(LoadLabels.of(labels))
    return one


@pytest.fixture
def review(session):
    one = Review(session)
    one.take([Suspect(4, 0.9, ()), Suspect(8, 0.8, ()), Suspect(2, 0.7, ()), Suspect(6, 0.01, ())])
    return one


def goes(review, count=1, back=False):
    found = [review.previous() if back else review.next() for _ in range(count)]
    return [one and one.label for one in found]


def test_the_worst_comes_first_and_what_looks_usual_never(review):
    assert (review.place, review.now) == ((0, 3), None)
    assert goes(review, 4) == [4, 8, 2, None]
    assert (review.place, review.now.label) == ((3, 3), 2)
    assert goes(review, 3, back=True) == [8, 4, None]
    assert goes(review, 2) == [8, 2]


def test_what_was_looked_at_stays_so_when_objects_are_judged_anew(review, session):
    goes(review, 1)
    assert not review.changed(4)
    session.handle(Merge((4, 2)))
    assert review.changed(4)
    review.take([Suspect(6, 0.95, ()), Suspect(4, 0.9, ()), Suspect(8, 0.8, ())])
    assert goes(review, 3) == [6, 8, None]
    assert review.place == (3, 3)


def test_what_is_gone_or_looks_right_is_left_out(review, session):
    session.handle(Delete((8,)))
    session.handle(Check((2,)))
    assert review.place == (0, 1)
    session.handle(Undo())
    assert session.infos.get(2) is None
    assert goes(review, 3) == [4, 2, None]
    session.handle(Delete((4,)))
    assert goes(review, 1, back=True) == [None]


def test_after_a_renumbering_numbers_mean_other_objects(review, session):
    goes(review, 1)
    session.handle(Relabel())
    assert review.judged(4) is None
    review.take([Suspect(4, 0.9, ())])
    assert goes(review) == [4]
    assert review.judged(4) == Suspect(4, 0.9, ())


def test_the_place_of_an_object_is_that_in_a_plane_of_it():
    labels = np.zeros((3, 9, 9), np.uint32)
    labels[0, 1:3, 1:3], labels[2, 4:8, 5:6] = 7, 7
    session = Session(labels.shape)
    session.handle(LoadLabels.of(labels))
    assert place_of(session, 7, 0).stop == (1, 3, 3)
    assert place_of(session, 7, 1).start == (2, 4, 5)


def test_a_crumb_is_shown_with_what_is_around_it(review):
    assert review.usual == 10
    crumb = with_surroundings(Box((1, 30, 0), (2, 33, 2)), 11, (3, 60, 90))
    assert (crumb.start, crumb.stop) == ((1, 26, 0), (2, 37, 7))
    large = Box((0, 5, 5), (1, 40, 40))
    assert with_surroundings(large, 11, (1, 60, 90)) == large


@pytest.mark.parametrize(
    ("shape", "axes"), [((4, 5), ""), ((4, 5, 3), "yxc"), ((2, 4, 5), "zyx"), ((2, 4, 5, 2), "zyxc")]
)
def test_objects_are_judged_by_the_mean_of_all_channels(shape, axes):
    pixels = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    found = intensities(Image(pixels, axes))
    expected = pixels.mean(-1) if axes.endswith("c") else pixels
    assert np.array_equal(found, expected.reshape(found.shape))
    assert found.ndim == 3


def test_an_image_that_is_too_large_is_not_read():
    assert intensities(Image(np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (20000, 20000), (0, 0)))) is None


def test_checked_and_class_of_several_objects_are_one_step(session):
    from microsam_nb.session import SetClass

    session.handle(SetClass((2, 4, 4), " A "))
    assert session.infos == {2: ObjectInfo(category="A"), 4: ObjectInfo(category="A")}
    assert session.notice.text == "2 objects are of class A now."
    session.handle(Check((2, 4)))
    assert session.notice.text == "2 objects look right."
    assert all(session.infos[n].checked for n in (2, 4))
    session.handle(Undo())
    session.handle(Undo())
    assert session.infos == {}
