"""Number formats: which is meant, which is refused, and that inference uses it."""

from __future__ import annotations

import pytest
import torch

from microsam_nb.core import ModelError
from microsam_nb.engine import precision
from microsam_nb.engine.precision import dtype_of, fast_dtype, find_device, inference, working_dtype

CPU = torch.device("cpu")


@pytest.fixture
def able(monkeypatch):
    """Say what the processor is able to: ``able("_is_avx512_bf16_supported")``."""

    def say(*questions):
        for name in ("_is_avx512_bf16_supported", "_is_amx_fp16_supported"):
            monkeypatch.setattr(torch.cpu, name, lambda name=name: name in questions, raising=False)

    return say


def test_inference_is_without_gradients_in_the_fast_format(monkeypatch):
    weight = torch.ones(4, 4, requires_grad=True)
    monkeypatch.setattr(precision, "fast_dtype", lambda device: torch.float32)
    with inference(CPU):
        out = weight @ weight
        assert working_dtype(CPU) == torch.float32
    assert not out.requires_grad
    assert out.dtype == torch.float32
    monkeypatch.setattr(precision, "fast_dtype", lambda device: torch.bfloat16)
    with inference(CPU):
        assert (weight @ weight).dtype == working_dtype(CPU) == torch.bfloat16
    with inference(CPU, "fp32"):
        assert (weight @ weight).dtype == torch.float32


def test_auto_is_what_the_processor_has(able):
    able("_is_avx512_bf16_supported")
    assert dtype_of("auto", CPU) == dtype_of("bf16", CPU) == torch.bfloat16
    able()
    assert dtype_of("auto", CPU) == dtype_of("fp32", CPU) == torch.float32
    able("_is_amx_fp16_supported")
    assert dtype_of("fp16", CPU) == torch.float16


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_what_the_processor_would_only_imitate_is_refused(able, name):
    able()
    with pytest.raises(ModelError, match=name) as error:
        dtype_of(name, CPU)
    assert error.value.remedy == "Choose 'auto', which is fp32 here."


def test_an_old_torch_without_the_question(monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    assert fast_dtype(CPU) == torch.float32


def test_on_mps_only_float16_is_offered():
    mps = torch.device("mps")
    assert dtype_of("auto", mps) == torch.float32
    assert dtype_of("fp16", mps) == torch.float16
    with pytest.raises(ModelError):
        dtype_of("bf16", mps)


def test_an_unknown_precision_lists_the_known():
    with pytest.raises(ModelError) as error:
        dtype_of("half", CPU)
    assert error.value.remedy == "Choose one of auto, fp32, bf16, fp16."


def test_devices_are_found():
    assert find_device("cpu").type == "cpu"
    assert find_device().type in ("cpu", "cuda", "mps")
    assert fast_dtype(CPU) in (torch.float32, torch.bfloat16)
