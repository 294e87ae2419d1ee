from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import zarr

import microsam_nb
from microsam_nb.__main__ import main
from microsam_nb.core import Image
from microsam_nb.engine import encode, load_model, open_store


@pytest.fixture
def volume(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 24, 32)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "cells.tif", pixels, photometric="minisblack")
    return tmp_path / "cells.tif"


def run(weights, *arguments):
    return main(["embed", *map(str, arguments), "--model", weights])


def test_a_volume_is_embedded_once(tmp_path, volume, weights, capsys, monkeypatch):
    out = tmp_path / "out" / "cells.zarr"
    assert run(weights, volume, "-o", out, "--first-plane", "2") == 0
    said = capsys.readouterr()
    assert said.out == f"1 of 1 images is in {out}.\n"
    assert said.err == "", "no bar where nobody watches"
    model, image = load_model(weights), Image(tifffile.imread(volume))
    store = open_store(out, model, image)
    assert store.complete
    torch.testing.assert_close(store.plane(1).features, encode(model, image.shown(1)).features)
    from microsam_nb.engine.store.source import Source

    monkeypatch.setattr(Source, "encode_stepwise", None)
    assert run(weights, volume, "-o", out, "-q") == 0
    assert capsys.readouterr() == ("", "")


def test_a_folder_with_tiles_in_half(tmp_path, weights, volume, capsys):
    (tmp_path / "more").mkdir()
    tifffile.imwrite(tmp_path / "more" / "cells.tif", np.eye(40, dtype=np.float32))
    (tmp_path / "more" / "broken.tif").write_bytes(b"rubbish")
    out = tmp_path / "out"
    options = ["--tile", "24", "24", "--halo", "2", "3", "--half"]
    assert run(weights, volume, tmp_path / "more", "-o", out, *options) == 1
    said = capsys.readouterr()
    assert "2 of 3 images" in said.out
    assert said.err.count("\n") == 1
    assert "broken.tif" in said.err
    assert "Save it again" in said.err
    assert {p.name for p in out.iterdir()} == {f"{tmp_path.name}-cells.tif.zarr", "more-cells.tif.zarr"}
    about = zarr.open_group(out / "more-cells.tif.zarr", mode="r")
    assert (about.attrs["tile_shape"], about.attrs["halo"]) == ([24, 24], [2, 3])
    assert about["features/3"].dtype == np.float16


def test_tiles_that_suit_the_image(tmp_path, weights, capsys):
    tifffile.imwrite(tmp_path / "large.tif", np.random.default_rng(0).integers(0, 255, (300, 500)).astype(np.uint8))
    out = tmp_path / "large.zarr"
    assert run(weights, tmp_path / "large.tif", "-o", out, "--auto-tile") == 0
    assert zarr.open_group(out, mode="r").attrs["tile_shape"] == [192, 192]
    tifffile.imwrite(tmp_path / "small.tif", np.eye(90, dtype=np.float32))
    assert run(weights, tmp_path / "small.tif", "-o", tmp_path / "small.zarr", "--auto-tile") == 0
    assert zarr.open_group(tmp_path / "small.zarr", mode="r").attrs["tile_shape"] is None


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (["--halo", "4", "4"], "Give --tile as well"),
        (["--tile", "0", "4"], "at least 1 px"),
        (["--auto-tile", "--halo", "4", "4"], "Leave --tile and --halo out"),
        (["--auto-tile", "--tile", "4", "4"], "Leave --tile and --halo out"),
        (["--batch", "0"], "--batch 1 or more"),
        (["--model", "nan"], "nano"),
        (["--precision", "fp8"], "auto"),
        (["--tile", "9", "9", "--halo", "-1", "0"], "at least 1 px"),
    ],
)
def test_a_wrong_command(tmp_path, volume, options, remedy, capsys):
    assert main(["embed", str(volume), "-o", str(tmp_path / "a.zarr"), *options]) == 2
    said = capsys.readouterr().err
    assert remedy in said
    assert said.count("\n") == 1
    assert not (tmp_path / "a.zarr").exists()


def test_a_pattern_that_stands_for_nothing(tmp_path, capsys):
    assert main(["embed", str(tmp_path / "none*.tif"), "-o", str(tmp_path / "out")]) == 2
    assert "Check the name" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_store_for_several_images(tmp_path, volume, capsys):
    tifffile.imwrite(tmp_path / "two.tif", np.eye(9))
    assert main(["embed", str(tmp_path / "*.tif"), "-o", str(tmp_path / "a.zarr")]) == 2
    assert "Name a folder" in capsys.readouterr().err


def test_another_image_in_the_store_fails_alone(tmp_path, weights, volume, capsys):
    out = tmp_path / "a.zarr"
    assert run(weights, volume, "-o", out, "-q") == 0
    tifffile.imwrite(volume, np.eye(9))
    assert run(weights, volume, "-o", out, "-q") == 1
    assert "Open it with that image" in capsys.readouterr().err


def test_the_array_of_a_zarr_group(tmp_path, weights):
    group = zarr.open_group(tmp_path / "v.zarr", mode="w")
    group.create_array("raw", data=np.ones((2, 16, 16), np.uint8))
    group.create_array("other", data=np.ones((2, 16, 16), np.uint8))
    assert run(weights, tmp_path / "v.zarr", "--key=raw", "-o", tmp_path / "e.zip", "-q") == 0
    assert open_store(tmp_path / "e.zip").shape == (2, 16, 16)


def test_an_interrupt_leaves_a_store_that_goes_on(tmp_path, weights):
    pixels = np.random.default_rng(0).integers(0, 255, (300, 64, 64)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "v.tif", pixels, photometric="minisblack")
    root = Path(microsam_nb.__file__).parents[1]
    command = [sys.executable, "-m", "microsam_nb", "embed", "v.tif", "-o", "e.zarr", "-m", weights]
    victim = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores Ctrl-C, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    end = time.monotonic() + 120
    while not (tmp_path / "e.zarr" / "done" / "c").exists() and time.monotonic() < end:
        time.sleep(0.02)
    victim.send_signal(signal.SIGINT)
    _, said = victim.communicate(timeout=60)
    assert victim.returncode == 130, said
    assert "Run the same command to go on" in said
    assert "Traceback" not in said
    store = open_store(tmp_path / "e.zarr")
    done = [plane for plane in range(300) if store.has(plane)]
    assert 0 < len(done) < 300
    for plane in done:
        assert store.plane(plane).features.shape[1] == 128
