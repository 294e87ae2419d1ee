"""The states of automatic segmentation that micro-sam keeps beside its embeddings: read safely, or refused.

The state of its mask generator is a pickle, which could run code. Nothing that such a file names is ever called: the
few names it needs become records of what the file says about them, which are checked before any array is made.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from pickle import Unpickler
from typing import Any, Self, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray

from ...core import Mask, StoreError
from ..tiling import Window
from .proposals import Proposals

#: In the order in which the decoder predicts them.
_MAPS = ("foreground", "center_distances", "boundary_distances")
#: How far beyond 0 and 1 rounding and interpolation may carry a map.
_SLACK = 0.01
_AGAIN = "Delete it and compute the state again."
_OTHER = "It belongs to another image: choose the folder of this one, or delete it and compute the state again."


def find_amg_state(folder: Path, plane: int | None) -> Path | None:
    """Return the file with the mask generator's state of a plane (None: of a single image), if there is one."""
    path = folder / "amg_state.pickle" if plane is None else folder / "amg_state" / f"state-{plane}.pkl"
    return path if path.is_file() else None


def read_amg_state(path: Path, size: tuple[int, int], plane: int = 0) -> Proposals:
    """Read the masks, not yet filtered, that micro-sam's mask generator found in a plane of ``size`` (height, width).

    Empty masks are kept. Raises StoreError for a file that is damaged, asks for anything unknown or is of another size.
    """
    try:
        state = _unpickled(path)
        written = _whole(state["original_size"], 2)
        if written != size:
            raise StoreError(f"{path.name} is of {_sides(written)}, but the plane is {_sides(size)}.", _OTHER)
        crops, windows = _listed(state["crop_list"]), _listed(state["crop_boxes"])
        if len(crops) != len(windows):
            raise ValueError(f"{len(crops)} parts for {len(windows)} crop boxes")
        found = [
            proposals
            for crop, box in zip(crops, windows, strict=True)
            for proposals in _proposals_of(crop, _window(box, size), size, plane)
        ]
    except StoreError:
        raise
    except KeyError as error:
        raise StoreError(f"{path.name} is no complete state of micro-sam: {error} is missing.", _AGAIN) from error
    except Exception as error:  # pickle and torch have errors of every kind for damaged files
        # Ours are of this kind. torch's say how to have the code run after all.
        reason = str(error) if isinstance(error, ValueError) else error.__class__.__name__
        raise StoreError(f"{path.name} cannot be read ({reason}).", _AGAIN) from error
    return Proposals.joined(found, size, plane)


def read_is_state(path: Path, size: tuple[int, int], plane: int | None) -> NDArray[np.float32]:
    """Read the maps float32 (3, y, x) of a plane (None: of a single image) of ``size`` (height, width).

    In the order foreground, centre distance, boundary distance, all in 0..1. The file is never written.
    Raises StoreError if h5py is missing or the file is damaged, lacks the plane or is of another size.
    """
    try:
        h5py: Any = importlib.import_module("h5py")
    except ImportError as error:
        raise StoreError(
            f"{path.name} is an HDF5 file, and the package that reads those is not installed.",
            "Run `pip install h5py`, or delete the file and compute the state again.",
        ) from error
    group = "state" if plane is None else f"state-{plane}"
    try:
        with h5py.File(path, "r") as file:
            maps = [_map(file, f"{group}/{name}", size, path.name) for name in _MAPS]
    except StoreError:
        raise
    except Exception as error:  # h5py raises errors of every kind for damaged files
        raise StoreError(
            f"{path.name} cannot be read ({error.__class__.__name__}: {error}).",
            "Close micro-sam if it has the file open; else delete it and compute the state again.",
        ) from error
    return np.stack(maps)


class _Held:
    """What the file says about one name: the arguments of the call, and the state given afterwards."""

    __slots__ = ("args", "state")
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> Self:
        held = super().__new__(cls)
        held.args, held.state = args, None
        return held

    # A class without it lets a pickle set any of its attributes, for all files to come.
    def __setstate__(self, state: Any) -> None:
        self.state = state


class _MaskData(_Held): ...


class _Tensor(_Held): ...


class _Storage(_Held): ...


class _Array(_Held): ...


class _Buffer(_Held): ...


class _Scalar(_Held): ...


class _DType(_Held): ...


class _Unused(_Held): ...


_NUMPY = {
    f"{core}.{name}": held
    for core in ("numpy.core", "numpy._core")
    for name, held in (
        ("multiarray._reconstruct", _Array),
        ("multiarray.scalar", _Scalar),
        ("numeric._frombuffer", _Buffer),
    )
}
_ALLOWED: dict[str, type[_Held]] = {
    "segment_anything.utils.amg.MaskData": _MaskData,
    "collections.OrderedDict": _Unused,
    "torch._utils._rebuild_tensor_v2": _Tensor,
    "torch.storage._load_from_bytes": _Storage,
    "numpy.ndarray": _Unused,
    "numpy.dtype": _DType,
    **_NUMPY,
}


class _Reader(Unpickler):
    """Knows only the names above, and stops at any other."""

    def __init__(self, content: BytesIO, label: str) -> None:
        super().__init__(content)
        self._label = label

    def find_class(self, module: str, name: str) -> type[_Held]:
        held = _ALLOWED.get(f"{module}.{name}")
        if held is None:
            asked = f"{module}.{name}"[:80]
            raise StoreError(f"{self._label} asks for {asked} and is refused: it could run code.", _AGAIN)
        return held


#: What pickle writes since protocol 4 for plain values: operations of one byte, or with 1, 2, 4 or 8 bytes behind them.
_PLAIN = re.compile(rb"(?:[}\]()NaesutRb\x81\x85-\x89\x93\x94]|[Kh\x80].|M..|[Jj].{4}|[G\x95].{8})*+", re.DOTALL)
#: And those with a text or bytes behind them, and how many bytes say the length.
_LONG = {b"\x8c": 1, b"C": 1, b"\x8a": 1, b"X": 4, b"B": 4, b"\x8d": 8, b"\x8e": 8, b"\x96": 8}


def _check_claims(content: bytes) -> None:
    """Refuse operations that pickle does not write: one that numbers a value fills gigabytes with a few bytes."""
    at = 0
    while True:
        at = _PLAIN.match(content, at).end()  # type: ignore[union-attr]  # it matches nothing at all, too
        operation = content[at : at + 1]
        if operation == b".":
            return
        if operation not in _LONG:
            raise ValueError(f"{operation!r} is no operation that micro-sam writes" if operation else "cut off")
        start = at + 1 + _LONG[operation]
        at = start + int.from_bytes(content[at + 1 : start], "little")
        if at > len(content):
            raise ValueError("cut off")


def _unpickled(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    _check_claims(content)
    state = _Reader(BytesIO(content), path.name).load()
    if type(state) is not dict:
        raise ValueError("it holds no dictionary")
    return state


def _proposals_of(crop: object, window: Window, size: tuple[int, int], plane: int) -> Iterator[Proposals]:
    """Return the masks of one crop or tile, which the model saw through ``window``, one at a time."""
    if not isinstance(crop, _MaskData) or not isinstance(crop.state, dict):
        raise ValueError("a part holds no masks")
    fields = crop.state["_stats"]
    if not fields:
        return
    scores, stability = _floats(fields["iou_preds"]), _floats(fields["stability_score"])
    codes = _listed(fields["rles"])
    if not len(codes) == len(scores) == len(stability):
        raise ValueError(f"{len(codes)} masks, {len(scores)} scores and {len(stability)} stabilities")
    # micro-sam divides nothing by nothing where a mask is empty.
    stability = np.where(np.isnan(stability), np.float32(0), stability)
    if not np.isfinite(scores).all() or not ((stability >= 0) & (stability <= 1)).all():
        raise ValueError("scores are not finite, or stabilities are not in 0..1")
    # Each is packed before the next is decoded.
    for code, score, stable in zip(codes, scores.tolist(), stability.tolist(), strict=True):
        yield Proposals.made(size, [_mask(code, size, plane)], [score], [stable], [window], plane)


def _mask(code: Any, size: tuple[int, int], plane: int) -> Mask:
    """Decode one mask, only inside its box: runs along the columns of the plane, beginning with one of zeros."""
    height, width = size
    counts = code["counts"]
    if _whole(code["size"], 2) != size:
        raise ValueError(f"a mask of {code['size']} in a plane of {size}")
    if not _is_whole(counts) or min(counts, default=0) < 0 or sum(counts) != height * width:
        raise ValueError("the runs of a mask do not add up to the plane")
    ends = np.cumsum(np.array(counts, np.int64))
    stops = ends[1::2]
    starts = ends[0::2][: len(stops)]
    starts, stops = starts[stops > starts], stops[stops > starts]
    if not len(starts):
        return Mask((plane, 0, 0), np.zeros((0, 0, 0), bool))
    first, last = starts // height, (stops - 1) // height
    x0, x1 = int(first[0]), int(last[-1]) + 1
    # A run that goes on in the next column touches the lower and the upper border.
    over = bool((last > first).any())
    y0 = 0 if over else int((starts % height).min())
    y1 = height if over else int(((stops - 1) % height).max()) + 1
    places = (first - x0) * (y1 - y0) + starts % height - y0
    # +1 where a run begins and -1 after it; their running sum is the mask.
    steps = np.zeros((x1 - x0) * (y1 - y0) + 1, np.int8)
    steps[places] += 1
    steps[places + stops - starts] -= 1
    bitmap = np.cumsum(steps[:-1], dtype=np.int8).view(np.bool_).reshape(x1 - x0, y1 - y0).T
    return Mask((plane, y0, x0), bitmap[None])


def _window(box: Any, size: tuple[int, int]) -> Window:
    x0, y0, x1, y1 = _whole(box, 4)
    if not (0 <= x0 < x1 <= size[1] and 0 <= y0 < y1 <= size[0]):
        raise ValueError(f"a crop box {(x0, y0, x1, y1)} in a plane of {size}")
    return Window(y0, x0, y1, x1)


def _listed(value: object) -> list[Any]:
    if type(value) is not list:
        raise ValueError(f"a {type(value).__name__} in the place of a list")
    return value


def _is_whole(value: object) -> TypeGuard[Sequence[int]]:
    """Whether it is a list of integers; numpy would also take lists of lists, however deep."""
    return isinstance(value, list | tuple) and set(map(type, value)) <= {int}


def _whole(value: Any, count: int) -> tuple[int, ...]:
    """Return ``count`` integers, which may be numbers of numpy."""
    if not isinstance(value, list | tuple) or len(value) != count:
        raise ValueError(f"a {type(value).__name__} in the place of {count} numbers")
    numbers = tuple(_number(each) if isinstance(each, _Scalar) else each for each in value)
    if not _is_whole(numbers):
        raise ValueError(f"something else in the place of {count} whole numbers")
    return tuple(numbers)


def _number(held: _Scalar) -> Any:
    kind, content = held.args
    (number,) = np.frombuffer(content, _dtype(kind))
    return number.item()


def _floats(value: object) -> NDArray[np.float32]:
    """Return a row of floating-point numbers, a tensor or an array in the file, as float32 (n,)."""
    if isinstance(value, _Tensor):
        return _from_tensor(value)
    if isinstance(value, _Array):
        _, shape, kind, _, content = value.state
    elif isinstance(value, _Buffer):
        content, kind, shape, _ = value.args
    else:
        raise ValueError(f"a {type(value).__name__} in the place of numbers")
    numbers = np.frombuffer(content, _dtype(kind))
    if shape != (len(numbers),) or numbers.dtype.kind != "f":
        raise ValueError("something else in the place of a row of numbers")
    return numbers.astype(np.float32)


def _from_tensor(held: _Tensor) -> NDArray[np.float32]:
    storage, offset, shape, stride = held.args[:4]
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple) or len(shape) != 1:
        raise ValueError("a tensor is no row of numbers")
    (content,) = storage.args
    (length,), (step,) = _whole(shape, 1), _whole(stride, 1)
    kept = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    whole = torch.empty(0, dtype=kept.dtype).set_(kept)
    # torch would make the storage longer for a tensor that reaches out of it, and believe a step of 0.
    if not whole.is_floating_point() or not (_is_whole((offset,)) and offset >= 0 and length >= 0 and step >= 1):
        raise ValueError("a tensor is no row of numbers")
    if length and offset + (length - 1) * step >= len(whole):
        raise ValueError("a tensor reaches out of its storage")
    row: NDArray[np.float32] = whole.float()[offset::step][:length].numpy()
    return row


def _dtype(held: Any) -> np.dtype[Any]:
    """Return a plain type of numbers; arrays of objects and records are refused."""
    name, order = held.args[0], held.state[1] if held.state else "="
    if not isinstance(held, _DType) or not re.fullmatch(r"[iuf][1248]", name) or order not in ("<", ">", "=", "|"):
        raise ValueError("numbers of an unknown type")
    return np.dtype(f"{order}{name}")


def _map(file: Any, name: str, size: tuple[int, int], label: str) -> NDArray[np.float32]:
    """Return one map float32 (y, x) in 0..1 of an open HDF5 file."""
    found = file.get(name)
    if found is None:
        raise StoreError(f"{label} has no {name}.", "Compute the state of this plane again.")
    # Links to other files and parts in other files are not followed: only this file was chosen.
    if not hasattr(found, "dtype") or found.file.filename != file.filename or found.external or found.is_virtual:
        raise StoreError(f"{name} in {label} is no array of this file.", _AGAIN)
    if found.shape != size:
        raise StoreError(
            f"{name} in {label} is of shape {found.shape}, but the plane is {_sides(size)}.",
            "It belongs to another image, or was computed along the wrong axes, as micro-sam does for tiled volumes. "
            + _AGAIN,
        )
    if found.dtype.kind != "f":
        raise StoreError(f"{name} in {label} holds {found.dtype} in the place of numbers in 0..1.", _AGAIN)
    values: NDArray[np.float32] = found[...].astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if math.isnan(low):
        raise StoreError(f"{name} in {label} has pixels without a value (NaN).", _AGAIN)
    if low < -_SLACK or high > 1 + _SLACK:
        raise StoreError(f"{name} in {label} holds values from {low:g} to {high:g}, not in 0..1.", _AGAIN)
    return values.clip(0, 1)


def _sides(size: tuple[int, ...]) -> str:
    return f"{size[0]} x {size[1]} pixels (height x width)"
