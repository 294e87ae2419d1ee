"""The command that finds all objects of files, and goes on after an interruption."""

from __future__ import annotations

import errno
import functools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

import microsam_nb
from microsam_nb.__main__ import main
from microsam_nb.annotators import segment_files, unfinished
from microsam_nb.core import Image, image
from microsam_nb.engine import load_model, open_store
from microsam_nb.engine.automatic import Kept, StitchSettings, segment, segmenter
from microsam_nb.engine.automatic import large as automatic_large
from microsam_nb.engine.automatic.maps import Scale
from microsam_nb.engine.automatic.settings import KINDS
from microsam_nb.engine.training.distances import distance_targets
from microsam_nb.files.labels import write_label_planes, write_labels

#: The size of the drawn discs: nothing has to be measured.
SIZE = ("--diameter", "24")


def run(*arguments):
    return main(["segment", *map(str, arguments)])


@pytest.fixture
def cells(tmp_path, drawn):
    tifffile.imwrite(tmp_path / "cells.tif", drawn.pixels)
    return tmp_path / "cells.tif"


@pytest.fixture
def volume(tmp_path, drawn):
    """The discs in three planes; the second lacks the lower half."""
    pixels = np.stack([drawn.pixels] * 3)
    pixels[1, 50:] = 30
    tifffile.imwrite(tmp_path / "stack.tif", pixels, photometric="minisblack", metadata={"axes": "ZYX"})
    return tmp_path / "stack.tif"


@pytest.fixture
def jobs(monkeypatch, nano):
    """What would be done: (path, output, job, embeddings) for every image; nano is loaded once for all."""
    seen = []
    monkeypatch.setattr("microsam_nb.engine.load.load_model", lambda *_, **__: nano)

    def segment_file(path, output, job, embeddings=None, told=None):
        seen.append((path, output, job, embeddings))
        return segment_files.Segmented(path, output, (1, 9, 9), 3, 0.5, "ais")

    monkeypatch.setattr(segment_files, "segment_file", segment_file)
    return seen


def names(folder):
    return sorted(one.name for one in folder.iterdir())


# One image


def test_an_image_becomes_labels(tmp_path, cells, drawn, capsys):
    out = tmp_path / "labels.tif"
    assert run(cells, "-o", out, *SIZE) == 0
    labels = tifffile.imread(out)
    assert (labels.dtype, labels.shape, labels.max()) == (np.uint16, (96, 96), 4)
    assert np.array_equal(labels, segment(drawn.pixels, "nano", diameter=24.0))
    assert names(tmp_path) == ["cells.tif", "labels.tif"]
    said = capsys.readouterr()
    assert said.err == "", "no bar where nobody watches"
    head, _, columns, row = said.out.splitlines()
    assert head.startswith("nano, mode ais")
    assert columns.split() == ["image", "planes", "size", "objects", "seconds", "labels"]
    assert row.split()[:6] == ["cells.tif", "1", "96", "x", "96", "4"]
    assert row.endswith(str(out))


def test_quiet_says_nothing(tmp_path, cells, capsys):
    assert run(cells, "-o", tmp_path / "a.tif", "-q", *SIZE) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("mode", ["amg", "ais", "apg"])
def test_every_mode_finds_the_objects(tmp_path, cells, mode):
    assert run(cells, "-o", tmp_path / "a.tif", "--mode", mode, "-q", *SIZE) == 0
    assert tifffile.imread(tmp_path / "a.tif").max() == 4


def test_an_image_becomes_a_zarr_array(tmp_path, cells):
    assert run(cells, "-o", tmp_path / "a.tif", "-q", *SIZE) == 0
    assert run(cells, "-o", tmp_path / "a.zarr", "-q", *SIZE) == 0
    found = zarr.open_array(tmp_path / "a.zarr", mode="r")
    assert (found.dtype, found.metadata.dimension_names) == (np.uint32, ("y", "x"))
    assert np.array_equal(found[...], tifffile.imread(tmp_path / "a.tif"))
    assert names(tmp_path) == ["a.tif", "a.zarr", "cells.tif"]


def test_a_volume_of_one_plane_stays_one(tmp_path, drawn):
    np.save(tmp_path / "one.npy", drawn.pixels[None])
    assert run(tmp_path / "one.npy", "-o", tmp_path / "a.tif", "-q", *SIZE) == 0
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.asarray(squeeze=False).shape[-3:] == (1, 96, 96)
        assert file.asarray().max() == 4
    assert run(tmp_path / "one.npy", "-o", tmp_path / "a.zarr", "-q", *SIZE) == 0
    assert zarr.open_array(tmp_path / "a.zarr").shape == (1, 96, 96)


def test_the_array_of_a_zarr_group(tmp_path, drawn):
    group = zarr.open_group(tmp_path / "v.zarr", mode="w")
    group.create_array("raw", data=drawn.pixels)
    group.create_array("other", data=np.zeros((5, 5), np.uint8))
    assert run(tmp_path / "v.zarr", "--key=raw", "-o", tmp_path / "a.tif", "-q", *SIZE) == 0
    assert tifffile.imread(tmp_path / "a.tif").max() == 4


# Several images


@pytest.fixture
def folder(tmp_path, drawn):
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a.tif", drawn.pixels)
    tifffile.imwrite(tmp_path / "in" / "b.tif", drawn.pixels[:, ::-1])
    (tmp_path / "in" / "notes.txt").write_text("mine")
    return tmp_path / "in"


@pytest.mark.parametrize("what", [".", "*.tif"])
def test_a_folder_and_a_pattern(tmp_path, folder, what):
    assert run(folder / what, "-o", tmp_path / "out", "-q", *SIZE) == 0
    assert names(tmp_path / "out") == ["a.tif", "b.tif"]
    assert tifffile.imread(tmp_path / "out" / "b.tif").max() == 4


def test_a_folder_of_zarr_arrays(tmp_path, folder):
    assert run(folder, "-o", tmp_path / "out", "--zarr", "-q", *SIZE) == 0
    assert names(tmp_path / "out") == ["a.zarr", "b.zarr"]


def test_images_that_have_a_result_are_skipped(tmp_path, folder, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.tif").write_bytes(b"mine")
    assert run(folder, "-o", tmp_path / "out", *SIZE) == 0
    assert (tmp_path / "out" / "a.tif").read_bytes() == b"mine"
    rows = capsys.readouterr().out.splitlines()[3:]
    assert rows[0].split(maxsplit=1) == ["a.tif", "skipped: there is a result; --overwrite makes it anew"]
    assert rows[1].split()[5] == "4"
    assert run(folder, "-o", tmp_path / "out", "--overwrite", "-q", *SIZE) == 0
    assert tifffile.imread(tmp_path / "out" / "a.tif").max() == 4


def test_zarr_results_are_skipped_and_overwritten(tmp_path, cells):
    out = tmp_path / "a.zarr"
    assert run(cells, "-o", out, "-q", *SIZE) == 0
    assert run(cells, "-o", out, "-q", "--min-size", 300, *SIZE) == 0
    assert zarr.open_array(out)[...].max() == 4
    assert run(cells, "-o", out, "-q", "--min-size", 300, "--overwrite", *SIZE) == 0
    assert zarr.open_array(out)[...].max() == 2
    assert names(tmp_path) == ["a.zarr", "cells.tif"]


def test_a_broken_image_fails_alone(tmp_path, folder, capsys):
    (folder / "aa.tif").write_bytes(b"rubbish")
    assert run(folder, "-o", tmp_path / "out", *SIZE) == 1
    said = capsys.readouterr()
    assert names(tmp_path / "out") == ["a.tif", "b.tif"]
    assert said.err.count("\n") == 1
    assert "aa.tif" in said.err
    assert "Save it again" in said.err
    assert [line.split()[1] for line in said.out.splitlines()[3:]] == ["1", "failed", "1"]


def test_every_image_has_a_store_of_its_own(tmp_path, folder, jobs):
    assert run(folder, "-o", tmp_path / "out", "-e", tmp_path / "stores/", "-q") == 0
    assert [one[3] for one in jobs] == [str(tmp_path / "stores" / name) for name in ("a.zarr", "b.zarr")]
    assert run(folder / "a.tif", "-o", tmp_path / "a.tif", "-e", tmp_path / "s.zarr", "-q") == 0
    assert jobs[-1][3] == str(tmp_path / "s.zarr")


# Settings


def other_than_default(one):
    if issubclass(one.kind, bool):
        return not one.default, [f"--{'no-' if one.default else ''}{one.name.replace('_', '-')}"]
    if issubclass(one.kind, Enum):
        value = next(member for member in one.kind if member is not one.default)
        return value, [f"--{one.name.replace('_', '-')}", str(value.value)]
    value = one.low + 1 if one.kind is int else (one.low + one.high) / 2 + 0.125
    if value == one.default:
        value += 1
    return value, [f"--{one.name.replace('_', '-')}", str(value)]


SETTINGS = [(str(mode), one) for mode, kind in KINDS.items() for one in kind.describe()]


@pytest.mark.parametrize(("mode", "one"), SETTINGS, ids=lambda part: part if isinstance(part, str) else part.name)
def test_every_setting_is_an_option(cells, tmp_path, jobs, mode, one):
    value, words = other_than_default(one)
    assert run(cells, "-o", tmp_path / "a.tif", "-q", "--mode", mode, *words) == 0
    ((_, _, job, _),) = jobs
    assert type(job.settings) is KINDS[mode]
    assert getattr(job.settings, one.name) == value
    # The others are those that suit the model.
    plain = segment_files.Job(job.model, mode).settings
    assert job.settings == replace(plain, **{one.name: value})


@pytest.mark.parametrize("one", StitchSettings.describe(), ids=lambda one: one.name)
def test_every_setting_of_joining_is_an_option(cells, tmp_path, jobs, one):
    value, words = other_than_default(one)
    assert run(cells, "-o", tmp_path / "a.tif", "-q", *words) == 0
    assert jobs[0][2].stitching == replace(StitchSettings(), **{one.name: value})


def test_the_rest_of_the_options_reach_the_job(cells, tmp_path, jobs):
    words = ["--tile", "64", "32", "--batch", "7", "--axes", "yx", "--key", "raw", "--no-stitch"]
    assert run(cells, "-o", tmp_path / "a.tif", "-q", *words) == 0
    job = jobs[0][2]
    assert (job.tiling.tile, job.tiling.halo, job.batch, job.axes, job.key) == ((64, 32), (8, 4), 7, "yx", "raw")
    assert job.stitching is None


def test_a_setting_changes_the_labels(tmp_path, cells):
    assert run(cells, "-o", tmp_path / "a.tif", "-q", "--min-size", 300, *SIZE) == 0
    assert tifffile.imread(tmp_path / "a.tif").max() == 2
    assert run(cells, "-o", tmp_path / "b.tif", "-q", "--max-size", 300, *SIZE) == 0
    assert tifffile.imread(tmp_path / "b.tif").max() == 2


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (["--mode", "ais", "--box-nms", "0.5"], "Use some of: diameter, foreground"),
        (["--mode", "ais", "--prompt", "box"], "Use some of: diameter, foreground"),
        (["--mode", "amg", "--foreground", "0.5"], "Use some of: diameter, points_per_side"),
        (["--foreground", "1.5"], "from 0.0 to 1.0"),
        (["--beta", "2"], "from 0.01 to 0.99"),
        (["--mode", "watershed"], "auto, amg, ais, apg"),
        (["--halo", "4", "4"], "Give --tile as well"),
        (["--batch", "0"], "--batch 1 or more"),
        (["--tile", "0", "4"], "at least 1 px"),
        (["--model", "nan"], "nano"),
    ],
)
@pytest.mark.parametrize("output", ["a.tif", "out"])
def test_a_wrong_command(tmp_path, cells, options, remedy, output, capsys):
    assert run(cells, "-o", tmp_path / output, *options) == 2
    said = capsys.readouterr()
    assert remedy in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert names(tmp_path) == ["cells.tif"]


def test_outputs_that_are_not_possible(tmp_path, cells, folder, capsys):
    for arguments, remedy in (
        ([folder, "-o", tmp_path / "a.tif"], "Name a folder"),
        ([cells, "-o", tmp_path / "a.png"], "Use .tif, .zarr, or a folder"),
        ([cells, "-o", cells, "--overwrite"], "Choose another name or folder"),
        ([folder, "-o", folder, "--overwrite"], "Choose another name or folder"),
        ([tmp_path / "none*.tif", "-o", tmp_path / "out"], "Check the name"),
    ):
        assert run(*arguments) == 2
        assert remedy in capsys.readouterr().err
    assert names(tmp_path) == ["cells.tif", "in"]


def test_a_folder_that_is_no_result_is_not_touched(tmp_path, cells, capsys):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "mine.txt").write_text("mine")
    assert run(cells, "-o", tmp_path / "a.zarr", "--overwrite", *SIZE) == 1
    assert "Choose another name" in capsys.readouterr().err
    assert names(tmp_path / "a.zarr") == ["mine.txt"]


def test_a_store_of_embeddings_is_not_overwritten(tmp_path, cells, capsys):
    assert main(["embed", str(cells), "-o", str(tmp_path / "e.zarr"), "-q"]) == 0
    assert run(cells, "-o", tmp_path / "e.zarr", "--overwrite", *SIZE) in (1, 2)
    assert "Choose another name" in capsys.readouterr().err
    assert open_store(tmp_path / "e.zarr").complete


@pytest.mark.parametrize("ending", [".tif", ".zarr"])
def test_a_full_disk_is_said_in_a_sentence(tmp_path, folder, volume, capsys, monkeypatch, ending):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    create = unfinished.zarr.create_array
    monkeypatch.setattr(
        unfinished.zarr,
        "create_array",
        lambda where, **options: fail() if "stack" in str(where) else create(where, **options),
    )
    words = [volume, folder / "a.tif", "-o", tmp_path / "out", *SIZE, *(["--zarr"] if ending == ".zarr" else [])]
    assert run(*words) == 1
    assert "No space left" in capsys.readouterr().err
    assert f"a{ending}" in names(tmp_path / "out")


def test_a_folder_that_is_not_there_is_said_before_work(tmp_path, cells, capsys, monkeypatch):
    monkeypatch.setattr(segment_files, "open_store", None)
    assert run(cells, "-o", tmp_path / "none" / "a.tif") == 1
    assert "make it first" in capsys.readouterr().err


def without_decoder(monkeypatch):
    model = replace(load_model("nano"), distances=None)
    monkeypatch.setattr("microsam_nb.engine.load.load_model", lambda *_, **__: model)


@pytest.mark.parametrize("mode", ["ais", "apg"])
def test_a_model_without_decoder_names_models_that_have_one(tmp_path, cells, capsys, monkeypatch, mode):
    without_decoder(monkeypatch)
    # A model of the wrong kind is wrong for every image: the command is.
    assert run(cells, "-o", tmp_path / "a.tif", "--mode", mode) == 2
    said = capsys.readouterr().err
    assert "nano, vit_t_lm, vit_b_lm" in said
    assert "--mode amg" in said or "mode 'amg'" in said


def test_a_model_without_decoder_finds_objects_by_a_grid(tmp_path, cells, monkeypatch):
    without_decoder(monkeypatch)
    assert run(cells, "-o", tmp_path / "a.tif", "-q") == 0
    assert tifffile.imread(tmp_path / "a.tif").max() >= 1


# Volumes


def test_a_volume_becomes_objects_in_both_formats(tmp_path, volume, capsys):
    assert run(volume, "-o", tmp_path / "a.tif", *SIZE) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.split()[:6] == ["stack.tif", "3", "96", "x", "96", "6"]
    assert run(volume, "-o", tmp_path / "a.zarr", "-q", *SIZE) == 0
    labels, found = tifffile.imread(tmp_path / "a.tif"), zarr.open_array(tmp_path / "a.zarr")
    assert (labels.shape, labels.dtype) == ((3, 96, 96), np.uint16)
    assert (found.dtype, found.metadata.dimension_names) == (np.uint32, ("z", "y", "x"))
    assert np.array_equal(found[...], labels)
    # The two upper discs are in all planes, the lower ones in the first and the last.
    assert labels.max() == 6
    assert len({int(one) for one in labels[:, 24, 26]}) == 1
    assert labels[0, 70, 40] != labels[2, 70, 40]
    assert names(tmp_path) == ["a.tif", "a.zarr", "stack.tif"]


@pytest.mark.parametrize("ending", [".tif", ".zarr"])
def test_planes_may_stay_as_they_are(tmp_path, volume, ending, capsys):
    assert run(volume, "-o", tmp_path / f"a{ending}", "--no-stitch", *SIZE) == 0
    found = tifffile.imread(tmp_path / "a.tif") if ending == ".tif" else zarr.open_array(tmp_path / "a.zarr")[...]
    assert found.max((1, 2)).tolist() == [4, 2, 4]
    assert capsys.readouterr().out.splitlines()[-1].split()[5] == "10"


def test_frames_of_a_movie_are_not_joined(tmp_path, drawn):
    np.save(tmp_path / "movie.npy", np.stack([drawn.pixels[::-1], drawn.pixels]))
    assert run(tmp_path / "movie.npy", "-o", tmp_path / "a.tif", "-q", "--axes", "tyx", *SIZE) == 0
    labels = tifffile.imread(tmp_path / "a.tif")
    assert labels.max((1, 2)).tolist() == [4, 4]
    assert np.array_equal(labels[1], segment(drawn.pixels, "nano", diameter=24.0))


@pytest.mark.parametrize("mode", ["amg", "apg"])
def test_a_volume_in_the_other_modes(tmp_path, volume, mode):
    assert run(volume, "-o", tmp_path / "a.tif", "-q", "--mode", mode, *SIZE) == 0
    assert tifffile.imread(tmp_path / "a.tif").max() == 6


def test_joining_is_changed_by_its_settings(tmp_path, volume):
    assert run(volume, "-o", tmp_path / "a.tif", "-q", "--min-extent", 3, *SIZE) == 0
    assert tifffile.imread(tmp_path / "a.tif").max() == 2


# Interrupted


@pytest.fixture
def stopping(monkeypatch):
    """``stopping(count)``: Ctrl-C when so many planes or blocks are done, before or after that is written down."""

    def after(count, name="segment_planes", before=False):
        own = getattr(segment_files, name)

        def stop(*arguments, **options):
            for step in own(*arguments, **options):
                if before and step.done >= count:
                    raise KeyboardInterrupt
                yield step
                if step.done >= count:
                    raise KeyboardInterrupt

        monkeypatch.setattr(segment_files, name, stop)

    return after


@pytest.fixture
def looked(monkeypatch):
    """The planes that the model looks at."""
    seen = []
    own = segmenter.plane_maps

    def plane_maps(model, store, plane, *others):
        seen.append(plane)
        return own(model, store, plane, *others)

    monkeypatch.setattr(segmenter, "plane_maps", plane_maps)
    return seen


@pytest.mark.parametrize("ending", [".tif", ".zarr"])
def test_an_interrupted_volume_is_gone_on_with(tmp_path, volume, stopping, monkeypatch, capsys, ending, looked):
    assert run(volume, "-o", tmp_path / "whole.tif", "-q", *SIZE) == 0
    out = tmp_path / f"a{ending}"
    stopping(2)
    assert run(volume, "-o", out, *SIZE) == 130
    assert "Run the same command to go on" in capsys.readouterr().err
    assert not out.exists()
    assert (tmp_path / f"a{ending}.part").is_dir()
    monkeypatch.setattr(segment_files, "segment_planes", microsam_nb.engine.automatic.segment_planes)
    looked.clear()
    assert run(volume, "-o", out, "-q", *SIZE) == 0
    assert looked == [2]
    found = tifffile.imread(out) if ending == ".tif" else zarr.open_array(out)[...]
    assert np.array_equal(found, tifffile.imread(tmp_path / "whole.tif"))
    assert not (tmp_path / f"a{ending}.part").exists()


@pytest.mark.parametrize("change", ["setting", "image", "damage"])
def test_what_was_begun_otherwise_is_begun_anew(tmp_path, volume, stopping, monkeypatch, looked, change):
    out = tmp_path / "a.tif"
    stopping(2)
    assert run(volume, "-o", out, "-q", *SIZE) == 130
    monkeypatch.setattr(segment_files, "segment_planes", microsam_nb.engine.automatic.segment_planes)
    looked.clear()
    options = ["--min-size", 300] if change == "setting" else []
    if change == "image":
        pixels = tifffile.imread(volume)
        tifffile.imwrite(volume, pixels[:, ::-1], photometric="minisblack", metadata={"axes": "ZYX"})
    if change == "damage":
        (tmp_path / "a.tif.part" / "progress.json").write_text("{")
    assert run(volume, "-o", out, "-q", *SIZE, *options) == 0
    assert looked == [0, 1, 2]
    assert run(volume, "-o", tmp_path / "b.tif", "-q", *SIZE, *options) == 0
    assert np.array_equal(tifffile.imread(out), tifffile.imread(tmp_path / "b.tif"))


def test_labels_that_got_lost_are_made_again(tmp_path, volume, stopping, monkeypatch):
    """The list of the planes that are done is there, the planes are not."""
    assert run(volume, "-o", tmp_path / "whole.tif", "-q", *SIZE) == 0
    stopping(2)
    assert run(volume, "-o", tmp_path / "a.tif", "-q", *SIZE) == 130
    monkeypatch.setattr(segment_files, "segment_planes", microsam_nb.engine.automatic.segment_planes)
    (tmp_path / "a.tif.part" / "labels").rename(tmp_path / "lost")
    assert run(volume, "-o", tmp_path / "a.tif", "-q", *SIZE) == 0
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), tifffile.imread(tmp_path / "whole.tif"))


def test_an_interrupt_leaves_what_can_be_gone_on_with(tmp_path, weights):
    pixels = np.random.default_rng(0).integers(0, 255, (250, 40, 40)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "v.tif", pixels, photometric="minisblack")
    root = Path(microsam_nb.__file__).parents[1]
    command = [sys.executable, "-m", "microsam_nb", "segment", "v.tif", "-o", "a.zarr", "-m", weights, *SIZE]
    victim = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores Ctrl-C, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    progress, end = tmp_path / "a.zarr.part" / "progress.json", time.monotonic() + 120

    def done():
        return json.loads(progress.read_text())["state"].get("planes", []) if progress.exists() else []

    while not done() and victim.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    victim.send_signal(signal.SIGINT)
    _, said = victim.communicate(timeout=60)
    assert victim.returncode == 130, said
    assert "Run the same command to go on" in said
    assert "Traceback" not in said
    planes = done()
    assert 0 < len(planes) < 250
    labels = zarr.open_array(tmp_path / "a.zarr.part" / "labels")
    model = load_model(weights)
    store = open_store(None, model, Image(tifffile.imread(tmp_path / "v.tif")))
    own = segmenter.Segmenter(model, store)
    settings = segment_files.Job(model, options={"diameter": 24.0}).settings
    for plane in planes[::60] + planes[-1:]:
        list(own.prepare(plane, settings))
        assert np.array_equal(labels[plane], own.labels(plane, settings))


# Labels of many objects


@pytest.mark.parametrize("count", [2**16 - 1, 2**16])
def test_many_objects_need_more_bits(tmp_path, count):
    labels = np.zeros((300, 300), np.uint32)
    labels.reshape(-1)[:count] = np.arange(1, count + 1)
    write_labels(tmp_path / "a.tif", labels)
    write_label_planes(tmp_path / "b.tif", labels)
    for name in ("a.tif", "b.tif"):
        assert np.array_equal(tifffile.imread(tmp_path / name), labels)
    assert tifffile.imread(tmp_path / "a.tif").dtype == (np.uint16 if count < 2**16 else np.uint32)
    assert tifffile.imread(tmp_path / "b.tif").dtype == np.uint32


@pytest.mark.parametrize("shape", [(1, 1), (512, 512), (700, 1100), (513, 3)])
def test_large_labels_are_written_in_tiles(tmp_path, shape):
    labels = np.random.default_rng(0).integers(0, 2**32, shape, np.uint32)
    array = zarr.create_array(tmp_path / "a", shape=shape, chunks=tuple(min(200, n) for n in shape), dtype=np.uint32)
    array[...] = labels
    write_label_planes(tmp_path / "a.tif", array)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff
        assert file.pages[0].is_tiled
        assert file.series[0].axes == "YX"
        assert np.array_equal(file.asarray(), labels)
    assert names(tmp_path) == ["a", "a.tif"]


# Large planes


@pytest.fixture
def large(tmp_path, drawn, monkeypatch):
    """Nine times the discs; every plane is a large one, and is gone through in nine blocks with perfect maps."""
    maps = distance_targets(np.tile(drawn.labels, (3, 3)) + 4 * np.kron(np.arange(9).reshape(3, 3), drawn.labels > 0))

    def plane_maps(model, store, plane, zoom, region):
        yield 1, 1, maps[(slice(None), *region.slices)]

    monkeypatch.setattr(automatic_large, "plane_maps", plane_maps)
    monkeypatch.setattr(automatic_large, "find_scale", lambda *_: iter([Scale(2.5, 20.0)]))
    monkeypatch.setattr(image, "LARGE", 96 * 96)
    own = functools.partial(segment_files.segment_large, block=96)
    monkeypatch.setattr(segment_files, "segment_large", own)
    tifffile.imwrite(tmp_path / "large.tif", np.tile(drawn.pixels, (3, 3)))
    return tmp_path / "large.tif"


def read(path):
    return tifffile.imread(path) if path.suffix == ".tif" else zarr.open_array(path)[...]


@pytest.mark.parametrize("ending", [".tif", ".zarr"])
def test_a_large_plane_is_segmented_in_blocks(tmp_path, large, ending, capsys):
    out = tmp_path / f"a{ending}"
    assert run(large, "-o", out) == 0
    labels = read(out)
    assert (labels.dtype, labels.shape, labels.max()) == (np.uint32, (288, 288), 36)
    assert len(np.unique(labels)) == 37
    assert capsys.readouterr().out.splitlines()[-1].split()[5] == "36"
    assert names(tmp_path) == [out.name, "large.tif"]


@pytest.mark.parametrize("ending", [".tif", ".zarr"])
@pytest.mark.parametrize("before", [False, True], ids=["after", "before"])
def test_an_interrupted_large_plane_is_gone_on_with(tmp_path, large, stopping, monkeypatch, ending, before):
    """Also where a block was painted, but that was not written down."""
    assert run(large, "-o", tmp_path / f"whole{ending}", "-q") == 0
    own, out = segment_files.segment_large, tmp_path / f"a{ending}"
    stopping(4, "segment_large", before)
    assert run(large, "-o", out, "-q") == 130
    assert not out.exists()
    seen = []

    def go_on(*arguments, begun=None, **options):
        seen.append(begun)
        return own(*arguments, begun=begun, **options)

    monkeypatch.setattr(segment_files, "segment_large", go_on)
    assert run(large, "-o", out, "-q") == 0
    assert seen[0].done == (3 if before else 4)
    assert np.array_equal(read(out), read(tmp_path / f"whole{ending}"))


def test_a_large_plane_that_was_killed_at_the_very_end_is_not_empty(tmp_path, large, monkeypatch):
    """The labels have their name, but the folder beside them is still there."""
    out = tmp_path / "a.zarr"

    def kill(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(unfinished.Work, "done", kill)
        assert run(large, "-o", out, "-q") == 130
    assert read(out).max() == 36
    assert run(large, "-o", out, "-q", "--overwrite") == 0
    assert read(out).max() == 36


@pytest.mark.parametrize("mode", ["amg", "apg"])
def test_other_modes_do_not_work_on_large_planes(tmp_path, large, mode, capsys):
    assert run(large, "-o", tmp_path / "a.tif", "--mode", mode) == 1
    assert "--mode ais" in capsys.readouterr().err


def test_volumes_of_large_planes_are_refused(tmp_path, large, capsys):
    np.save(tmp_path / "v.npy", np.zeros((2, 288, 288), np.uint8))
    assert run(tmp_path / "v.npy", "-o", tmp_path / "a.tif") == 1
    assert "Segment the planes as single images" in capsys.readouterr().err


# A store of embeddings


def test_what_the_model_finds_is_kept_in_the_store(tmp_path, cells, drawn_image, monkeypatch):
    store = tmp_path / "e.zarr"
    assert run(cells, "-o", tmp_path / "a.tif", "-q", "-e", store, "--mode", "apg", *SIZE) == 0
    known = Kept.at(store, open_store(store).key)
    assert known.maps(0, 0.24 * 256 / 24) is not None

    def fail(*_, **__):
        raise AssertionError("the model is asked")

    for name in ("plane_maps", "find_scale", "ask"):
        monkeypatch.setattr(segmenter, name, fail)
    assert run(cells, "-o", tmp_path / "b.tif", "-q", "-e", store, "--mode", "apg", "--min-size", 300, *SIZE) == 0
    assert tifffile.imread(tmp_path / "b.tif").max() == 2


@pytest.mark.parametrize("ending", [".zarr", ".zip"])
def test_a_store_that_was_made_before_is_used(tmp_path, volume, ending):
    store = tmp_path / f"e{ending}"
    assert main(["embed", str(volume), "-o", str(store), "-q"]) == 0
    assert run(volume, "-o", tmp_path / "a.tif", "-q", "-e", store, *SIZE) == 0
    assert run(volume, "-o", tmp_path / "b.tif", "-q", *SIZE) == 0
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), tifffile.imread(tmp_path / "b.tif"))


def test_a_store_of_another_image_fails_alone(tmp_path, folder, capsys):
    store = tmp_path / "stores" / "a.zarr"
    assert main(["embed", str(folder / "b.tif"), "-o", str(store), "-q"]) == 0
    assert run(folder, "-o", tmp_path / "out", "-q", "-e", tmp_path / "stores", *SIZE) == 1
    assert "Open it with that image" in capsys.readouterr().err
    assert names(tmp_path / "out") == ["b.tif"]
