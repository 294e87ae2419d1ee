"""Seconds of work per object."""

from __future__ import annotations

import math

import pytest

from microsam_nb.annotators.annotation_times import annotation_times
from microsam_nb.core import FileError
from microsam_nb.session.records import Record, Status, write_record


def test_times_of_all_images_that_were_worked_on(tmp_path):
    for name, record in {
        "a": Record(Status.DONE, 4, 20.0, "nano"),
        "b": Record(Status.STARTED, 0, 3.0, "nano"),
        "c": Record(),
    }.items():
        (tmp_path / f"{name}.msam").mkdir()
        write_record(tmp_path / f"{name}.msam", record)
    first, second = annotation_times(tmp_path)
    assert (first.name, first.objects, first.seconds_per_object) == ("a", 4, 5.0)
    assert math.isnan(second.seconds_per_object)
    assert annotation_times(tmp_path / "a.msam") == [first]


def test_a_folder_without_times_says_what_has_them(tmp_path):
    with pytest.raises(FileError, match="annotate_series"):
        annotation_times(tmp_path)
