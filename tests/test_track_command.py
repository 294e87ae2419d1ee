"""The command that follows the cells of a movie, and microsam_nb.track."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
import tifffile
import zarr

import microsam_nb
from microsam_nb.__main__ import main
from microsam_nb.annotators import segment_files
from microsam_nb.annotators.track_files import as_movie, place_of
from microsam_nb.core import FileError, Image, ImageError, LabelError, ModelError, SettingsError
from microsam_nb.engine.link import Linker, LinkSettings, link
from microsam_nb.files.tracks import TrackFormat, read_tracks

#: The size of the drawn discs: nothing has to be measured.
SIZE = ("--diameter", "24")


def run(*arguments):
    return main(["track", *map(str, arguments)])


def names(folder):
    return sorted(one.name for one in folder.iterdir())


@pytest.fixture
def cells(tmp_path, drawn):
    """A movie of three frames in which the four discs go to the right by 3 pixels each time."""
    pixels = np.stack([np.roll(drawn.pixels, 3 * t, axis=1) for t in range(3)])
    tifffile.imwrite(tmp_path / "cells.tif", pixels, photometric="minisblack", metadata={"axes": "ZYX"})
    return tmp_path / "cells.tif"


@pytest.fixture
def labels(tmp_path, drawn):
    """Its labels, with other numbers in every frame."""
    volume = np.stack([np.roll((drawn.labels + t) * (drawn.labels > 0), 3 * t, axis=1) for t in range(3)])
    tifffile.imwrite(tmp_path / "labels.tif", volume.astype(np.uint16), photometric="minisblack")
    return tmp_path / "labels.tif"


# The command


def test_a_movie_becomes_tracks(tmp_path, cells, capsys):
    out = tmp_path / "out" / "01_RES"
    assert run(cells, "-o", out, *SIZE) == 0
    tracks = read_tracks(out)
    assert tracks.labels.shape == (3, 96, 96)
    assert tracks.spans == {1: (0, 2), 2: (0, 2), 3: (0, 2), 4: (0, 2)}
    assert names(out.parent) == ["01_RES"], "what was segmented is gone"
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("cells.tif: 3 frames of 96 x 96, 12 objects, 4 tracks, 0 divisions, 0 frames bridged, ")
    assert second == f"ctc: {out}"


@pytest.mark.parametrize(
    ("format", "files"),
    [
        ("ctc", ["mask000.tif", "mask001.tif", "mask002.tif", "res_track.txt"]),
        ("geff", ["tracks.zarr"]),
        ("trackmate", ["tracks.xml"]),
        ("csv", ["tracks.csv", "tracks.graph.json", "tracks.labels.tif"]),
    ],
)
def test_every_format_of_given_labels(tmp_path, cells, labels, format, files):
    assert run(cells, "-o", tmp_path / "new" / "out", "--format", format, "--labels", labels, "-q") == 0
    out = tmp_path / "new" / "out"
    assert [one for one in names(out) if "json" not in one] == [one for one in files if "json" not in one]
    path = out if format == "ctc" else out / files[0]
    assert read_tracks(path) == link(tifffile.imread(labels))


@pytest.mark.parametrize(("name", "format"), [("a.xml", "trackmate"), ("a.csv", "csv"), ("a.zarr", "geff")])
def test_the_ending_says_the_format(tmp_path, cells, labels, name, format):
    assert run(cells, "-o", tmp_path / name, "--labels", labels, "-q") == 0
    assert len(read_tracks(tmp_path / name, format).spans) == 4


def test_given_labels_are_not_written_over(tmp_path, cells, labels, capsys):
    before = labels.rename(tmp_path / "cells.labels.tif").read_bytes()
    assert run(cells, "-o", tmp_path / "cells.csv", "--labels", tmp_path / "cells.labels.tif") == 2
    assert "Choose another name" in capsys.readouterr().err
    assert (tmp_path / "cells.labels.tif").read_bytes() == before


def test_labels_may_be_a_folder_with_a_file_per_frame(tmp_path, cells, labels):
    (tmp_path / "frames").mkdir()
    for name, plane in zip((2, 10, 11), tifffile.imread(labels), strict=True):  # the last one by their letters is 2
        tifffile.imwrite(tmp_path / "frames" / f"{name}.tif", plane)
    assert run(cells, "-o", tmp_path / "out", "--labels", tmp_path / "frames", "-q") == 0
    assert read_tracks(tmp_path / "out") == link(tifffile.imread(labels))


def test_every_setting_of_linking_is_an_option(tmp_path, cells, labels, capsys):
    with pytest.raises(SystemExit):
        run("--help")
    said = capsys.readouterr().out
    for one in LinkSettings.describe():
        assert f"--{one.name.replace('_', '-')}" in said
    near = ("--distance-px", "2", "--overlap", "0", "--gap", "0", "--no-division")
    stops = tifffile.imread(labels)
    stops[1] = 0  # discs overlap from frame to frame, so only a jump over a gap is too far
    tifffile.imwrite(labels, stops, photometric="minisblack")
    assert run(cells, "-o", tmp_path / "out", "--labels", labels, *near, "-q") == 0
    assert len(read_tracks(tmp_path / "out").spans) == 8
    assert run(cells, "-o", tmp_path / "out", "--labels", labels, "--gap", "1", "--overwrite", "-q") == 0
    assert len(read_tracks(tmp_path / "out").gaps) == 4


def test_what_has_a_result_is_skipped(tmp_path, cells, labels, capsys):
    assert run(cells, "-o", tmp_path / "out", "--labels", labels) == 0
    before = os.stat(tmp_path / "out" / "res_track.txt").st_mtime_ns
    capsys.readouterr()
    assert run(cells, "-o", tmp_path / "out", "--labels", labels) == 0
    assert "skipped" in capsys.readouterr().out
    assert os.stat(tmp_path / "out" / "res_track.txt").st_mtime_ns == before
    assert run(cells, "-o", tmp_path / "out", "--labels", labels, "--overwrite", "-q") == 0
    assert os.stat(tmp_path / "out" / "res_track.txt").st_mtime_ns > before


def test_a_movie_without_objects(tmp_path, cells, labels, capsys):
    tifffile.imwrite(labels, np.zeros((3, 96, 96), np.uint8), photometric="minisblack")
    assert run(cells, "-o", tmp_path / "out", "--labels", labels) == 1
    assert "0 tracks" in capsys.readouterr().out
    assert read_tracks(tmp_path / "out").spans == {}


def test_one_frame(tmp_path, drawn):
    tifffile.imwrite(tmp_path / "one.tif", drawn.pixels)
    assert run(tmp_path / "one.tif", "-o", tmp_path / "out", *SIZE, "-q") == 0
    assert read_tracks(tmp_path / "out").spans == dict.fromkeys((1, 2, 3, 4), (0, 0))


# Interruptions


def _stopping(monkeypatch, after):
    """Ctrl-C when so many frames are done."""
    known = segment_files.segment_planes

    def planes(*given):
        for step in known(*given):
            yield step
            if step.done == after:
                raise KeyboardInterrupt

    monkeypatch.setattr(segment_files, "segment_planes", planes)


def test_an_interrupted_run_goes_on(tmp_path, cells, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        _stopping(patch, 2)
        assert run(cells, "-o", tmp_path / "out", *SIZE) == 130
    assert "Run the same command to go on" in capsys.readouterr().err
    assert "out" not in names(tmp_path), "nothing half-written"
    done = []
    known = segment_files.segment_planes

    def planes(segmenter, settings, out, ready):
        done.append(sorted(ready))
        yield from known(segmenter, settings, out, ready)

    monkeypatch.setattr(segment_files, "segment_planes", planes)
    assert run(cells, "-o", tmp_path / "out", *SIZE, "-q") == 0
    assert done == [[0, 1]]
    assert len(read_tracks(tmp_path / "out").spans) == 4
    assert names(tmp_path) == ["cells.tif", "out"]


def test_frames_that_are_segmented_are_linked_anew_with_other_settings(tmp_path, cells, monkeypatch):
    """Writing failed; the next run has all labels already, unless they were made with other settings."""
    count = []
    known = segment_files.segment_planes

    def planes(*given):
        count.append(1)
        yield from known(*given)

    def full(*given, **more):
        raise FileError("The disk is full.", "Free some space.")

    monkeypatch.setattr(segment_files, "segment_planes", planes)
    with monkeypatch.context() as patch:
        patch.setattr("microsam_nb.annotators.track_files.write_tracks", full)
        assert run(cells, "-o", tmp_path / "out", *SIZE, "-q") == 2
        assert run(cells, "-o", tmp_path / "out", *SIZE, "--gap", "0", "-q") == 2
        assert len(count) == 1
        assert run(cells, "-o", tmp_path / "out", *SIZE, "--min-size", "30", "-q") == 2
        assert len(count) == 2
    assert run(cells, "-o", tmp_path / "out", *SIZE, "--min-size", "30", "-q") == 0
    assert len(count) == 2


def test_a_folder_with_the_name_of_what_is_kept_is_left_alone(tmp_path, cells, capsys):
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "diary.txt").write_text("dear")
    assert run(cells, "-o", tmp_path / "out", *SIZE) == 2
    assert "choose another output" in capsys.readouterr().err
    assert (tmp_path / "out.part" / "diary.txt").read_text() == "dear"


# Mistakes


@pytest.mark.parametrize(
    ("more", "remedy"),
    [
        (["--format", "mp4"], "Use ctc, geff, trackmate, csv"),
        (["--format", "csv", "-o", "a.xml"], "Use a folder or an ending .csv"),
        (["--format", "ctc", "-o", "a.xml"], "Use a folder."),
        (["-o", "a.tif"], "Use a folder, or .zarr, .xml, .csv"),
        (["--gap", "99"], "from 0 to 20"),
        (["--mode", "magic"], "amg, ais, apg"),
        (["--halo", "3", "3"], "Give --tile"),
        (["--labels", "labels.tif", "--min-size", "3"], "Leave one of them out"),
        (["--labels", "none.tif"], "Check the name"),
        (["--labels", "short.tif"], "Give labels made for this image"),
        (["--labels", "empty"], "Give images of one size"),
        (["-o", "mine"], "Choose a new or an empty folder"),
        (["-o", "mine/diary.txt/out"], "Choose"),
        (["-o", "mine/diary.txt/out", "--format", "csv"], "Choose a folder that you may write to"),
    ],
)
def test_mistakes_are_said_in_one_line(tmp_path, cells, labels, more, remedy, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("short.tif", np.zeros((2, 96, 96), np.uint8), photometric="minisblack")
    for folder in ("mine", "empty"):
        (tmp_path / folder).mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    monkeypatch.setattr("microsam_nb.engine.automatic.segmenter.Segmenter.prepare", lambda *_: pytest.fail("too late"))
    assert run(cells, *([] if "-o" in more else ["-o", "out"]), *more) == 2
    said = capsys.readouterr().err
    assert remedy in said
    assert said.startswith("microsam-nb: ")
    assert len(said.splitlines()) == 1
    assert names(tmp_path / "mine") == ["diary.txt"]
    assert not (tmp_path / "out").exists()


def test_a_movie_that_is_not_there(tmp_path, capsys):
    assert run(tmp_path / "none.tif", "-o", tmp_path / "out") == 2
    assert "Check the name" in capsys.readouterr().err


def test_a_library_that_gives_up_is_said_in_one_line(tmp_path, cells, labels, monkeypatch, capsys):
    def broken(*_, **__):
        raise RuntimeError("kernel on fire")

    monkeypatch.setattr("microsam_nb.annotators.track_files.link_stepwise", broken)
    assert run(cells, "-o", tmp_path / "out", "--labels", labels) == 1
    assert "RuntimeError: kernel on fire" in capsys.readouterr().err


def test_trackastra_is_missed_before_anything_is_segmented(tmp_path, cells, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "trackastra", None)
    monkeypatch.setattr("microsam_nb.engine.automatic.segmenter.Segmenter.prepare", lambda *_: pytest.fail("too late"))
    assert run(cells, "-o", tmp_path / "out", "--linker", "trackastra") == 2
    assert "pip install trackastra" in capsys.readouterr().err


# The door


def test_track_of_an_array(drawn, cells, labels):
    pixels = tifffile.imread(cells)
    steps = []
    tracks = microsam_nb.track(pixels, diameter=24.0, gap=0, progress=steps.append)
    assert len(tracks.spans) == 4
    assert {step.unit for step in steps} == {"planes", "frames"}
    assert microsam_nb.track(str(cells), labels=labels) == link(tifffile.imread(labels))
    assert microsam_nb.track(pixels, labels=tifffile.imread(labels)) == link(tifffile.imread(labels))
    assert microsam_nb.track(drawn.pixels, labels=drawn.labels).spans == dict.fromkeys((1, 2, 3, 4), (0, 0))


def test_labels_from_zarr(tmp_path, cells, labels):
    zarr.save_array(tmp_path / "labels.zarr", tifffile.imread(labels))
    assert len(microsam_nb.track(cells, labels=tmp_path / "labels.zarr").spans) == 4


def test_track_says_what_is_wrong(cells, labels):
    with pytest.raises(SettingsError, match="Leave the labels or the settings out"):
        microsam_nb.track(cells, labels=labels, min_size=3)
    with pytest.raises(SettingsError, match="Use some of"):
        microsam_nb.track(cells, speed=3)
    with pytest.raises(LabelError, match="made for this image"):
        microsam_nb.track(cells, labels=np.zeros((3, 5, 5), int))
    with pytest.raises(ModelError, match="pip install trackastra"):
        microsam_nb.track(cells, labels=labels, linking=LinkSettings(linker=Linker.TRACKASTRA))


def test_the_first_axis_is_time_whatever_its_name():
    assert as_movie(Image(np.zeros((4, 6, 7)), "zyx")).axes == "tyx"
    assert as_movie(Image(np.zeros((4, 6, 7, 3)), "zyxc")).axes == "tyxc"
    assert as_movie(Image(np.zeros((6, 7, 3)), "yxc")).shape == (1, 6, 7)
    movie = Image(np.zeros((4, 6, 7)), "tyx")
    assert as_movie(movie) is movie


def test_a_huge_plane_is_no_movie(monkeypatch):
    monkeypatch.setattr("microsam_nb.core.image.LARGE", 10)
    with pytest.raises(ImageError, match="Give a movie"):
        as_movie(Image(np.zeros((6, 7)), "yx"))


def test_where_tracks_go(tmp_path):
    assert place_of(tmp_path / "a", None) == (tmp_path / "a", TrackFormat.CTC)
    assert place_of(tmp_path / "a", TrackFormat.GEFF) == (tmp_path / "a" / "tracks.zarr", TrackFormat.GEFF)
    assert place_of(tmp_path / "a.XML", None) == (tmp_path / "a.XML", TrackFormat.TRACKMATE)
    assert place_of(tmp_path / "day.1", None) == (tmp_path / "day.1", TrackFormat.CTC)
