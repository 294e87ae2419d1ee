"""One door to all formats of tracks."""

import pytest
from track_movies import family

from microsam_nb.core import FileError
from microsam_nb.files.tracks import TrackFormat, read_tracks, write_tracks

NAMES = {"ctc": "01_RES", "geff": "cells.zarr", "trackmate": "cells.xml", "csv": "cells.csv"}


@pytest.mark.parametrize("format", list(TrackFormat))
@pytest.mark.parametrize("said", [True, False])
def test_every_format_there_and_back(tmp_path, format, said):
    path = write_tracks(tmp_path / NAMES[format], family(), format if said else None)
    assert path == tmp_path / NAMES[format]
    assert read_tracks(str(path), str(format) if said else None) == family()
    assert not [one for one in tmp_path.iterdir() if ".part" in one.name]


def test_a_folder_is_known_by_what_it_holds(tmp_path):
    write_tracks(tmp_path / "a.result", family(), "ctc")
    assert read_tracks(tmp_path / "a.result") == family()


@pytest.mark.parametrize("ending", [".zarr", ".xml", ".csv"])
def test_a_folder_with_one_file_of_tracks(tmp_path, ending):
    write_tracks(tmp_path / f"tracks{ending}", family())
    assert read_tracks(tmp_path) == family()


def test_formats_that_do_not_exist(tmp_path):
    with pytest.raises(FileError, match="ctc, geff, trackmate, csv"):
        write_tracks(tmp_path / "a", family(), "mp4")
    with pytest.raises(FileError, match="TrackMate"):
        read_tracks(tmp_path / "a.mp4")
    with pytest.raises(FileError, match="res_track"):
        read_tracks(tmp_path / "none")


@pytest.mark.parametrize("format", list(TrackFormat))
def test_folders_that_cannot_be_written(tmp_path, format):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileError, match="Choose a"):
        write_tracks(tmp_path / "file" / NAMES[format], family())
