"""A series with real models: planes whose embeddings were made before, volumes, and a model that is slow to load."""

import os
import threading
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch

from microsam_nb import annotate_series
from microsam_nb.annotators.loading import Loader
from microsam_nb.core import Image
from microsam_nb.engine import embed, open_store
from microsam_nb.engine.models import ModelSpec
from microsam_nb.engine.store.source import Source
from microsam_nb.engine.training.embedded import new_nano, save_embedded
from microsam_nb.files.inputs import find_images, name_results
from microsam_nb.session import AddPoint, Commit
from microsam_nb.session.series import Turn


@pytest.fixture
def tiny_sam(random_nano):
    """A model that encodes whole planes, as segment-anything's do."""
    return replace(random_nano, spec=ModelSpec("other", "vit_t", "xxh128:0123456789abcdef"))


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes two images of a shape."""
    monkeypatch.chdir(tmp_path)

    def images(*shape):
        (tmp_path / "images").mkdir()
        for seed, name in enumerate("ab"):
            pixels = np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)
            metadata = {"axes": "ZYX"[-len(shape) :]}
            tifffile.imwrite(tmp_path / "images" / f"{name}.tif", pixels, imagej=True, metadata=metadata)

    return images


@pytest.fixture
def open_series():
    made = []

    def opened(**more):
        made.append(annotate_series("images", "out", **more))
        return made[-1]

    yield opened
    for one in made:
        one.close()


def keep_one(one, plane=0):
    """Click, and commit what the model answers."""
    one.session.handle(AddPoint(24, 24, plane=plane))
    one.wait()
    assert one.session.state.proposals
    one.session.handle(Commit())
    one.wait()
    return one.labels.max()


def test_embeddings_that_were_made_before_are_used(write, open_series, tiny_sam, tmp_path, monkeypatch):
    write(64, 72)
    paths = find_images(["images"])
    for path, name in zip(paths, name_results(paths), strict=True):
        image = Image(tifffile.imread(path), name=path.stem)
        for _ in embed(tiny_sam, image, open_store(tmp_path / "stores" / f"{name}.zarr", tiny_sam, image)):
            pass
    monkeypatch.setattr(Source, "encode_stepwise", None)
    one = open_series(model=tiny_sam, embeddings="stores")
    # The model is there: nothing is loaded for one image or the other.
    assert "Loading" not in one.session.notice.text
    assert keep_one(one) == 1
    one.handle(Turn(1))
    one.wait()
    assert keep_one(one) == 1
    assert list(one.summary()["objects"]) == [1, 1]
    assert not list((tmp_path / "out").rglob("embeddings-*"))


def test_a_series_of_volumes(write, open_series, tiny_sam):
    write(3, 48, 56)
    one = open_series(model=tiny_sam)
    assert one.labels.shape == (3, 48, 56)
    assert keep_one(one, plane=1) == 1
    one.handle(Turn(1))
    one.wait()
    assert one.series.current.name == "b.tif"
    assert keep_one(one, plane=2) == 1
    one.handle(Turn(-1))
    one.wait()
    assert one.labels.max() == 1


def test_a_model_is_loaded_once_however_often_the_image_changes(write, open_series, random_nano, monkeypatch):
    write(64, 72)
    begun, ready, loaded = threading.Event(), threading.Event(), []

    def load(name, device):
        loaded.append(name)
        begun.set()
        assert ready.wait(30)
        return random_nano

    monkeypatch.setattr("microsam_nb.engine.load.load_model", load)
    one = open_series(model="nano")
    one.annotator._runner.start()
    assert begun.wait(30)
    one.handle(Turn(1))
    ready.set()
    one.wait()
    assert one.series.current.name == "b.tif"
    assert keep_one(one) == 1
    assert loaded == ["nano"]


def test_a_file_of_weights_that_was_written_anew_is_loaded_anew(tmp_path):
    loader, path = Loader(), tmp_path / "mine.safetensors"
    save_embedded(new_nano(), path, note="")
    first = loader(path, "cpu")
    assert loader(path, "cpu") is first
    other = new_nano()
    torch.nn.init.constant_(other.sam.mask_decoder.iou_token.weight, 0.5)
    save_embedded(other, path, note="")
    os.utime(path, ns=(1, 1))  # clocks of file systems are coarse
    assert loader(path, "cpu").spec.hash != first.spec.hash
