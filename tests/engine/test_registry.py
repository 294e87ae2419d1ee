"""The registry holds every model of micro-sam, under its names, with its addresses and hashes."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from microsam_nb.core import ModelError
from microsam_nb.engine.registry import MODELS, NAMES, PARAMETERS, AutomaticDefaults, find_registered, registered

ZOO = "https://uk1s3.embassy.ebi.ac.uk/public-datasets/bioimage.io/"
SOURCES = [source for model in MODELS for source in (model.weights, model.decoder) if source is not None]


def test_fourteen_models_and_ten_decoders_and_the_embedded_one():
    assert NAMES[0] == "nano"
    assert sum(model.weights is not None for model in MODELS) == 14
    assert sum(model.decoder is not None for model in MODELS) == 10
    assert set(NAMES) == {
        "nano", "vit_t", "vit_b", "vit_l", "vit_h", "vit_t_lm", "vit_b_lm", "vit_l_lm", "vit_t_em_organelles",
        "vit_b_em_organelles", "vit_l_em_organelles", "vit_b_histopathology", "vit_l_histopathology",
        "vit_h_histopathology", "vit_b_medical_imaging",
    }  # fmt: skip


def test_every_file_has_its_own_address_and_hash():
    assert len({source.url for source in SOURCES}) == len({source.xxh128 for source in SOURCES}) == 24
    for source in SOURCES:
        assert re.fullmatch("[0-9a-f]{32}", source.xxh128)
        assert source.identity == f"xxh128:{source.xxh128}"
        assert urlsplit(source.url).scheme == "https"


def test_the_names_tell_the_architecture():
    assert all(model.name.startswith(model.architecture) for model in MODELS)
    assert {model.architecture for model in MODELS} == set(PARAMETERS)
    assert len(NAMES) == len(set(NAMES))


def test_the_default_of_micro_sam():
    model = find_registered("vit_b_lm")
    assert model.weights.url == f"{ZOO}diplomatic-bug/1.2/files/vit_b.pt"
    assert model.decoder.url == f"{ZOO}diplomatic-bug/1.2/files/vit_b_decoder.pt"
    assert model.weights.xxh128 == "fe9252a29f3f4ea53c15a06de471e186"
    assert model.decoder.xxh128 == "708b15ac620e235f90bb38612c4929ba"
    assert model.label == "vit_b_lm (v4)"
    assert find_registered(model.label) is model, "a label is as good as a name"
    assert model.automatic == AutomaticDefaults(0.4, 0.5, 2.0, 0.65, 0.70, 100)


@pytest.mark.parametrize(
    ("name", "version", "centre", "boundary", "iou", "stability"),
    [
        ("vit_t_lm", "v3", 0.5, 0.5, 0.60, 0.65),
        ("vit_l_lm", "v4", 0.4, 0.4, 0.65, 0.73),
        ("vit_t_em_organelles", "v2", 0.4, 0.5, 0.75, 0.75),
        ("vit_b_em_organelles", "v4", 0.3, 0.4, 0.75, 0.75),
        ("vit_l_em_organelles", "v4", 0.3, 0.4, 0.80, 0.80),
        ("vit_b_histopathology", "v1", 0.5, 0.5, 0.88, 0.95),
        ("vit_h", "", 0.5, 0.5, 0.88, 0.95),
    ],
)
def test_versions_and_thresholds(name, version, centre, boundary, iou, stability):
    model = find_registered(name)
    own = model.automatic
    assert model.version == version
    assert (own.centre, own.boundary, own.iou, own.stability) == (centre, boundary, iou, stability)


def test_what_is_good_for_automatic_segmentation():
    assert find_registered("nano").has_decoder
    assert not find_registered("vit_b").has_decoder
    assert [model.name for model in MODELS if not model.automatic.use_decoder] == ["vit_b_medical_imaging"]


def test_sizes_are_about_right():
    assert find_registered("vit_b").megabytes == 375
    assert find_registered("vit_b_lm").megabytes == 416


@pytest.mark.parametrize(("name", "near"), [("vit_blm", "vit_b_lm"), ("VIT_H", "vit_h"), ("stardist", "")])
def test_an_unknown_name(name, near):
    with pytest.raises(ModelError) as error:
        find_registered(name)
    assert "Choose a name that 'microsam-nb info' lists." in error.value.remedy
    assert error.value.remedy.startswith(f"Did you mean {near!r}?" if near else "Choose")
    assert registered(name) is None
