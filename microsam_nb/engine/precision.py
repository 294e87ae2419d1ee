"""Number format of the network, by what the processor computes fast."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


def fast_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 or float16 where ``device`` has arithmetic for it, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    # The question is not public in torch, and not there in every version.
    quick = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    if device.type == "cpu" and quick is not None and quick():
        return torch.bfloat16
    return torch.float32


@contextlib.contextmanager
def inference(device: torch.device) -> Iterator[None]:
    """Run a block without gradients, in the fastest number format that is safe."""
    dtype = fast_dtype(device)
    with torch.inference_mode(), torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32):
        yield


def find_device(name: str = "auto") -> torch.device:
    """Return the named device, or for "auto" the first of cuda, mps and cpu that is there."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
