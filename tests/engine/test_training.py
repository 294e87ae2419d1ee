"""Targets, crops, losses, simulated clicks, and a tiny training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from microsam_nb.core import LabelledImage, MicrosamError, ModelError, SettingsError
from microsam_nb.engine import load_model
from microsam_nb.engine.training import CropDataset, TrainingSettings, dataset, train
from microsam_nb.engine.training.augment import vary_intensity
from microsam_nb.engine.training.checkpoint import load_checkpoint, save_checkpoint
from microsam_nb.engine.training.clicks import boxes_of, corrections, first_points, scattered_points
from microsam_nb.engine.training.dataset import objects_of
from microsam_nb.engine.training.distances import distance_targets
from microsam_nb.engine.training.drawn import KINDS, drawn_images
from microsam_nb.engine.training.embedded import embedded_dataset, new_nano, save_embedded
from microsam_nb.engine.training.losses import distance_loss, mask_loss, overlap

TINY = TrainingSettings(steps=3, steps_per_epoch=1, batch=2, objects=2, corrections=1, crop=64, warmup=1)


def shapes():
    """A disc, a C, a one-pixel line and a square cut by the image's edge; uint8 (60, 80)."""
    labels = np.zeros((60, 80), np.uint8)
    yy, xx = np.indices(labels.shape)
    labels[(yy - 20) ** 2 + (xx - 20) ** 2 <= 121] = 3
    labels[8:40, 45:75] = 7
    labels[14:34, 52:75] = 0
    labels[50, 10:30] = 9
    labels[45:60, 60:80] = 12
    return labels


class TestDistances:
    def test_channels_and_background(self):
        labels = shapes()
        out = distance_targets(labels)
        assert out.shape == (3, 60, 80)
        assert out.dtype == np.float32
        assert np.array_equal(out[0], labels > 0)
        assert (out[1:, labels == 0] == 1).all()
        assert out.min() >= 0
        assert out.max() <= 1

    @pytest.mark.parametrize("number", [3, 7, 12])
    def test_the_deepest_pixel_is_zero_and_the_border_one(self, number):
        labels = shapes()
        boundary = distance_targets(labels)[2]
        inside = labels == number
        assert boundary[inside].min() == 0
        padded = np.pad(inside, 1)
        core = padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2]
        # Where the image cuts an object, the distance is counted from beyond the edge: one pixel less.
        edge = np.zeros_like(inside)
        edge[[0, -1]] = edge[:, [0, -1]] = True
        assert (boundary[inside & ~core & ~edge] == 1).all()
        assert (boundary[inside & edge] > 0.8).all()
        y, x = np.argwhere(inside & (boundary == 0))[0]
        assert core[y, x]

    def test_a_disc_is_deepest_in_its_middle(self):
        out = distance_targets(shapes())
        assert out[1, 20, 20] == out[2, 20, 20] == 0
        assert out[1, 20, 31] == out[1, 9, 20] == 1

    def test_the_centre_of_a_c_lies_in_it(self):
        labels = shapes()
        centre = distance_targets(labels)[1]
        inside = labels == 7
        middle = np.argwhere(inside).mean(0).round().astype(int)
        assert not inside[tuple(middle)]
        assert centre[inside].min() == 0
        assert centre[inside].max() == 1

    def test_a_line_is_all_boundary(self):
        labels = shapes()
        out = distance_targets(labels)
        assert (out[2][labels == 9] == 1).all()
        assert out[1][labels == 9].max() == 1

    def test_without_objects_and_without_background(self):
        empty = distance_targets(np.zeros((5, 6), np.int32))
        assert not empty[0].any()
        assert (empty[1:] == 1).all()
        full = distance_targets(np.repeat([[4, 4, 4, 9, 9, 9]], 6, axis=0))
        assert (full[0] == 1).all()
        assert full[2].min() == 0

    def test_ids_do_not_matter(self):
        labels = shapes().astype(np.int32)
        assert np.array_equal(distance_targets(labels), distance_targets(labels * 1000))


class TestCrops:
    @pytest.fixture
    def plain(self, monkeypatch):
        monkeypatch.setattr(dataset, "vary_intensity", lambda image, random: image)

    def test_shapes_and_types(self, drawn):
        data = CropDataset([drawn])
        crop = data.draw(64, np.random.default_rng(0))
        assert crop.image.shape == (3, 64, 64)
        assert 0 <= crop.image.min() <= crop.image.max() <= 255
        assert crop.inside.shape == (64, 64)
        assert crop.inside.dtype == torch.bool
        assert crop.labels.shape == (32, 32)
        assert crop.labels.dtype == torch.int64
        assert crop.distances.shape == (3, 32, 32)
        assert data.groups == {"drawn | discs": 1}

    @pytest.mark.parametrize("longest", [64, 96, 640])
    def test_image_and_labels_lie_on_each_other(self, drawn, plain, longest):
        clean = LabelledImage((drawn.labels > 0).astype(np.uint8) * 255, drawn.labels, "g")
        data = CropDataset([clean], longest=longest)
        random = np.random.default_rng(1)
        joint = either = 0
        for _ in range(16):
            crop = data.draw(64, random)
            bright = torch.nn.functional.avg_pool2d(crop.image.mean(0)[None], 2)[0] > 127
            truth = crop.labels > 0
            joint += int((bright & truth).sum())
            either += int((bright | truth).sum())
            assert torch.equal(crop.distances[0] > 0, truth)
            assert (crop.distances[1:, ~truth] == 1).all()
            # Half a grid pixel may differ at the image's edge.
            assert truth[~crop.inside[::2, ::2]].sum() <= 64
        # Of an image reduced to 64 pixels a good part is edge.
        assert joint / either > (0.85 if longest == 64 else 0.9)

    def test_every_crop_is_reproducible_and_different(self, drawn):
        data = CropDataset([drawn])
        one, same, other = (data.draw(64, np.random.default_rng(s)) for s in (0, 0, 1))
        assert torch.equal(one.image, same.image)
        assert torch.equal(one.labels, same.labels)
        assert not torch.equal(one.image, other.image)

    def test_groups_are_balanced_and_weighted(self, drawn):
        many = [LabelledImage(drawn.pixels, drawn.labels, "many") for _ in range(16)]
        few = [LabelledImage(drawn.pixels, drawn.labels, "few")]
        data = CropDataset([*many, *few], balance=0.25)
        assert data._chance[:16].sum() == pytest.approx(2 / 3)
        data = CropDataset([*many, *few], balance=0.25, weights={"few": 2.0})
        assert data._chance[16] == pytest.approx(1 / 2)
        assert data._chance.sum() == pytest.approx(1)

    def test_images_without_objects_are_left_out(self, drawn):
        empty = LabelledImage(drawn.pixels, np.zeros_like(drawn.labels), "empty")
        assert CropDataset([empty, drawn]).groups == {"drawn | discs": 1}
        with pytest.raises(MicrosamError) as error:
            CropDataset([empty])
        assert error.value.remedy == "Add images with labels above 0."

    def test_pieces_of_one_id_are_several_objects(self, plain):
        labels = np.zeros((64, 64), np.int32)
        labels[5:20, 5:20] = labels[40:60, 40:60] = 1
        data = CropDataset([LabelledImage(np.zeros((64, 64), np.uint8), labels, "g")])
        assert set(torch.unique(data._prepared[0].labels).tolist()) == {0, 1, 2}

    def test_objects_are_drawn_without_crumbs(self):
        labels = torch.zeros(20, 20, dtype=torch.int64)
        for i in range(4):
            labels[i * 5 : i * 5 + 4, :4] = i + 1
        labels[0, 19] = 9
        assert objects_of(labels, 9, np.random.default_rng(0)) == [1, 2, 3, 4]
        some = objects_of(labels, 2, np.random.default_rng(0))
        assert len(set(some)) == 2
        assert set(some) <= {1, 2, 3, 4}
        assert objects_of(torch.zeros(5, 5), 2, np.random.default_rng(0)) == []

    def test_intensities_vary_but_stay_in_range(self):
        image = torch.rand(3, 32, 32) * 255
        before = image.clone()
        found = [vary_intensity(image, np.random.default_rng(s)) for s in range(30)]
        assert torch.equal(image, before)
        assert all(f.shape == (3, 32, 32) and f.min() >= 0 and f.max() <= 255 for f in found)
        assert sum(not torch.allclose(f, image, atol=0.01) for f in found) > 20


class TestLosses:
    @pytest.fixture
    def target(self):
        target = torch.zeros(1, 32, 32)
        target[0, 8:20, 8:20] = 1
        return target

    @pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
    def test_a_perfect_mask_costs_nothing_an_empty_one_much(self, target, balance):
        perfect = mask_loss((target * 2 - 1) * 20, target, balance)
        empty = mask_loss(torch.full_like(target, -20.0), target, balance)
        full = mask_loss(torch.full_like(target, 20.0), target, balance)
        assert perfect.shape == (1,)
        assert perfect.item() == pytest.approx(0, abs=1e-4)
        assert empty.item() > 1
        assert full.item() > 0.5

    def test_a_better_mask_costs_less(self, target):
        close, far = torch.zeros_like(target), torch.zeros_like(target)
        close[0, 8:20, 8:19] = far[0, 8:20, 8:12] = 1
        assert mask_loss(close * 8 - 4, target) < mask_loss(far * 8 - 4, target)

    def test_masks_are_judged_one_by_one(self, target):
        logits = torch.stack([(target * 2 - 1) * 20, torch.full_like(target, -20.0)], dim=1)
        loss = mask_loss(logits, target[:, None])
        assert loss.shape == (1, 2)
        assert loss[0, 0] < 0.01 < loss[0, 1]

    def test_overlap(self, target):
        half = torch.full_like(target, -1.0)
        half[0, 8:20, 8:14] = 1
        assert overlap((target * 2 - 1), target).item() == 1
        assert overlap(half, target).item() == pytest.approx(0.5)
        assert overlap(torch.full_like(target, -1.0), target).item() == 0
        assert overlap(torch.full_like(target, -1.0), torch.zeros_like(target)).item() == 0

    def test_distances_right_are_cheap_and_wrong_are_dear(self):
        truth = torch.from_numpy(distance_targets(shapes()))[None]
        inside = torch.ones(1, 60, 80, dtype=torch.bool)
        right = torch.logit(truth.clamp(1e-4, 1 - 1e-4))
        assert distance_loss(right, truth, inside).item() < 0.01
        assert distance_loss(-right, truth, inside).item() > 2

    def test_pixels_beyond_the_image_do_not_count(self):
        truth = torch.from_numpy(distance_targets(shapes()))[None]
        inside = torch.ones(1, 60, 80, dtype=torch.bool)
        inside[..., 40:] = False
        logits = torch.logit(truth.clamp(1e-4, 1 - 1e-4))
        wrong = logits.clone()
        wrong[..., 40:] *= -1
        assert distance_loss(wrong, truth, inside).item() == pytest.approx(distance_loss(logits, truth, inside).item())


class TestClicks:
    @pytest.fixture
    def targets(self):
        masks = torch.zeros(3, 24, 30)
        masks[0, 3:9, 5:20] = 1
        masks[1, 20:24, 0:3] = 1
        masks[2, 11, 29] = 1
        return masks

    def test_first_points_lie_in_their_object(self, targets):
        torch.manual_seed(0)
        for _ in range(30):
            rows, cols = first_points(targets, torch.zeros_like(targets)).T
            assert (targets[torch.arange(3), rows, cols] == 1).all()

    def test_deep_pixels_are_likelier(self, targets):
        torch.manual_seed(0)
        depth = torch.zeros_like(targets)
        depth[0, 6, 10] = 1
        hits = sum(first_points(targets, depth)[0].tolist() == [6, 10] for _ in range(300))
        assert 30 < hits < 150  # 1.05 of 1.05 + 89 * 0.05: expected 57

    def test_boxes_are_tight_without_jitter(self, targets):
        boxes = boxes_of(targets, 0.0, torch.Generator().manual_seed(0))
        expected = torch.tensor([[5, 3, 20, 9], [0, 20, 3, 24], [29, 11, 30, 12]])
        assert (boxes - expected).abs().max() <= 0.25

    def test_jitter_moves_edges_by_a_share_of_the_side(self, targets):
        random = torch.Generator().manual_seed(0)
        boxes = torch.stack([boxes_of(targets, 0.2, random)[0] for _ in range(200)])
        off = (boxes - torch.tensor([5.0, 3, 20, 9])).abs().amax(0)
        limits = torch.tensor([15.0, 6, 15, 6]) * 0.2 + 0.25
        assert (off <= limits).all()
        assert (off > 0.9 * limits).all()

    def test_corrections_lie_in_the_larger_error(self, targets):
        torch.manual_seed(0)
        missed = targets * 2 - 1
        missed[0, 3:9, 5:12] = -1
        extra = targets * 2 - 1
        extra[0, 12:20, 5:12] = 1
        for _ in range(20):
            (row, col), sign = (v[0].tolist() for v in corrections(missed, targets))
            assert (3 <= row < 9, 5 <= col < 12, sign) == (True, True, 1)
            (row, col), sign = (v[0].tolist() for v in corrections(extra, targets))
            assert (12 <= row < 20, 5 <= col < 12, sign) == (True, True, 0)

    def test_a_perfect_mask_is_confirmed_inside(self, targets):
        where, sign = corrections(targets * 2 - 1, targets)
        assert sign.tolist() == [1, 1, 1]
        assert (targets[torch.arange(3), where[:, 0], where[:, 1]] == 1).all()

    def test_scattered_points_lie_inside_and_close_beside(self, targets):
        torch.manual_seed(0)
        for _ in range(10):
            where, labels = scattered_points(targets, 3, 2)
            assert where.shape == (3, 5, 2)
            assert labels.tolist() == [[1, 1, 1, 0, 0]] * 3
            values = targets[torch.arange(3)[:, None], where[..., 0], where[..., 1]]
            assert torch.equal(values, labels)
            rows, cols = where[0, 3:].T
            # The first object has 6 x 15 pixels: half of that, and one, around it.
            assert ((rows >= -1) & (rows < 14) & (cols >= 0) & (cols < 29)).all()


class TestTraining:
    @pytest.fixture
    def data(self, drawn):
        return CropDataset([drawn])

    def test_three_steps_change_the_model_and_report(self, data):
        model = new_nano(0)
        before = {k: v.clone() for k, v in model.sam.state_dict().items()}
        results = list(train(model, data, TINY))
        assert [r.step for r in results] == [1, 2, 3]
        assert all(np.isfinite([r.loss, r.distance_loss]).all() and r.loss > 0 for r in results)
        assert all(0 <= r.first_iou <= 1 and 0 <= r.last_iou <= 1 for r in results)
        after = model.sam.state_dict()
        for part in ("image_encoder.stem.conv.weight", "mask_decoder.mask_tokens.weight"):
            assert not torch.equal(before[part], after[part])
        assert not model.sam.training
        assert all(v.isfinite().all() for v in after.values())

    def test_a_stopped_training_goes_on_from_its_checkpoint(self, data, tmp_path):
        first = next(train(new_nano(0), data, TINY, folder=tmp_path))  # never iterated further, as if killed
        assert first.step == 1
        state = load_checkpoint(tmp_path / "checkpoint.pt")
        assert state["step"] == 1
        model = new_nano(1)
        rest = list(train(model, data, TINY, folder=tmp_path))
        assert [r.step for r in rest] == [2, 3]
        state = load_checkpoint(tmp_path / "checkpoint.pt")
        assert state["step"] == 3
        name = "mask_decoder.mask_tokens.weight"
        assert torch.equal(model.sam.state_dict()[name], state["mean"][f"sam.{name}"])
        again = new_nano(2)
        assert list(train(again, data, TINY, folder=tmp_path)) == []
        assert torch.equal(again.sam.state_dict()[name], model.sam.state_dict()[name])
        assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]

    def test_without_the_instance_decoder(self, data):
        settings = TrainingSettings(steps=1, batch=1, objects=2, corrections=0, crop=64, distances=0.0)
        model = new_nano(0)
        before = model.distances.head.weight.clone()
        (result,) = train(model, data, settings)
        assert result.distance_loss == 0
        assert torch.equal(model.distances.head.weight, before)

    def test_settings_have_bounds(self):
        with pytest.raises(SettingsError) as error:
            TrainingSettings(crop=32)
        assert error.value.remedy == "Choose a value from 64 to 1024."

    def test_a_crash_while_writing_keeps_the_earlier_checkpoint(self, tmp_path, monkeypatch):
        path = tmp_path / "deep" / "checkpoint.pt"
        save_checkpoint(path, {"step": 1, "mean": {"a": torch.ones(2)}})

        def torn(state, part):
            part.write_bytes(b"half a file")
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(torch, "save", torn)
            with pytest.raises(KeyboardInterrupt):
                save_checkpoint(path, {"step": 2})
        assert load_checkpoint(path)["step"] == 1
        save_checkpoint(path, {"step": 3})
        assert load_checkpoint(path)["step"] == 3

    @pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04"])
    def test_a_damaged_checkpoint_says_to_delete_it(self, data, tmp_path, content):
        (tmp_path / "checkpoint.pt").write_bytes(content)
        with pytest.raises(ModelError) as error:
            next(train(new_nano(0), data, TINY, folder=tmp_path))
        assert error.value.remedy == "Delete it to start the training anew."


class TestEmbedded:
    def test_seeds_decide_the_weights(self):
        one, same, other = (new_nano(s).distances.head.weight for s in (0, 0, 1))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)

    def test_a_trained_model_can_be_saved_and_loaded(self, drawn, tmp_path):
        model = new_nano(0)
        data = embedded_dataset([drawn], drawn=2)
        assert data.groups == {"drawn | discs": 1, "drawn | blobs": 1, "drawn | rods": 1}
        list(train(model, data, TrainingSettings(steps=1, batch=1, objects=1, corrections=0, crop=64)))
        save_embedded(model, tmp_path / "nano.safetensors", note="one step")
        loaded = load_model(tmp_path / "nano.safetensors", device="cpu")
        name = "mask_decoder.mask_tokens.weight"
        torch.testing.assert_close(loaded.sam.state_dict()[name], model.sam.state_dict()[name], atol=1e-3, rtol=1e-3)
        assert [p.name for p in tmp_path.iterdir()] == ["nano.safetensors"]

    def test_a_model_without_instance_decoder_cannot_be_embedded(self, random_nano, tmp_path):
        from dataclasses import replace

        with pytest.raises(ModelError) as error:
            save_embedded(replace(random_nano, distances=None), tmp_path / "a.safetensors", note="")
        assert "new_nano()" in error.value.remedy
        assert not list(tmp_path.iterdir())


def test_images_with_specks_only_are_refused():
    labels = np.zeros((400, 400), np.int32)
    labels[50, 50:52] = 1
    with pytest.raises(MicrosamError, match="object of 10 pixels or more"):
        CropDataset([LabelledImage(labels.astype(np.uint8), labels)])


@pytest.mark.parametrize("crop", [100, 288])
def test_crops_must_fit_the_frame(crop, drawn):
    data = CropDataset([drawn])
    with pytest.raises(SettingsError, match="multiple of 32 up to 256"):
        next(train(new_nano(), data, TrainingSettings(steps=1, crop=crop)))


@pytest.fixture(scope="module")
def images():
    return drawn_images(len(KINDS))


class TestDrawn:
    def test_every_kind_has_objects_that_can_be_seen(self, images):
        assert [one.group for one in images] == [f"drawn | {kind}" for kind in KINDS]
        for one in images:
            assert one.pixels.dtype == np.uint8
            assert one.pixels.shape[:2] == one.labels.shape == (320, 320)
            assert one.labels.max() >= 2
            # Some bit of contrast sets objects, or the walls between them, off.
            assert one.pixels.std() > 10

    def test_the_seed_decides(self, images):
        again, other = drawn_images(1)[0], drawn_images(1, seed=1)[0]
        assert np.array_equal(again.pixels, images[0].pixels)
        assert np.array_equal(again.labels, images[0].labels)
        assert not np.array_equal(again.pixels, other.pixels)


def test_any_object_is_shown_at_any_size(drawn):
    data = CropDataset([drawn])
    random = np.random.default_rng(0)
    sizes = []
    for _ in range(60):
        labels = data.draw(256, random).labels
        sizes += [int((labels == i).sum()) for i in torch.unique(labels).tolist() if i > 0]
    # On the grid of 128 cells: discs from a few cells to half the crop wide.
    assert min(sizes) < 150
    assert max(sizes) > 3000
