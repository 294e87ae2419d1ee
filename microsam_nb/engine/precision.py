"""Number format of the network, by what the processor computes fast."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from ..core import ModelError

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
#: What ``load_model`` takes as precision.
PRECISIONS = ("auto", *_DTYPES)


def fast_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 or float16 where ``device`` has arithmetic for it, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and _has(device, torch.bfloat16):
        return torch.bfloat16
    return torch.float32


def dtype_of(precision: str, device: torch.device) -> torch.dtype:
    """Return the number format that ``precision`` means on ``device``.

    "auto" is the fastest that is safe. Raises ModelError for an unknown word, or for a format that the device
    would only imitate, slowly.
    """
    if precision == "auto":
        return fast_dtype(device)
    if precision not in _DTYPES:
        raise ModelError(f"There is no precision {precision!r}.", f"Choose one of {', '.join(PRECISIONS)}.")
    dtype = _DTYPES[precision]
    if not _has(device, dtype):
        fast = next(name for name, one in _DTYPES.items() if one is fast_dtype(device))
        raise ModelError(
            f"This {device.type} device does not compute in {precision}.", f"Choose 'auto', which is {fast} here."
        )
    return dtype


def _has(device: torch.device, dtype: torch.dtype) -> bool:
    if dtype is torch.float32 or device.type not in ("cpu", "cuda"):
        return dtype is not torch.bfloat16
    if device.type == "cuda":
        return dtype is torch.float16 or torch.cuda.is_bf16_supported()
    # The questions are not public in torch, and not there in every version.
    name = "_is_avx512_bf16_supported" if dtype is torch.bfloat16 else "_is_amx_fp16_supported"
    asked = getattr(torch.cpu, name, None)
    return asked is not None and bool(asked())


@contextlib.contextmanager
def inference(device: torch.device, precision: str = "auto") -> Iterator[None]:
    """Run a block without gradients, in the number format that ``precision`` means."""
    dtype = dtype_of(precision, device)
    with torch.inference_mode(), torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32):
        yield


def working_dtype(device: torch.device) -> torch.dtype:
    """Return the number format of the surrounding ``inference`` or autocast block, float32 outside of one."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32


def find_device(name: str = "auto") -> torch.device:
    """Return the named device, or for "auto" the first of cuda, mps and cpu that is there."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
