"""Names and files to models; bad files to a sentence with the remedy."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from segment_anything import sam_model_registry

from microsam_nb.core import ModelError, Point
from microsam_nb.engine import encode, load_model, precision, predict
from microsam_nb.engine.training.embedded import save_embedded


@pytest.fixture(scope="module")
def weights(random_nano, tmp_path_factory):
    """A checkpoint file of the random nano model."""
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    save_embedded(random_nano, path, note="random")
    return path


@pytest.fixture
def changed(weights, tmp_path):
    """Write the checkpoint with some entries replaced, or left out where None."""

    def write(**entries):
        tensors = load_file(weights)
        for name, value in entries.items():
            tensors.pop(name, None)
            if value is not None:
                tensors[name] = value
        save_file(tensors, tmp_path / "changed.safetensors")
        return tmp_path / "changed.safetensors"

    return write


def refused(name, remedy, device="cpu"):
    with pytest.raises(ModelError) as error:
        load_model(name, device=device)
    assert remedy in error.value.remedy
    return error.value


def test_a_saved_model_comes_back_and_answers_the_same(random_nano, weights, exact):
    model = load_model(weights, device="cpu")
    assert model.spec.name == "mine"
    assert model.spec.architecture == "nano"
    assert model.spec.hash.startswith("xxh128:")
    assert model.frame == 256
    assert model.device.type == "cpu"
    assert not model.sam.training
    assert not any(p.requires_grad for p in [*model.sam.parameters(), *model.distances.parameters()])
    assert all(p.dtype == torch.float32 for p in model.sam.parameters())
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    ours, theirs = encode(model, pixels), encode(random_nano, pixels)
    # The file holds half precision.
    torch.testing.assert_close(ours.features, theirs.features, atol=0.02, rtol=0.02)
    a, b = (predict(m, e, [Point(0, 30, 30)]) for m, e in ((model, ours), (random_nano, theirs)))
    assert a.score == pytest.approx(b.score, abs=0.02)
    with torch.no_grad():
        torch.testing.assert_close(
            model.distances(ours.features), random_nano.distances(theirs.features), atol=0.05, rtol=0.05
        )


def test_equal_weights_have_equal_hashes(weights, changed):
    same, other = load_model(str(weights), device="cpu"), changed(**{"distances.head.bias": torch.ones(3)})
    assert same.spec.hash == load_model(weights, device="cpu").spec.hash
    assert load_model(other, device="cpu").spec.hash != same.spec.hash


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
def test_pytorch_files_of_every_age_and_precision(weights, tmp_path, half, legacy):
    tensors = {k: v.half() if half else v.float() for k, v in load_file(weights).items() if v.is_floating_point()}
    tensors |= {k: v for k, v in load_file(weights).items() if not v.is_floating_point()}
    torch.save(tensors, tmp_path / "m.pth", _use_new_zipfile_serialization=not legacy)
    model = load_model(tmp_path / "m.pth", device="cpu")
    assert model.spec.architecture == "nano"
    assert all(p.dtype == torch.float32 for p in model.sam.parameters())


def test_a_vit_b_checkpoint_is_recognised_and_loads(tmp_path, monkeypatch):
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in sam_model_registry["vit_b"]().state_dict().items()}
    state = {k: torch.zeros(shape) for k, shape in shapes.items()}
    state["mask_decoder.iou_token.weight"] += 0.5
    torch.save(state, tmp_path / "sam_vit_b.pth")
    del state
    monkeypatch.setattr(precision, "_has", lambda device, dtype: True)
    model = load_model(tmp_path / "sam_vit_b.pth", device="cpu", precision="bf16")
    assert (model.spec.name, model.spec.architecture) == ("sam_vit_b", "vit_b")
    assert model.precision == "bf16"
    assert model.sam.image_encoder.dtype == torch.bfloat16
    assert {p.dtype for p in model.sam.mask_decoder.parameters()} == {torch.float32}
    assert model.frame == 1024
    assert model.distances is None
    assert model.sam.mask_decoder.iou_token.weight[0, 0] == 0.5
    assert model.sam.pixel_mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])
    (tmp_path / "sam_vit_b.pth").unlink()


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("nanoo", "nano"),
        ("NANO1", "nano"),
        ("vit-b", "vit_b"),
        ("vit_x", "vit_"),
        ("vit_b_ml", "vit_b_lm"),
        ("vit_h_lm", "vit_"),
        ("vit_b_organelles", "vit_b_em_organelles"),
        ("cellpose", ""),
    ],
)
def test_an_unknown_name_suggests_the_nearest(name, near):
    error = refused(name, "one of the names that 'microsam-nb info' lists, or the path of a checkpoint file")
    if near:
        assert f"Did you mean '{near}" in error.remedy
    else:
        assert error.remedy.startswith("Give")


def test_a_missing_file_and_a_folder(tmp_path):
    refused(tmp_path / "none.pth", "Check the name and the folder")
    refused(tmp_path, "Check the name and the folder")


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 torn zip", pickle.dumps("text"), b"\x80\x02."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".pt", ""])
def test_garbage_is_refused(tmp_path, content, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError) as error:
        load_model(path, device="cpu")
    assert "Download it again" in error.value.remedy or "state_dict()" in error.value.remedy


def test_an_unknown_precision(weights):
    with pytest.raises(ModelError, match="Choose one of auto, fp32"):
        load_model(weights, device="cpu", precision="half")


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_pickle_is_not_run(tmp_path, legacy):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"image_encoder": Trap()}, tmp_path / "m.pth", _use_new_zipfile_serialization=not legacy)
    refused(tmp_path / "m.pth", "holds only weights")
    assert not (tmp_path / "ran").exists()
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Trap()))
    refused(tmp_path / "raw.pth", "holds only weights")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "state", [[torch.zeros(1)], {"step": 3}, {"model": {"a": torch.zeros(1)}}, {0: torch.zeros(1)}]
)
def test_a_file_that_is_no_dictionary_of_weights(tmp_path, state):
    torch.save(state, tmp_path / "m.pth")
    refused(tmp_path / "m.pth", "state_dict()")


@pytest.mark.parametrize(
    "state",
    [{}, {"conv.weight": torch.zeros(3, 3)}, {"image_encoder.patch_embed.proj.weight": torch.zeros(192, 3, 16, 16)}],
)
def test_weights_of_an_unknown_model(tmp_path, state):
    torch.save(state, tmp_path / "m.pth")
    refused(tmp_path / "m.pth", "vit_b, vit_l or vit_h, of MobileSAM (vit_t), or of nano")


@pytest.mark.parametrize(
    "name", ["sam.mask_decoder.iou_token.weight", "distances.head.bias", "sam.image_encoder.stem.norm.running_mean"]
)
def test_missing_weights_are_named(changed, name):
    error = refused(changed(**{name: None}), "incomplete or changed")
    assert name.partition(".")[2] in error.what


@pytest.mark.parametrize("name", ["sam.image_encoder.surprise", "distances.surprise", "surprise"])
def test_surplus_weights_are_named(changed, name):
    error = refused(changed(**{name: torch.zeros(2)}), "incomplete or changed")
    assert "surprise" in error.what


def test_weights_of_other_shapes(changed):
    refused(changed(**{"sam.mask_decoder.iou_token.weight": torch.zeros(1, 64)}), "unchanged checkpoint")


@pytest.mark.parametrize("device", ["nonsense", "meta", "cuda:99", ""])
def test_a_device_that_is_not_there(weights, device):
    refused(weights, "Choose 'auto' or 'cpu'.", device=device)
