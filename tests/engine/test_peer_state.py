"""States that micro-sam left beside its embeddings, good ones and hostile ones."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import struct
import sys
import tracemalloc
import warnings
from collections import OrderedDict
from contextlib import suppress

import numpy as np
import pytest
import torch
from segment_anything.utils.amg import MaskData, mask_to_rle_pytorch

from microsam_nb.core import StoreError
from microsam_nb.engine.automatic import peer_state
from microsam_nb.engine.automatic.peer_state import find_amg_state, read_amg_state, read_is_state

SIZE = (12, 17)


def drawn():
    """A block, one pixel in a corner, a wrapped run, everything, nothing, and noise."""
    masks = np.zeros((6, *SIZE), bool)
    masks[0, 3:7, 5:9] = True
    masks[1, -1, -1] = True
    masks[2, -2:, 3] = masks[2, :1, 4] = True
    masks[3] = True
    masks[5] = np.random.default_rng(0).random(SIZE) > 0.5
    return masks


def mask_data(masks=None, **others):
    masks = drawn() if masks is None else masks
    n = len(masks)
    fields = {
        "iou_preds": torch.linspace(0.1, 1.05, n),
        "points": torch.zeros(n, 2),
        "stability_score": torch.linspace(0, 1, n),
        "boxes": torch.full((n, 4), 999, dtype=torch.int32),
        "rles": mask_to_rle_pytorch(torch.from_numpy(masks)),
    }
    return MaskData(**(fields | others))


def state_of(*parts, size=SIZE, boxes=None):
    return {
        "crop_list": list(parts),
        "crop_boxes": boxes or [[0, 0, size[1], size[0]] for _ in parts],
        "original_size": size,
    }


@pytest.fixture
def written(tmp_path):
    """Write a state and return its path."""

    def write(state, protocol=pickle.DEFAULT_PROTOCOL):
        path = tmp_path / "amg_state.pickle"
        content = state if isinstance(state, bytes) else pickle.dumps(state, protocol)
        path.write_bytes(content)
        return path

    return write


def refused(path, match, size=SIZE):
    with pytest.raises(StoreError, match=match) as caught:
        read_amg_state(path, size)
    assert "ompute the state again" in caught.value.remedy
    return caught.value


def test_files_are_found_by_their_names(tmp_path):
    assert find_amg_state(tmp_path, None) is None
    assert find_amg_state(tmp_path, 3) is None
    (tmp_path / "amg_state").mkdir()
    for name in ("amg_state.pickle", "amg_state/state-3.pkl"):
        (tmp_path / name).touch()
    assert find_amg_state(tmp_path, None) == tmp_path / "amg_state.pickle"
    assert find_amg_state(tmp_path, 3) == tmp_path / "amg_state" / "state-3.pkl"
    assert find_amg_state(tmp_path, 4) is None


@pytest.mark.parametrize("protocol", range(4, pickle.HIGHEST_PROTOCOL + 1))
def test_masks_scores_and_windows_are_read(written, protocol):
    found = read_amg_state(written(state_of(mask_data()), protocol), SIZE, plane=4)
    assert found.size == SIZE
    for mask, expected in zip(found.masks, drawn(), strict=True):
        assert mask.start[0] == 4
        assert mask.area == expected.sum()
        assert np.array_equal(mask.dense((5, *SIZE))[4], expected)
    # Boxes are those of the pixels, whatever the file says.
    assert found.boxes[0].tolist() == [3, 5, 7, 9]
    assert found.boxes[1].tolist() == [11, 16, 12, 17]
    assert found.areas[4] == 0
    np.testing.assert_allclose(found.scores, np.linspace(0.1, 1.05, 6), rtol=1e-6)
    np.testing.assert_allclose(found.stability, np.linspace(0, 1, 6), rtol=1e-6)
    assert found.windows.tolist() == [[0, 0, *SIZE]] * 6


def test_random_masks_of_every_size_come_back(written):
    rng = np.random.default_rng(1)
    for _ in range(60):
        size = tuple(int(n) for n in rng.integers(1, 9, 2))
        masks = rng.random((4, *size)) > rng.random()
        found = read_amg_state(written(state_of(mask_data(masks), size=size)), size)
        assert np.array_equal([mask.dense((1, *size))[0] for mask in found.masks], masks)
        assert np.array_equal(found.areas, masks.sum((1, 2)))


def test_tiles_keep_their_windows(written):
    path = written(state_of(mask_data(drawn()[:1]), mask_data(), boxes=[[0, 0, 10, 8], [8, 4, 17, 12]]))
    found = read_amg_state(path, SIZE)
    assert len(found) == 7
    assert found.windows[:2].tolist() == [[0, 0, 8, 10], [4, 8, 12, 17]]


def test_nothing_found_is_no_error(written):
    assert len(read_amg_state(written(state_of()), SIZE)) == 0
    assert len(read_amg_state(written(state_of(MaskData(), mask_data(np.zeros((0, *SIZE), bool)))), SIZE)) == 0


def test_runs_of_no_pixels_are_skipped(written):
    odd = [{"size": [*SIZE], "counts": [5, 3, 0, 2, 4, 0, 190]}]
    one = {"iou_preds": torch.ones(1), "stability_score": torch.ones(1)}
    (mask,) = read_amg_state(written(state_of(mask_data(drawn()[:1], rles=odd, **one))), SIZE).masks
    assert np.flatnonzero(mask.dense((1, *SIZE))[0].T).tolist() == list(range(5, 10))


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.numpy(),
        lambda v: v.numpy().astype(np.float64),
        lambda v: v.numpy().astype(">f4"),
        lambda v: v.half(),
        lambda v: torch.stack([v, -v], 1)[:, 0],
        lambda v: torch.cat([v * 0 - 7, v])[6:],
    ],
    ids=["numpy", "double", "big-endian", "half", "strided", "offset"],
)
def test_numbers_may_be_kept_in_several_ways(written, change, protocol):
    values = torch.linspace(0.25, 0.75, 6)
    data = mask_data(iou_preds=change(values), stability_score=change(values))
    found = read_amg_state(written(state_of(data), protocol), SIZE)
    np.testing.assert_allclose(found.scores, values, atol=1e-3)
    np.testing.assert_allclose(found.stability, values, atol=1e-3)


def test_sizes_may_be_numbers_of_numpy(written):
    state = state_of(mask_data(), boxes=[[np.int64(0), np.int32(0), np.int64(17), np.uint16(12)]])
    state["original_size"] = tuple(np.array(SIZE))
    assert len(read_amg_state(written(state), SIZE)) == 6


def test_an_empty_mask_has_no_stability_in_micro_sam(written):
    data = mask_data(stability_score=torch.tensor([0.5] * 5 + [torch.nan]))
    assert read_amg_state(written(state_of(data)), SIZE).stability.tolist() == [0.5] * 5 + [0]


class Evil:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("evil", "name"),
    [
        (lambda marker: Evil(os.system, f"touch {marker}"), "system"),
        (lambda marker: Evil(eval, f"open({str(marker)!r}, 'w')"), "builtins.eval"),
        (lambda marker: Evil(builtins.getattr, [], "append"), "builtins.getattr"),
        (lambda marker: Evil(torch.load, str(marker)), "torch.serialization.load"),
    ],
    ids=["system", "eval", "getattr", "torch.load"],
)
@pytest.mark.parametrize("place", ["alone", "beside", "inside"])
def test_code_is_refused_by_name_and_never_run(written, tmp_path, evil, name, place):
    marker = tmp_path / "marker"
    wish, state = evil(marker), state_of(mask_data())
    if place == "beside":
        state["more"] = wish
    if place == "inside":
        state["crop_list"][0]["rles"][0]["counts"] = wish
    path = written(wish if place == "alone" else state)
    assert name in refused(path, "refused").what
    assert not marker.exists()
    if name == "system":  # the wish is real
        pickle.loads(path.read_bytes())
        assert marker.exists()


def test_code_inside_a_tensor_is_never_run(written, tmp_path):
    marker = tmp_path / "marker"
    storage = io.BytesIO()
    torch.save({"a": Evil(os.system, f"touch {marker}")}, storage, _use_new_zipfile_serialization=False)
    for content in (storage.getvalue(), pickle.dumps(Evil(os.system, f"touch {marker}"))):
        kept = Evil(torch.storage._load_from_bytes, content)
        tensor = Evil(torch._utils._rebuild_tensor_v2, kept, 0, (6,), (1,), False, OrderedDict())
        data = mask_data()
        data._stats["iou_preds"] = tensor
        # torch's own sentence says how to have it run.
        assert "weights" not in str(refused(written(state_of(data)), "cannot be read"))
    assert not marker.exists()


def test_a_file_cannot_change_the_reader(written):
    for name in list(peer_state._ALLOWED):
        module, _, last = name.rpartition(".")
        wanted = b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, last)) + b"\x93"
        for state in (b"}\x8c\4argsK\1s", b"N}\x8c\x0c__setstate__Ns\x86"):
            refused(written(b"\x80\x04" + wanted + state + b"b."), "cannot be read .TypeError")
    assert len(read_amg_state(written(state_of(mask_data())), SIZE)) == 6


def test_every_cut_is_refused(written):
    content = pickle.dumps(state_of(mask_data()))
    for length in range(0, len(content), 7):
        refused(written(content[:length]), "cannot be read")


def test_damaged_bytes_never_raise_anything_else(written):
    content = pickle.dumps(state_of(mask_data()))
    rng = np.random.default_rng(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(300):
            damaged = bytearray(content)
            for place in rng.integers(0, len(content), 3):
                damaged[place] = rng.integers(0, 256)
            with suppress(StoreError):
                assert read_amg_state(written(bytes(damaged)), SIZE).size == SIZE


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"PK\3\4", pickle.dumps([1]), pickle.dumps({}), pickle.dumps(None)]
)
def test_other_files_are_refused(written, content):
    refused(written(content), "amg_state.pickle (cannot be read|is no complete state)")


def test_a_missing_file_is_refused(tmp_path):
    refused(tmp_path / "none.pkl", "none.pkl cannot be read")


def test_another_image_is_refused(written):
    path = written(state_of(mask_data()))
    refused(path, "of 12 x 17 pixels .*, but the plane is 17 x 12", size=SIZE[::-1])


def one_mask(counts, size=SIZE):
    one = {"iou_preds": torch.ones(1), "stability_score": torch.ones(1)}
    return mask_data(drawn()[:1], rles=[{"size": size, "counts": counts}], **one)


@pytest.mark.parametrize(
    "part",
    [
        one_mask([]),
        one_mask([203]),
        one_mask([200, 5]),
        one_mask([5, -1, 200]),
        one_mask([100.0, 104.0]),
        one_mask([True] * 204),
        one_mask([2**70, 1]),
        one_mask([2**63, -(2**63), 204]),
        one_mask([[204]]),
        one_mask("204"),
        one_mask(None),
        one_mask([204], size=[17, 12]),
        one_mask([10**18], size=[10**9, 10**9]),
        mask_data(rles=[{}] * 6),
        mask_data(rles=[None] * 6),
        mask_data(rles=mask_data()["rles"][:5]),
        mask_data(iou_preds=torch.ones(5)),
        mask_data(stability_score=torch.ones(7)),
        mask_data(iou_preds=torch.full((6,), torch.nan)),
        mask_data(iou_preds=torch.full((6,), torch.inf)),
        mask_data(stability_score=torch.full((6,), 1.5)),
        mask_data(iou_preds=torch.ones(6, dtype=torch.int32)),
        mask_data(iou_preds=torch.ones(6, 1)),
        mask_data(iou_preds=torch.ones(1).expand(6)),
        mask_data(iou_preds=np.ones(6, np.int32)),
        mask_data(iou_preds=np.ones((6, 1), np.float32)),
        mask_data(iou_preds=np.array([1.0] * 6, object)),
        mask_data(iou_preds=[1.0] * 6),
        MaskData(iou_preds=torch.ones(1)),
        {"rles": []},
        None,
    ],
    ids=lambda part: "",
)
def test_parts_that_make_no_sense_are_refused(written, part):
    refused(written(state_of(part)), "cannot be read|is no complete state")


@pytest.mark.parametrize(
    "box",
    [[0, 0, 18, 12], [0, 0, 17, 13], [-1, 0, 17, 12], [5, 0, 5, 12], [0, 0, 17], [0.0, 0, 17, 12], None, "0000"],
)
def test_crop_boxes_out_of_the_plane_are_refused(written, box):
    refused(written(state_of(mask_data(), boxes=[box])), "cannot be read")


def test_lists_of_different_lengths_are_refused(written):
    refused(written(state_of(mask_data(), mask_data(), boxes=[[0, 0, 17, 12]])), "2 parts for 1 crop boxes")


@pytest.mark.parametrize(
    "claim",
    [
        b"r\xff\xff\xff\xff",
        b"p4000000000\n",
        b"\x8e" + b"\xff" * 7 + b"\0",
        b"B\xff\xff\xff\xff",
        b"\x96" + b"\xff" * 8,
    ],
    ids=["number", "text number", "bytes", "short bytes", "bytearray"],
)
def test_few_bytes_cannot_claim_much_memory(written, claim):
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(written(b"\x80\x04}" + claim + b"."), "cannot be read")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def storage_bytes(claimed=None):
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(torch.ones(6).storage(), out, _use_new_zipfile_serialization=False)
    content = out.getvalue()
    if claimed is not None:
        assert content.count(b"K\x06Nt") == 1
        content = content.replace(b"K\x06Nt", b"\x8a\x06" + struct.pack("<q", claimed)[:6] + b"Nt")
    return content


@pytest.mark.parametrize(
    "tensor",
    [
        (None, 0, (10**12,), (1,)),
        (None, 0, (10**12,), (0,)),
        (None, 10**12, (6,), (1,)),
        (None, -1, (6,), (1,)),
        (None, 0, (6,), (-1,)),
        (None, 1, (6,), (1,)),
        (None, 0, (6,), (2,)),
        (10**14, 0, (6,), (1,)),
    ],
)
def test_tensors_that_reach_out_of_their_storage_are_refused(written, tensor):
    claimed, *rest = tensor
    kept = Evil(torch.storage._load_from_bytes, storage_bytes(claimed))
    data = mask_data()
    data._stats["iou_preds"] = Evil(torch._utils._rebuild_tensor_v2, kept, *rest, False, OrderedDict())
    refused(written(state_of(data)), "cannot be read")


def test_huge_claims_take_no_memory(written):
    data = one_mask([10**10], size=[10**5, 10**5])
    deep = [1]
    for _ in range(40):
        deep = [deep, deep]
    paths = [
        (state_of(data, size=(10**5, 10**5)), SIZE),
        (state_of(data), SIZE),
        (state_of(one_mask(deep)), SIZE),
        (state_of(one_mask([204, deep])), SIZE),
        # An empty mask in a plane that is large indeed.
        (state_of(data, size=(10**5, 10**5)), (10**5, 10**5)),
    ]
    tracemalloc.start()
    try:
        for state, size in paths[:-1]:
            with pytest.raises(StoreError):
                read_amg_state(written(state), size)
        assert read_amg_state(written(paths[-1][0]), paths[-1][1]).areas.tolist() == [0]
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


# --- is_state.h5 -----------------------------------------------------------------------------------------------------

NAMES = ("foreground", "boundary_distances", "center_distances")


def write_maps(path, group="state", size=SIZE, **changed):
    """Write the maps as micro-sam does, with ramps of three slopes, and return them by name."""
    h5py = pytest.importorskip("h5py")
    ramp = np.linspace(0, 1, size[0] * size[1], dtype=np.float32).reshape(size)
    maps = {name: ramp ** (i + 1) for i, name in enumerate(NAMES)} | changed
    with h5py.File(path, "a") as file:
        held = file.create_group(group)
        for name, values in maps.items():
            if values is not None:
                held.create_dataset(name, data=values, compression="gzip")
    return maps


def refused_maps(path, match, plane=None, size=SIZE):
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(StoreError, match=match) as caught:
        read_is_state(path, size, plane)
    assert (path.read_bytes() if path.exists() else None) == before
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(("plane", "group"), [(None, "state"), (0, "state-0"), (12, "state-12")])
def test_maps_are_read_in_the_order_of_the_decoder(tmp_path, plane, group):
    path = tmp_path / "is_state.h5"
    maps = write_maps(path, group)
    path.chmod(0o444)
    before = path.read_bytes()
    found = read_is_state(path, SIZE, plane)
    assert found.dtype == np.float32
    order = ("foreground", "center_distances", "boundary_distances")
    assert np.array_equal(found, [maps[name] for name in order])
    assert path.read_bytes() == before


def test_values_just_beyond_the_range_are_clipped(tmp_path):
    path = tmp_path / "is_state.h5"
    values = np.full(SIZE, 1.009, np.float64)
    values[0, 0] = -0.009
    write_maps(path, foreground=values)
    found = read_is_state(path, SIZE, None)
    assert (found.min(), found.max()) == (0, 1)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"foreground": None}, "no state/foreground"),
        ({"center_distances": None}, "no state/center_distances"),
        ({"foreground": np.zeros((3, SIZE[0]), np.float32)}, r"\(3, 12\).*wrong axes.*tiled volumes"),
        ({"foreground": np.zeros((1, *SIZE), np.float32)}, r"\(1, 12, 17\)"),
        ({"foreground": np.full(SIZE, np.nan, np.float32)}, "NaN"),
        ({"foreground": np.full(SIZE, np.inf, np.float32)}, "not in 0..1"),
        ({"foreground": np.full(SIZE, 1.02, np.float32)}, "not in 0..1"),
        ({"boundary_distances": np.full(SIZE, -0.02, np.float32)}, "not in 0..1"),
        ({"foreground": np.zeros(SIZE, np.int16)}, "int16"),
    ],
)
def test_maps_that_make_no_sense_are_refused(tmp_path, changed, match):
    path = tmp_path / "is_state.h5"
    write_maps(path, **changed)
    refused_maps(path, match)


def test_a_plane_that_was_not_computed_is_refused(tmp_path):
    path = tmp_path / "is_state.h5"
    write_maps(path, "state-0")
    assert "Compute the state" in refused_maps(path, "no state-1/foreground", plane=1).remedy
    refused_maps(path, "no state/foreground")


def test_maps_of_another_image_are_refused(tmp_path):
    path = tmp_path / "is_state.h5"
    write_maps(path)
    refused_maps(path, "another image", size=(17, 12))


def test_one_missing_pixel_is_refused(tmp_path):
    path = tmp_path / "is_state.h5"
    values = np.zeros(SIZE, np.float32)
    values[4, 5] = np.nan
    write_maps(path, center_distances=values)
    refused_maps(path, "center_distances.*NaN")


def test_other_files_are_no_maps(tmp_path):
    pytest.importorskip("h5py")
    path = tmp_path / "is_state.h5"
    refused_maps(path, "cannot be read")
    assert not path.exists()
    path.write_bytes(b"garbage")
    refused_maps(path, "cannot be read")
    path.unlink()
    write_maps(path)
    path.write_bytes(path.read_bytes()[:1500])
    refused_maps(path, "cannot be read|has no")


def test_parts_of_other_files_are_not_read(tmp_path):
    h5py = pytest.importorskip("h5py")
    other, raw, path = tmp_path / "other.h5", tmp_path / "raw", tmp_path / "is_state.h5"
    write_maps(other)
    raw.write_bytes(bytes(4 * SIZE[0] * SIZE[1]))
    virtual = h5py.VirtualLayout(SIZE, np.float32)
    virtual[:] = h5py.VirtualSource(str(other), "state/foreground", SIZE)
    with h5py.File(path, "w") as file:
        file["state-0/foreground"] = h5py.ExternalLink(str(other), "state/foreground")
        file.create_dataset("state-1/foreground", SIZE, np.float32, external=[(str(raw), 0, h5py.h5f.UNLIMITED)])
        file.create_virtual_dataset("state-2/foreground", virtual)
        file.create_group("state-3/foreground")
        file["state-4"] = h5py.ExternalLink(str(other), "state")
    for plane in range(5):
        refused_maps(path, "no array of this file", plane=plane)


def test_a_huge_claim_is_refused_unread(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "is_state.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("state/foreground", (10**6, 10**6), np.float32, chunks=(64, 64))
    refused_maps(path, r"\(1000000, 1000000\)")


def test_without_h5py_the_remedy_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert "pip install h5py" in refused_maps(tmp_path / "is_state.h5", "not installed").remedy
