"""What the expensive stages found, in memory, on disk, and in the caches of micro-sam."""

from __future__ import annotations

import errno
import json
import pickle
import threading
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
import zarr
from segment_anything.utils.amg import MaskData, mask_to_rle_pytorch

from microsam_nb.core import BoxPrompt, Image, Mask, Point, StoreError
from microsam_nb.engine import embed, open_store
from microsam_nb.engine.automatic import GridSettings, Kept, kept
from microsam_nb.engine.automatic.answers import Answers, Asked, Found
from microsam_nb.engine.automatic.kept import PlaneMaps
from microsam_nb.engine.automatic.proposals import Proposals
from microsam_nb.engine.store.key import EmbeddingKey
from microsam_nb.engine.tiling import Tiling, Window

SIZE = (20, 30)
GRID = {"points_per_side": 32, "zoom": 1.0}


@pytest.fixture(scope="module")
def image():
    return Image(np.random.default_rng(0).integers(0, 200, (3, *SIZE)).astype(np.uint8), "zyx")


@pytest.fixture
def key(image, random_nano):
    return EmbeddingKey.of(image, random_nano, None)


@pytest.fixture(params=["memory", "folder"])
def where(request, tmp_path):
    return None if request.param == "memory" else tmp_path / "a.zarr"


def some_maps(seed=0, size=SIZE):
    return PlaneMaps(np.random.default_rng(seed).random((3, *size)).astype(np.float16), 12.5)


def some_proposals(plane=1, count=3):
    random = np.random.default_rng(count)
    masks = [Mask((plane, i % 15, i % 23), random.random((1, 5, 7)) > 0.3) for i in range(count)]
    return Proposals.made(SIZE, masks, [0.5 + 0.1 * i for i in range(count)], [0.9] * count,
                          [Window(0, 0, *SIZE)] * count, plane)  # fmt: skip


def some_answers(plane=1):
    mask = Mask((plane, 3, 4), np.ones((1, 5, 6), bool))
    found = Found(mask, 0.75, 0.5, Window(0, 0, *SIZE))
    asked = [
        Asked(Point(plane, 5.5, 6.5), None, True, False),
        Asked(None, BoxPrompt(plane, 1, 2, 9, 12), False, True),
        Asked(Point(plane, 5.5, 6.5), BoxPrompt(plane, 1, 2, 9, 12)),
        Asked(None, None, region=mask),
    ]
    return Answers(dict.fromkeys(asked, found))


def same_maps(one, other):
    return one is not None and np.array_equal(one.maps, other.maps) and one.size == other.size


def same_proposals(one, other):
    return one is not None and one.masks == other.masks and np.array_equal(one.scores, other.scores)


def test_maps_come_back(where, key):
    found = some_maps()
    Kept.at(where, key).put_maps(1, 2.0, found)
    again = Kept.at(where, key)
    if where is None:
        again.put_maps(1, 2.0, found)
    assert same_maps(again.maps(1, 2.0), found)
    assert again.maps(1, 2.0).maps.dtype == np.float16
    assert again.maps(0, 2.0) is None
    assert again.maps(1, 2.5) is None


def test_maps_of_an_empty_plane_have_no_size(tmp_path, key):
    Kept.at(tmp_path, key).put_maps(0, 1.0, replace(some_maps(), size=None))
    assert Kept.at(tmp_path, key).maps(0, 1.0).size is None


@pytest.mark.parametrize("count", [0, 1, 40])
def test_what_a_grid_found_comes_back(tmp_path, key, count):
    Kept.at(tmp_path, key).put_grid(1, GRID, 0.5, some_proposals(count=count))
    found = Kept.at(tmp_path, key).grid(1, GRID, 0.5)
    assert same_proposals(found, some_proposals(count=count))
    assert found.plane == 1


def test_a_grid_serves_higher_thresholds_but_not_lower_ones(where, key):
    known = Kept.at(where, key)
    known.put_grid(1, GRID, 0.5, some_proposals())
    for here in (known, *([] if where is None else [Kept.at(where, key)])):
        assert here.grid(1, GRID, 0.7) is not None
        assert here.grid(1, GRID, 0.4) is None
        assert here.grid(1, {**GRID, "points_per_side": 16}, 0.7) is None


def test_answers_come_back_and_are_empty_at_first(where, key):
    known = Kept.at(where, key)
    assert known.answers(1, 1.0).found == {}
    known.put_answers(1, 1.0, some_answers())
    here = known if where is None else Kept.at(where, key)
    found = here.answers(1, 1.0).found
    assert list(found) == list(some_answers().found)
    assert all(one.mask == other.mask for one, other in zip(found.values(), some_answers().found.values(), strict=True))
    assert here.answers(1, 3.0).found == {}


def test_what_is_kept_again_replaces_what_was_there(tmp_path, key):
    known = Kept.at(tmp_path, key)
    known.put_grid(1, GRID, 0.5, some_proposals(count=40))
    known.put_grid(1, GRID, 0.3, some_proposals(count=2))
    found = Kept.at(tmp_path, key).grid(1, GRID, 0.3)
    assert same_proposals(found, some_proposals(count=2))


def test_results_lie_beside_the_embeddings_and_leave_them_alone(tmp_path, image, random_nano):
    store = open_store(tmp_path / "a.zarr", random_nano, image)
    list(embed(random_nano, image, store))
    Kept.at(tmp_path / "a.zarr", store.key).put_maps(1, 1.0, some_maps())
    again = open_store(tmp_path / "a.zarr", random_nano, image)
    assert again.complete
    assert torch.equal(again.plane(1).features, store.plane(1).features)
    assert same_maps(Kept.at(tmp_path / "a.zarr", again.key).maps(1, 1.0), some_maps())


def test_results_lie_in_a_store_that_has_begun(tmp_path, image, random_nano):
    """Kept before a single plane is encoded."""
    store = open_store(tmp_path / "a.zarr", random_nano, image)
    Kept.at(tmp_path / "a.zarr", store.key).put_maps(1, 1.0, some_maps())
    list(embed(random_nano, image, store))
    assert open_store(tmp_path / "a.zarr", random_nano, image).complete


def test_results_may_lie_in_a_packed_store(tmp_path, image, random_nano):
    """A zip file that is complete cannot be written: nothing is kept there, and nothing fails."""
    store = open_store(tmp_path / "a.zip", random_nano, image)
    list(embed(random_nano, image, store))
    known = Kept.at(tmp_path / "a.zip", open_store(tmp_path / "a.zip", random_nano, image).key)
    known.put_maps(1, 1.0, some_maps())
    assert same_maps(known.maps(1, 1.0), some_maps())


def refused(error, part):
    assert part in error.value.remedy
    return error.value.what


def test_another_image_is_refused(tmp_path, key, image, random_nano):
    Kept.at(tmp_path, key).put_maps(0, 1.0, some_maps())
    for other in (Image(image.pixels + np.uint8(1)), Image(image.pixels[:2])):
        with pytest.raises(StoreError) as error:
            Kept.at(tmp_path, EmbeddingKey.of(other, random_nano, None))
        assert "another image" in refused(error, "Open it with that image, or choose another store.")


def test_another_model_or_tiling_is_refused(tmp_path, key):
    Kept.at(tmp_path, key).put_maps(0, 1.0, some_maps())
    with pytest.raises(StoreError) as error:
        Kept.at(tmp_path, replace(key, model="xxh128:other"))
    assert "choose another store" in error.value.remedy
    with pytest.raises(StoreError) as error:
        Kept.at(tmp_path, replace(key, tiling=Tiling((9, 9), (1, 1))))
    refused(error, "Open it with tiling=None")


def test_a_key_that_cannot_be_read_is_refused(tmp_path, key):
    Kept.at(tmp_path, key)
    zarr.open_group(tmp_path / "automatic", mode="r+").attrs["microsam_nb"] = {"format": 1, "key": {}}
    with pytest.raises(StoreError) as error:
        Kept.at(tmp_path, key)
    refused(error, "Delete its folder automatic to compute it again.")


def test_attributes_of_another_kind_are_refused(tmp_path, key):
    Kept.at(tmp_path, key)
    zarr.open_group(tmp_path / "automatic", mode="r+").attrs["microsam_nb"] = {"format": 1}
    with pytest.raises(StoreError) as error:
        Kept.at(tmp_path, key)
    refused(error, "Delete its folder automatic to compute it again.")


def test_a_folder_of_other_files_is_refused(tmp_path, key):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError) as error:
        Kept.at(tmp_path, key)
    refused(error, "new or empty folder")


@pytest.fixture
def full(tmp_path, key):
    """A place with maps, a grid and answers of plane 1."""
    known = Kept.at(tmp_path / "a", key)
    known.put_maps(1, 1.0, some_maps())
    known.put_grid(1, GRID, 0.5, some_proposals())
    known.put_answers(1, 1.0, some_answers())
    return tmp_path / "a"


def parts(folder):
    (maps,), (grid,), (answers,) = ((folder / "automatic" / kind).glob("1-*") for kind in ("maps", "grid", "answers"))
    return maps, grid, answers


def is_empty(folder, key):
    here = Kept.at(folder, key)
    return here.maps(1, 1.0) is None and here.grid(1, GRID, 0.5) is None and not here.answers(1, 1.0).found


def test_a_full_place_is_full(full, key):
    """Otherwise the tests below could not fail."""
    here = Kept.at(full, key)
    assert here.maps(1, 1.0) is not None
    assert here.grid(1, GRID, 0.5) is not None
    assert len(here.answers(1, 1.0).found) == 4


def change_attributes(folder, change):
    for part in parts(folder):
        path = part / "zarr.json"
        about = json.loads(path.read_text())
        change(about["attributes"])
        path.write_text(json.dumps(about))


def test_a_part_whose_writing_was_interrupted_does_not_count(full, key):
    change_attributes(full, lambda attributes: attributes.pop("done"))
    assert is_empty(full, key)


def test_damaged_chunks_are_computed_again(full, key):
    for part in parts(full):
        for chunk in part.rglob("c/**/*"):
            if chunk.is_file():
                chunk.write_bytes(chunk.read_bytes()[:-3] + b"odd")
    assert is_empty(full, key)


def test_arrays_that_are_missing_are_computed_again(full, key):
    for part, name in zip(parts(full), ("maps", "scores", "asked"), strict=True):
        (part / name / "zarr.json").unlink()
    assert is_empty(full, key)


def test_arrays_of_another_shape_are_computed_again(full, key):
    for part, name in zip(parts(full), ("maps", "scores", "asked"), strict=True):
        zarr.open_group(part, mode="r+").create_array(name, data=np.ones((4, 5, 6)), overwrite=True)
    assert is_empty(full, key)


def test_what_is_no_group_is_computed_again(full, key):
    for part in parts(full):
        (part / "zarr.json").write_text("rubbish")
    assert is_empty(full, key)
    again = Kept.at(full, key)
    again.put_maps(1, 1.0, some_maps(3))
    assert same_maps(Kept.at(full, key).maps(1, 1.0), some_maps(3))


@pytest.mark.parametrize(
    ("problem", "remedy"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "Check the place and its permissions"),
        (OSError(errno.ENOSPC, "No space left on device"), "Free some and go on"),
    ],
    ids=["read-only", "full"],
)
def test_a_place_that_cannot_be_written_says_so(tmp_path, key, monkeypatch, problem, remedy):
    known = Kept.at(tmp_path / "a", key)

    def fail(*_, **__):
        raise problem

    monkeypatch.setattr(kept, "_write", fail)
    with pytest.raises(StoreError) as error:
        known.put_maps(1, 1.0, some_maps())
    refused(error, remedy)
    assert same_maps(known.maps(1, 1.0), some_maps()), "in memory it is kept"
    monkeypatch.undo()
    assert Kept.at(tmp_path / "a", key).maps(1, 1.0) is None
    monkeypatch.setattr(zarr.Group, "require_group", fail)
    with pytest.raises(StoreError) as error:
        Kept.at(tmp_path / "b", key)
    refused(error, remedy)


def test_only_so_much_is_kept_in_memory(key):
    one = some_maps().maps.nbytes
    known = Kept(key, budget=2 * one)
    for plane in range(3):
        known.put_maps(plane, 1.0, some_maps(plane))
    assert known.maps(0, 1.0) is None
    assert same_maps(known.maps(1, 1.0), some_maps(1))
    known.put_maps(0, 1.0, some_maps())
    # The one that was used lately stays.
    assert known.maps(2, 1.0) is None
    assert known.maps(1, 1.0) is not None


def test_all_that_is_known_of_the_latest_plane_is_kept_however_large_it_is(key):
    """Answers are worth nothing without the maps of their plane."""
    known = Kept(key, budget=1)
    known.put_maps(0, 1.0, some_maps())
    known.put_grid(0, GRID, 0.5, some_proposals(plane=0))
    known.put_answers(0, 1.0, some_answers(plane=0))
    assert known.maps(0, 1.0) is not None
    assert known.grid(0, GRID, 0.5) is not None
    assert known.answers(0, 1.0).found
    known.put_maps(1, 1.0, some_maps())
    assert known.maps(1, 1.0) is not None
    assert known.maps(0, 1.0) is None
    assert known.grid(0, GRID, 0.5) is None
    assert not known.answers(0, 1.0).found


def test_what_memory_forgot_is_read_again(tmp_path, key):
    known = Kept.at(tmp_path, key)
    known._budget = 1
    for plane in range(3):
        known.put_maps(plane, 1.0, some_maps(plane))
    assert all(same_maps(known.maps(plane, 1.0), some_maps(plane)) for plane in range(3))


def test_threads_share_it(tmp_path, key):
    known, wrong = Kept.at(tmp_path, key), []
    known._budget = 2 * some_maps().maps.nbytes

    def work(plane):
        for _ in range(5):
            known.put_maps(plane, 1.0, some_maps(plane))
            if not same_maps(known.maps(plane, 1.0), some_maps(plane)):
                wrong.append(plane)

    threads = [threading.Thread(target=work, args=(plane,)) for plane in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert wrong == []


# Caches of micro-sam


@pytest.fixture
def peer(tmp_path):
    """The folder of a cache of micro-sam, as far as it matters here."""
    zarr.open_group(tmp_path / "peer.zarr", mode="w").attrs.update({"input_size": [683, 1024], "model_type": "vit_b"})
    return tmp_path / "peer.zarr"


def distances(size=SIZE, seed=0):
    return np.random.default_rng(seed).random((3, *size)).astype(np.float32)


def write_distances(folder, maps, plane=None):
    with h5py.File(folder / "is_state.h5", "a") as file:
        group = file.create_group("state" if plane is None else f"state-{plane}")
        for name, one in zip(("foreground", "center_distances", "boundary_distances"), maps, strict=True):
            group.create_dataset(name, data=one)


def write_masks(folder, masks, plane=None, size=SIZE):
    count = len(masks)
    data = MaskData(
        iou_preds=torch.linspace(0.3, 0.9, count), stability_score=torch.full((count,), 0.96),
        points=torch.zeros(count, 2), boxes=torch.zeros(count, 4), rles=mask_to_rle_pytorch(torch.from_numpy(masks)),
    )  # fmt: skip
    state = {"crop_list": [data], "crop_boxes": [[0, 0, size[1], size[0]]], "original_size": size}
    path = folder / ("amg_state.pickle" if plane is None else f"amg_state/state-{plane}.pkl")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(state))


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_distances_of_micro_sam_are_read_and_nothing_is_written(peer, key):
    write_distances(peer, distances(), plane=1)
    before, known = files(peer), Kept.at(peer, key)
    np.testing.assert_allclose(known.maps(1, 1.0).maps, distances(), atol=1e-3)
    assert known.maps(0, 1.0) is None
    assert known.maps(1, 1.0).maps.dtype == np.float16
    known.put_maps(0, 1.0, some_maps())
    assert same_maps(known.maps(0, 1.0), some_maps())
    assert files(peer) == before


def test_distances_of_a_single_image_have_no_plane(peer, random_nano):
    key = EmbeddingKey.of(Image(np.zeros(SIZE, np.uint8)), random_nano, None)
    write_distances(peer, distances())
    assert Kept.at(peer, key).maps(0, 1.0) is not None


def test_masks_of_micro_sam_serve_every_threshold_of_its_grid(peer, key):
    masks = np.random.default_rng(0).random((4, *SIZE)) > 0.5
    write_masks(peer, masks, plane=2)
    known = Kept.at(peer, key)
    found = known.grid(2, GridSettings().costly(), 0.0)
    assert [mask.start[0] for mask in found] == [2] * 4
    assert np.array_equal([mask.dense((3, *SIZE))[2] for mask in found], masks)
    assert known.grid(2, GridSettings(points_per_side=16).costly(), 0.0) is None
    assert known.grid(1, GridSettings().costly(), 0.0) is None


def test_masks_of_micro_sam_are_no_answer_to_a_grid_with_parts(peer, key):
    """Its own files say nothing of crops: with crop layers there is more to find."""
    write_masks(peer, np.random.default_rng(0).random((4, *SIZE)) > 0.5, plane=2)
    assert Kept.at(peer, key).grid(2, GridSettings(crop_layers=1).costly(), 0.5) is None


@pytest.mark.parametrize("kind", ["maps", "grid"])
def test_a_state_of_another_image_is_computed_again_with_one_warning(peer, key, caplog, kind):
    write_distances(peer, distances((9, 9)), plane=1)
    write_masks(peer, np.ones((1, 9, 9), bool), plane=1, size=(9, 9))
    known = Kept.at(peer, key)
    for _ in range(3):
        found = known.maps(1, 1.0) if kind == "maps" else known.grid(1, GridSettings().costly(), 0.5)
        assert found is None
    (message,) = caplog.messages
    assert "It is computed again." in message
    assert "9, 9" in message or "9 x 9" in message


def test_a_torn_state_is_computed_again(peer, key, caplog):
    (peer / "is_state.h5").write_bytes(b"rubbish")
    (peer / "amg_state").mkdir()
    (peer / "amg_state" / "state-1.pkl").write_bytes(b"rubbish")
    known = Kept.at(peer, key)
    assert known.maps(1, 1.0) is None
    assert known.grid(2, GridSettings().costly(), 0.5) is None
    assert known.grid(1, GridSettings().costly(), 0.5) is None
    assert len(caplog.messages) >= 1


def test_a_cache_without_states_is_no_error(peer, key, caplog):
    known = Kept.at(peer, key)
    assert known.maps(1, 1.0) is None
    assert known.grid(1, GridSettings().costly(), 0.5) is None
    assert not known.answers(1, 1.0).found
    assert caplog.messages == []


def test_what_another_decoder_found_is_not_used(tmp_path, key):
    known = Kept.at(tmp_path / "a.zarr", key)
    known.belong_to("one")
    known.put_maps(1, 1.0, some_maps())
    again = Kept.at(tmp_path / "a.zarr", key)
    again.belong_to("two")
    assert again.maps(1, 1.0) is None
    again.belong_to("one")
    assert same_maps(again.maps(1, 1.0), some_maps())
    again.belong_to("two")
    assert again.maps(1, 1.0) is None
