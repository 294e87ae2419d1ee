"""Objects out of an annotator in every format, and into another one."""

import numpy as np
import pandas
import pytest

from microsam_nb import annotate_2d, annotate_3d
from microsam_nb.annotators import base
from microsam_nb.core import Candidate, FileError, Image, Mask, ObjectInfo
from microsam_nb.session import Describe

LABELS = np.zeros((40, 50), np.uint32)
LABELS[3:12, 4:20] = 1
LABELS[5:8, 8:12] = 0
LABELS[20:30, 10:30] = 2
PIXELS = (LABELS * 60 + 20).astype(np.uint8)


@pytest.fixture
def opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    some = []

    def opener(image, labels, door=annotate_2d):
        some.append(door(Image(image, name="cells"), labels=labels, project=False))
        return some[-1]

    yield opener
    for one in some:
        one.close()


@pytest.mark.parametrize("ending", [".zip", ".geojson", ".json", ".ome.zarr", ".tif"])
def test_objects_go_out_and_come_in_with_their_names(opened, ending):
    one = opened(PIXELS, LABELS)
    one.session.handle(Describe(2, name="zwei", category="round"))
    path = one.save(f"out{ending}")
    assert "2 objects are saved in" in one.session.notice.text
    assert str(path.absolute()) in one.session.notice.text
    other = opened(PIXELS, str(path))
    assert np.array_equal(other.labels, LABELS)
    known = other.session.infos.get(2, ObjectInfo())
    assert (known.name, known.category) == (("", "") if ending == ".tif" else ("zwei", "round"))


def test_names_that_came_with_labels_are_kept_in_the_project(opened, tmp_path):
    one = opened(PIXELS, LABELS)
    one.session.handle(Describe(2, name="zwei", category="round"))
    path = str(one.save("out.geojson"))
    for labels in (path, None):
        other = annotate_2d(PIXELS, labels=labels, project=tmp_path / "kept.msam")
        assert other.session.infos[2] == ObjectInfo(None, "zwei", "round")
        assert np.array_equal(other.labels, LABELS)
        other.close()


def test_the_table_as_csv_is_that_of_the_annotator(opened):
    one = opened(PIXELS, LABELS)
    table = pandas.read_csv(one.save("out.csv"))
    pandas.testing.assert_frame_equal(
        table.drop(columns=["name", "category", "score"]), one.table().drop(columns=["name", "category", "score"])
    )


def test_candidates_are_told_where_they_are(opened):
    one = opened(PIXELS, LABELS)
    found = Candidate(Mask.crop(np.pad(np.ones((4, 4), bool), 30)[:40, :50]), 0.75, "automatic")
    one.session.edit(one.session.state.emptied(candidates=(found,)))
    one.save("out.geojson")
    assert "1 candidate is there too" in one.session.notice.text
    one.save("out.csv")
    assert "1 candidate is not among them" in one.session.notice.text


@pytest.mark.parametrize("copied", [True, False])
def test_a_volume(opened, monkeypatch, copied):
    if not copied:
        monkeypatch.setattr(base, "_COPIED", 0)
    volume = np.stack([LABELS, LABELS * 0, LABELS[::-1]])
    one = opened(np.stack([PIXELS] * 3), volume, annotate_3d)
    for ending in (".zip", ".geojson", ".json", ".ome.zarr", ".tif"):
        other = opened(np.stack([PIXELS] * 3), str(one.save(f"out{ending}")), annotate_3d)
        assert np.array_equal(other.labels, volume)


def test_another_ending_is_told_all_endings(opened):
    one = opened(PIXELS, LABELS)
    with pytest.raises(FileError, match=r"\.geojson"):
        one.save("out.docx")
