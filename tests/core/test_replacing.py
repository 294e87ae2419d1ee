"""A file is whole or not there, whatever happens while it is written."""

from __future__ import annotations

import errno
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from microsam_nb.core import FileError
from microsam_nb.core.replacing import replaced_whole
from microsam_nb.files.replacing import replacing


@pytest.mark.parametrize("writing", [replaced_whole, replacing])
def test_a_file_gets_its_name_when_it_is_whole(tmp_path, writing):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with writing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert [one.read_text() for one in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize(
    ("writing", "raised", "told"),
    [
        (replaced_whole, OSError(errno.ENOSPC, "full"), OSError),
        (replacing, OSError(errno.ENOSPC, "full"), FileError),
        (replaced_whole, KeyboardInterrupt(), KeyboardInterrupt),
        (replacing, KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_after_an_error_it_is_as_it_was(tmp_path, writing, raised, told):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write():
        with writing(path) as part:
            part.write_text("ne")
            raise raised

    with pytest.raises(told) as error:
        write()
    assert [one.read_text() for one in tmp_path.iterdir()] == ["old"]
    assert raised in (error.value, error.value.__cause__)


def test_threads_that_write_one_file_do_not_disturb_each_other(tmp_path):
    path, together = tmp_path / "a.json", threading.Barrier(2)

    def write(text):
        with replaced_whole(path) as part:
            part.write_text(text)
            together.wait(10)
            # Both have written, and neither has renamed.
            assert part.read_text() == text

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, ("one", "two")))
    assert path.read_text() in ("one", "two")
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]
