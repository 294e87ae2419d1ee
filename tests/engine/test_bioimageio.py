"""Models as BioImage.IO packages: they pass BioImage.IO's own test, and are read again."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor

from microsam_nb.core import MicrosamError, ModelError
from microsam_nb.engine import load_model
from microsam_nb.engine.training import export_bioimageio
from microsam_nb.engine.training.packaged import PromptedSegmentation
from microsam_nb.engine.training.parts import network

# bioimageio.spec leaves files open.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::DeprecationWarning"
)
SAID = {"name": "Test of nano", "description": "Blocks in noise.", "authors": ["Some One"]}


@pytest.fixture(scope="module")
def blocks():
    labels = np.zeros((72, 96), np.int32)
    labels[8:36, 10:50], labels[42:66, 50:88] = 1, 2
    noise = np.random.default_rng(0).integers(0, 40, labels.shape)
    return {"image": ((labels > 0) * 90 + noise).astype(np.uint8), "labels": labels}


@pytest.fixture(scope="module")
def trainable():
    return load_model("nano", "cpu", trainable=True)


@pytest.fixture(scope="module")
def package(tmp_path_factory, trainable, blocks):
    pytest.importorskip("bioimageio.core", reason="the extra bioimageio is not installed")
    return export_bioimageio(trainable, tmp_path_factory.mktemp("zoo") / "nano", **blocks, **SAID)


def test_a_package_passes_the_test_of_bioimageio(package):
    from bioimageio.core import test_model as its_own_test

    summary = its_own_test(package, "pytorch_state_dict", ["cpu"])
    assert summary.status == "passed", summary.format()


def test_a_package_is_read_as_it_was_written(package, trainable):
    assert package.name == "nano.zip"
    read = load_model(package, "cpu", trainable=True)
    assert read.spec.architecture == "nano"
    before, after = network(trainable).state_dict(), network(read).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_its_network_answers_as_segment_anything(trainable, blocks):
    picture = np.repeat(blocks["image"][..., None], 3, 2)
    net = PromptedSegmentation("nano").eval()
    net.load_state_dict(trainable.sam.state_dict())
    predictor = SamPredictor(net.sam)
    predictor.set_image(picture)
    box, point = np.array([10, 8, 50, 36]), np.array([[30, 20]])
    expected = predictor.predict(point, np.array([1]), box, multimask_output=False)
    masks, scores, _ = net(
        torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()),
        torch.from_numpy(box[None, None]),
        torch.from_numpy(point[None, None]),
        torch.ones(1, 1, 1),
    )
    assert masks.shape == (1, 1, 1, *blocks["labels"].shape)
    assert masks.dtype is torch.uint8
    both = masks[0, 0, 0].bool().numpy(), expected[0][0]
    assert (both[0] & both[1]).sum() > 0.98 * (both[0] | both[1]).sum() > 0
    assert scores[0, 0, 0] == pytest.approx(float(expected[1][0]), abs=0.02)


def test_points_without_labels_are_refused(trainable):
    net = PromptedSegmentation("nano")
    with pytest.raises(ValueError, match="Give 1 for points on the object"):
        net(torch.zeros(1, 3, 32, 32), point_prompts=torch.zeros(1, 1, 1, 2))


def test_what_bioimageio_does_not_take_is_said(trainable, blocks, tmp_path):
    pytest.importorskip("bioimageio.core", reason="the extra bioimageio is not installed")
    with pytest.raises(MicrosamError, match=r"does not take 'my own'.{0,140}Change it and export again"):
        export_bioimageio(trainable, tmp_path / "nano.zip", **blocks, **SAID, licence="my own")
    with pytest.raises(MicrosamError, match="Give labels above 0"):
        export_bioimageio(
            trainable, tmp_path / "nano.zip", image=blocks["image"], labels=np.zeros_like(blocks["labels"]), **SAID
        )
    with pytest.raises(ModelError, match=r"ends in \.zip"):
        export_bioimageio(trainable, tmp_path / "nano.pt", **blocks, **SAID)
    with pytest.raises(ModelError, match="trainable=True"):
        export_bioimageio(load_model("nano", "cpu"), tmp_path / "nano.zip", **blocks, **SAID)
    assert not list(tmp_path.iterdir())


def test_without_bioimageio_the_remedy_is_said(trainable, blocks, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bioimageio.spec", None)
    with pytest.raises(MicrosamError, match=r"pip install 'microsam-nb\[bioimageio\]'"):
        export_bioimageio(trainable, tmp_path / "nano.zip", **blocks, **SAID)


def test_a_zip_of_something_else(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("rdf.yaml", "type: model")
    with pytest.raises(ModelError, match=r"holds no files of PyTorch weights.*BioImage.IO package"):
        load_model(tmp_path / "other.zip", "cpu")
