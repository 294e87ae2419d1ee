"""A trained model learns: what moves, what stays, and what ends a training."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from microsam_nb.core import ImageError, LabelledImage, ModelError, SettingsError
from microsam_nb.engine import load_model
from microsam_nb.engine.backbones.sam import FastEncoder
from microsam_nb.engine.backbones.tiny_vit import build_tiny_vit
from microsam_nb.engine.checkpoint import read_checkpoint
from microsam_nb.engine.models import Model, ModelSpec
from microsam_nb.engine.training import (
    CropDataset,
    FinetuningSettings,
    MaskLoss,
    Schedule,
    Score,
    TrainingPrecision,
    TrainingSettings,
    Validator,
    checkpoint,
    export,
    finetune,
    learner,
    train,
    with_decoder,
)
from microsam_nb.engine.training.asked import Draws, first_prompts, frame_of
from microsam_nb.engine.training.batches import draw_batch
from microsam_nb.engine.training.checkpoint import load_checkpoint
from microsam_nb.engine.training.clicks import corrections, scattered_points
from microsam_nb.engine.training.crops import Grids
from microsam_nb.engine.training.embedded import new_nano
from microsam_nb.engine.training.lora import add_lora, merge_lora, merged, with_adapters
from microsam_nb.engine.training.losses import mask_loss, overlap
from microsam_nb.engine.training.parts import network
from microsam_nb.engine.training.schedule import Progress, rate_at

TINY = FinetuningSettings(
    steps=2, steps_per_epoch=1, batch=1, objects=2, corrections=1, crop=64, warmup=1, precision=TrainingPrecision.FULL
)


def tiny_vit(seed=0, frame=64):
    """segment-anything with an encoder of two blocks in a frame of 64 pixels, and micro-sam's instance decoder."""
    torch.manual_seed(seed)
    grid = frame // 16
    encoder = ImageEncoderViT(
        img_size=frame, embed_dim=32, depth=2, num_heads=2, out_chans=256, window_size=3, use_rel_pos=True,
        global_attn_indexes=(1,),
    )  # fmt: skip
    torch.nn.init.normal_(encoder.pos_embed, std=0.02)
    prompts = PromptEncoder(
        embed_dim=256, image_embedding_size=(grid, grid), input_image_size=(frame, frame), mask_in_chans=16
    )
    masks = MaskDecoder(
        transformer_dim=256,
        transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=64, num_heads=8),
        num_multimask_outputs=3,
        iou_head_depth=2,
        iou_head_hidden_dim=32,
    )
    sam = Sam(FastEncoder(encoder), prompts, masks, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
    return Model(ModelSpec("tiny", "vit_b", "random"), sam, None, torch.device("cpu"), "fp32")


@pytest.fixture
def data(drawn):
    return CropDataset([drawn])


def state_of(model):
    return {k: v.clone() for k, v in network(model).state_dict().items()}


def moved(before, model):
    """The parts of which any weight or running statistic has changed."""
    after = network(model).state_dict()
    changed = {k for k in before if not torch.equal(before[k], after[k])}
    return {".".join(k.split(".")[:2]) if k.startswith("sam.") else "distances" for k in changed}


class TestParts:
    def test_all_parts_learn(self, data):
        model = new_nano()
        before = state_of(model)
        list(finetune(model, data, dataclasses.replace(TINY, mask_chance=1.0)))
        assert moved(before, model) == {"sam.image_encoder", "sam.prompt_encoder", "sam.mask_decoder", "distances"}
        assert not any(p.requires_grad for p in network(model).parameters())
        assert not any(module.training for part in (model.sam, model.distances) for module in part.modules())

    @pytest.mark.parametrize(
        ("frozen", "left"),
        [
            ({"freeze_image_encoder": True}, ("sam.prompt_encoder", "sam.mask_decoder", "distances")),
            ({"freeze_prompt_encoder": True}, ("sam.image_encoder", "sam.mask_decoder", "distances")),
            (
                {"freeze_mask_decoder": True, "freeze_decoder": True},
                ("sam.image_encoder", "sam.prompt_encoder"),
            ),
            ({"prompts": False}, ("sam.image_encoder", "distances")),
            ({"prompts": False, "freeze_image_encoder": True}, ("distances",)),
            ({"distances": 0.0}, ("sam.image_encoder", "sam.prompt_encoder", "sam.mask_decoder")),
        ],
        ids=str,
    )
    def test_what_is_frozen_does_not_move(self, data, frozen, left):
        model = new_nano()
        before = state_of(model)
        list(finetune(model, data, dataclasses.replace(TINY, steps=1, **frozen)))
        assert moved(before, model) == set(left)

    def test_only_the_last_blocks_learn(self, data):
        model = new_nano()
        before = state_of(model)
        list(finetune(model, data, dataclasses.replace(TINY, steps=1, last_blocks=1)))
        after = network(model).state_dict()
        changed = {
            k.split(".")[2] for k in before if k.startswith("sam.image") and not torch.equal(before[k], after[k])
        }
        assert "stage32" in changed
        assert not changed & {"stem", "stage4", "stage8", "stage16"}

    def test_running_statistics_can_stay(self, data):
        model = new_nano()
        before = state_of(model)
        list(finetune(model, data, dataclasses.replace(TINY, steps=1, freeze_norms=True)))
        after = network(model).state_dict()
        assert all(torch.equal(before[k], after[k]) for k in before if "image_encoder" in k and "running_" in k)

    def test_nothing_left_to_learn_is_refused(self, data):
        still = {f"freeze_{part}": True for part in ("image_encoder", "prompt_encoder", "mask_decoder", "decoder")}
        with pytest.raises(SettingsError, match="Leave one of its parts free"):
            next(finetune(new_nano(), data, dataclasses.replace(TINY, **still)))
        with pytest.raises(SettingsError, match="Choose prompts, or distances above 0"):
            dataclasses.replace(TINY, prompts=False, distances=0.0)

    def test_a_model_for_inference_says_how_to_load_it(self, data):
        with pytest.raises(ModelError, match=r"load_model\(\.\.\., trainable=True\)"):
            next(finetune(load_model("nano", device="cpu"), data, TINY))

    def test_a_decoder_is_made_where_there_is_none(self, drawn):
        model = tiny_vit()
        data = CropDataset([drawn])
        with pytest.raises(SettingsError, match=r"with_decoder\(model\)"):
            next(finetune(model, data, TINY))
        one = with_decoder(model)
        assert with_decoder(one) is one
        before = state_of(one)
        (result,) = finetune(one, data, dataclasses.replace(TINY, steps=1, prompts=False))
        assert moved(before, one) == {"sam.image_encoder", "distances"}
        assert result.distance_loss > 0

    def test_a_vit_takes_whole_frames_only(self, data):
        with pytest.raises(SettingsError, match="Choose crop=128"):
            next(train(tiny_vit(frame=128), data, dataclasses.replace(TINY, distances=0.0)))


class TestLowRank:
    @pytest.mark.parametrize("layers", ["q,v", "q,k,v,mlp", "mlp"])
    def test_of_a_vit_only_its_factors_learn_and_merge_to_the_same_answers(self, data, layers, tmp_path):
        model = tiny_vit()
        settings = dataclasses.replace(TINY, distances=0.0, lora_rank=3, lora_layers=layers)
        before = merged(model)
        add_lora(model, settings)
        encoder = {n: p for n, p in model.sam.image_encoder.named_parameters() if p.requires_grad}
        assert encoder
        assert all(".inner." in n or ".outer." in n for n in encoder)
        assert {min(p.shape) for p in encoder.values()} == {3}
        list(train(model, data, settings))
        after = merged(model)
        changed = {k.split(".")[-2] for k in after if k.startswith("image") and not torch.equal(before[k], after[k])}
        assert changed == ({"qkv"} if "q" in layers else set()) | ({"lin1", "lin2"} if "mlp" in layers else set())
        if layers == "q,v":
            keys = slice(32, 64)
            name = "image_encoder.blocks.1.attn.qkv.weight"
            assert torch.equal(before[name][keys], after[name][keys])
        # Under micro-sam's names, the reader of its checkpoints merges them to the same weights.
        named = with_adapters(model)
        assert any("w_a_linear_" in k for k in named)
        torch.save(named, tmp_path / "lora.pt")
        read = read_checkpoint(tmp_path / "lora.pt").sam
        assert read.keys() == after.keys()
        for key in after:
            torch.testing.assert_close(read[key], after[key], atol=1e-6, rtol=1e-5)
        image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            one = model.sam.image_encoder(image)
            merge_lora(model)
            torch.testing.assert_close(model.sam.image_encoder(image), one)
        assert model.sam.state_dict().keys() == before.keys()

    @pytest.mark.parametrize(
        ("layers", "part"), [("q,v", "sam.mask_decoder"), ("conv", "sam.image_encoder"), ("mlp", "sam.mask_decoder")]
    )
    def test_nano_has_them_in_its_mask_decoder_and_convolutions(self, data, layers, part):
        model = new_nano()
        before = state_of(model)
        settings = dataclasses.replace(
            TINY, freeze_prompt_encoder=True, freeze_decoder=True, freeze_norms=True, lora_rank=2, lora_layers=layers
        )
        list(finetune(model, data, dataclasses.replace(settings, freeze_mask_decoder="conv" in layers)))
        assert moved(before, model) == {part}
        name = "sam.mask_decoder.transformer.layers.0.cross_attn_token_to_image"
        after = network(model).state_dict()
        if layers == "q,v":
            change = after[f"{name}.q_proj.weight"] - before[f"{name}.q_proj.weight"]
            assert torch.linalg.matrix_rank(change.double(), atol=1e-6) <= 2
            assert torch.equal(after[f"{name}.k_proj.weight"], before[f"{name}.k_proj.weight"])

    def test_tiny_vit_keeps_queries_keys_and_values_of_a_head_together(self, data):
        sam = build_tiny_vit()
        model = Model(ModelSpec("tiny", "vit_t", "random"), sam, None, torch.device("cpu"), "fp32")
        before = merged(model)
        settings = dataclasses.replace(TINY, steps=1, distances=0.0, lora_rank=2, lora_layers="k,mlp")
        list(finetune(model, data, settings))
        name = "image_encoder.layers.2.blocks.0.attn.qkv.weight"
        heads = (merged(model)[name] != before[name]).view(5, 3, 32, 160).flatten(2).any(2)
        assert heads.tolist() == [[False, True, False]] * 5
        name = "image_encoder.layers.2.blocks.0.mlp.fc1.weight"
        assert not torch.equal(merged(model)[name], before[name])

    @pytest.mark.parametrize(("layers", "remedy"), [("q,x", "Name some of q, k"), ("conv", "Choose conv for nano")])
    def test_layers_that_are_not_there(self, data, layers, remedy):
        settings = dataclasses.replace(TINY, distances=0.0, lora_rank=2, lora_layers=layers)
        with pytest.raises(SettingsError, match=remedy):
            next(finetune(tiny_vit(), data, settings))


class TestResuming:
    SETTINGS = dataclasses.replace(TINY, steps=4, steps_per_epoch=3, checkpoint_every=1, mask_chance=1.0)

    def test_a_training_that_was_killed_within_an_epoch_ends_bit_equal(self, data, drawn, tmp_path, monkeypatch):
        whole = new_nano()
        validation = Validator([drawn], crops=2, automatic=0)
        results = list(finetune(whole, data, self.SETTINGS, validation=validation))
        drawn_batches = []

        def draw(model, data, settings, random, **more):
            batch = draw_batch(model, data, settings, random, **more)
            drawn_batches.append(float(batch.images.sum()))
            return batch

        monkeypatch.setattr(learner, "draw_batch", draw)
        first = finetune(new_nano(), data, self.SETTINGS, folder=tmp_path, validation=validation)
        learn = learner.Learner._learn

        def killed(self, batches):
            if self.step == 2:
                raise KeyboardInterrupt
            return learn(self, batches)

        with monkeypatch.context() as patch:
            patch.setattr(learner.Learner, "_learn", killed)
            with pytest.raises(KeyboardInterrupt):
                next(first)
        assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 2
        interrupted = drawn_batches[2]
        drawn_batches.clear()
        model = new_nano()
        rest = list(finetune(model, data, self.SETTINGS, folder=tmp_path, validation=validation))
        assert drawn_batches[0] == interrupted
        for one, other in zip(rest, results, strict=True):
            same = {"seconds": 0.0}
            assert dataclasses.replace(one, **same) == dataclasses.replace(other, **same)
        before, after = state_of(whole), network(model).state_dict()
        assert all(torch.equal(before[k], after[k]) for k in before)

    def test_an_epoch_that_was_left_before_it_was_measured_is_measured(self, data, drawn, tmp_path):
        settings = dataclasses.replace(TINY, steps=3, steps_per_epoch=2)
        validation = Validator([drawn], crops=1, automatic=0)
        whole = list(finetune(new_nano(), data, settings, validation=validation))

        def leave(step, loss, save):
            if step >= 2:
                save()
                raise KeyboardInterrupt

        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                list(finetune(new_nano(), data, settings, folder=tmp_path, validation=validation, between=leave))
        rest = finetune(new_nano(), data, settings, folder=tmp_path, validation=validation)
        assert [(one.step, one.loss) for one in rest] == [(3, whole[1].loss)]
        assert load_checkpoint(tmp_path / "best.pt")["step"] in (2, 3)

    def test_another_model_or_other_settings_are_refused(self, data, tmp_path):
        next(finetune(new_nano(), data, TINY, folder=tmp_path))
        with pytest.raises(SettingsError, match=r"begun with rate=0\.0003"):
            next(finetune(new_nano(), data, dataclasses.replace(TINY, rate=1e-4), folder=tmp_path))
        other = new_nano()
        other = dataclasses.replace(other, spec=dataclasses.replace(other.spec, hash="other"))
        with pytest.raises(SettingsError, match="Load the same model"):
            next(finetune(other, data, TINY, folder=tmp_path))

    def test_a_full_disk_keeps_the_earlier_checkpoint_and_the_training_goes_on(self, data, tmp_path, monkeypatch):
        settings = dataclasses.replace(TINY, steps=3)
        save, count = torch.save, []

        def full(state, part):
            count.append(1)
            if len(count) == 2:
                part.write_bytes(b"half")
                raise OSError(28, "No space left on device")
            if len(count) == 3:
                raise RuntimeError("PytorchStreamWriter failed writing file")
            save(state, part)

        monkeypatch.setattr(checkpoint.torch, "save", full)
        results = list(finetune(new_nano(), data, settings, folder=tmp_path))
        assert [r.step for r in results] == [1, 2, 3]
        assert results[0].notes == ()
        (second,), (third,) = results[1].notes, results[2].notes
        assert "No space left on device" in second
        assert "the earlier one is kept and the training goes on. Make room on the disk" in second
        assert "the disk may be full" in third
        assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 1
        assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


_TWO = """
import sys
from pathlib import Path
import numpy as np, torch, torch.distributed as dist
from microsam_nb.core import LabelledImage
from microsam_nb.engine.training import CropDataset, FinetuningSettings, Validator, finetune
from microsam_nb.engine.training.crops import Grids
from microsam_nb.engine.training.embedded import new_nano
rank, folder = int(sys.argv[1]), Path(sys.argv[2])
dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
pixels, labels = (np.load(folder / f"{name}.npy") for name in ("pixels", "labels"))
image = LabelledImage(pixels, labels)
settings = FinetuningSettings(steps=2, steps_per_epoch=2, batch=1, objects=2, corrections=1, crop=64)
model = new_nano()
validation = Validator([image], crops=1, automatic=0)
(result,) = finetune(model, CropDataset([image]), settings, folder=folder / "run", validation=validation)
weights = {k: v for k, v in model.sam.named_parameters()}
torch.save({"weights": weights, "loss": result.loss, "score": result.score.total}, folder / f"{rank}.pt")
dist.destroy_process_group()
"""


def test_two_processes_draw_their_own_crops_and_keep_equal_weights(drawn, tmp_path):
    np.save(tmp_path / "pixels.npy", drawn.pixels)
    np.save(tmp_path / "labels.npy", drawn.labels)
    command = [sys.executable, "-c", _TWO]
    both = [subprocess.Popen([*command, str(rank), str(tmp_path)]) for rank in range(2)]
    assert [one.wait(240) for one in both] == [0, 0]
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert one["loss"] != other["loss"]
    assert one["score"] == other["score"]
    assert all(torch.equal(value, other["weights"][name]) for name, value in one["weights"].items())
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["best.pt", "checkpoint.pt"]


class TestEnding:
    def poisoned(self, monkeypatch, steps):
        learn = learner.Learner._backward

        def backward(self, batch, draws, count):
            if self.step in steps:
                batch = dataclasses.replace(batch, images=batch.images * math.nan)
            return learn(self, batch, draws, count)

        monkeypatch.setattr(learner.Learner, "_backward", backward)

    def test_a_step_without_a_number_is_left_out(self, data, monkeypatch):
        self.poisoned(monkeypatch, {1})
        model = new_nano()
        (result,) = finetune(model, data, dataclasses.replace(TINY, steps=3, steps_per_epoch=3))
        assert result.notes == ("1 step was left out because the loss was no number.",)
        assert math.isfinite(result.loss)
        assert result.stopped == ""
        assert all(v.isfinite().all() for v in network(model).state_dict().values())

    def test_several_in_a_row_end_the_training_with_what_is_best(self, data, monkeypatch):
        self.poisoned(monkeypatch, range(1, 100))
        model = new_nano()
        results = list(finetune(model, data, dataclasses.replace(TINY, steps=50, steps_per_epoch=10)))
        assert len(results) == 1
        assert results[0].step == 6
        assert "lower learning rate" in results[0].stopped
        assert all(v.isfinite().all() for v in network(model).state_dict().values())

    def test_without_a_better_score_it_ends_and_the_best_is_kept(self, data, tmp_path):
        scores = iter([0.3, 0.5, 0.4, 0.4, 0.9])

        class Told:
            def score(self, model, settings):
                return Score(next(scores))

        model = new_nano()
        settings = dataclasses.replace(TINY, steps=9, early_stop=2, freeze_image_encoder=True)
        results = list(finetune(model, data, settings, folder=tmp_path, validation=Told()))
        assert [r.best for r in results] == [True, True, False, False]
        assert results[-1].stopped == "No better score in 2 epochs; the best weights are kept."
        kept = load_checkpoint(tmp_path / "best.pt")
        assert (kept["step"], kept["score"]) == (2, 0.5)
        assert all(torch.equal(v, kept["model_state"][k]) for k, v in model.sam.state_dict().items())
        loaded = load_model(tmp_path / "best.pt", device="cpu", trainable=True)
        assert all(torch.equal(v, loaded.sam.state_dict()[k]) for k, v in model.sam.state_dict().items())
        # What has ended does not begin again.
        assert list(finetune(new_nano(), data, settings, folder=tmp_path, validation=Told())) == []

    def test_rates(self):
        settings = TrainingSettings(steps=100, warmup=10, rate=1.0)
        assert rate_at(settings, 0) == pytest.approx(0.1)
        assert rate_at(settings, 9) == rate_at(settings, 10) == pytest.approx(1.0)
        assert rate_at(settings, 100) == pytest.approx(0.01)
        assert rate_at(dataclasses.replace(settings, schedule=Schedule.CONSTANT), 100) == 1.0
        plateau = dataclasses.replace(settings, schedule=Schedule.PLATEAU, patience=2)
        progress = Progress()
        assert [progress.tell(v, plateau) for v in (0.5, 0.4, 0.5, 0.6)] == [True, False, False, True]
        assert progress.factor == 0.5


class TestUnknown:
    def test_it_gives_no_gradient_and_does_not_count(self):
        target = torch.zeros(1, 8, 8)
        target[0, 2:5, 2:5] = 1
        known = torch.ones(1, 8, 8, dtype=torch.bool)
        known[0, :, 5:] = False
        for kind in MaskLoss:
            logits = torch.zeros(1, 8, 8, requires_grad=True)
            loss = mask_loss(logits, target, kind=kind, known=known)
            loss.sum().backward()
            assert (logits.grad[~known] == 0).all()
            assert (logits.grad[known] != 0).all()
            other = torch.where(known, 0.0, 9.0)
            assert torch.equal(mask_loss(other, target, kind=kind, known=known), loss.detach())
        answer = torch.where(known, target * 2 - 1, 5.0)
        assert overlap(answer, target, known).item() == 1
        where, sign = corrections(answer, target, known=known)
        assert sign.item() == 1
        assert target[0, where[0, 0], where[0, 1]] == 1

    def test_no_negative_click_lies_there(self):
        target = torch.zeros(1, 8, 8)
        target[0, 2:6, 2:6] = 1
        known = torch.ones(1, 8, 8, dtype=torch.bool)
        known[0, :, 6:] = False
        for seed in range(20):
            where, _ = scattered_points(target, 0, 3, torch.Generator().manual_seed(seed), known)
            assert known[0, where[0, :, 0], where[0, :, 1]].all()

    def test_crops_carry_it_to_both_grids(self, drawn):
        known = np.zeros(drawn.labels.shape, bool)
        known[:, :48] = True
        marked = LabelledImage(drawn.pixels, np.where(known, drawn.labels, 0).astype(np.int32), known=known)
        crop = CropDataset([marked]).draw(64, np.random.default_rng(3))
        assert not crop.known.all()
        assert not crop.learned[~crop.known].any()
        assert not (crop.labels[~crop.known] > 0).any()
        with pytest.raises(ImageError, match="same height and width as the labels"):
            LabelledImage(drawn.pixels, drawn.labels, known=known[1:])

    def test_the_answer_for_an_object_with_known_ground_around_is_known_everywhere(self, drawn):
        known = np.zeros(drawn.labels.shape, bool)
        known[8:42, 8:44] = True  # the first disc and its surroundings
        known[55:85, 26:54] = drawn.labels[55:85, 26:54] > 0  # the third one, and nothing around it
        marked = LabelledImage(drawn.pixels, np.where(known, drawn.labels, 0).astype(np.int32), known=known)
        settings = dataclasses.replace(TINY, batch=8)
        batch = draw_batch(new_nano(), CropDataset([marked]), settings, np.random.default_rng(0))
        whole = batch.known.all((1, 2))
        assert whole.any()
        assert not whole.all()
        # The decoder, asked for all objects at once, learns nothing of what nobody has looked at.
        assert not batch.learned.flatten(1).all(1).any()
        assert (batch.learned & (batch.distances[:, 0] == 0)).any()

    def test_what_is_found_where_nobody_has_looked_does_not_count(self, drawn, nano):
        known = np.zeros(drawn.labels.shape, bool)
        known[:, :50] = True
        part = LabelledImage(drawn.pixels, np.where(known, drawn.labels, 0).astype(np.int32), known=known)
        all_of_it = LabelledImage(drawn.pixels, part.labels)
        seen, blamed = (Validator([one], crops=1).score(nano, TINY).accuracy for one in (part, all_of_it))
        assert seen > blamed

    def test_images_that_hold_nothing_teach_the_decoder(self, drawn, data):
        empty = LabelledImage(drawn.pixels, np.zeros_like(drawn.labels))
        unseen = dataclasses.replace(empty, known=np.zeros(drawn.labels.shape, bool))
        both = CropDataset([drawn, empty], empty=0.5)
        settings = dataclasses.replace(TINY, batch=6)
        batch = draw_batch(new_nano(), both, settings, np.random.default_rng(0))
        bare = [i for i in range(6) if not batch.distances[i, 0].any()]
        assert bare
        assert not set(bare) & set(batch.owner.tolist())
        assert len(batch.owner) == 12
        assert CropDataset([drawn, unseen], empty=0.5)._empty == 0


@pytest.mark.parametrize(("box", "points"), [(True, True), (True, False), (False, True)])
def test_a_first_box_may_come_with_points(data, box, points):
    model = new_nano()
    chosen = dataclasses.replace(
        TINY, box_chance=float(box), box_points_chance=float(points and box), several_chance=float(not box)
    )
    batch = draw_batch(model, data, chosen, np.random.default_rng(0))
    draws = Draws(np.random.default_rng(0), torch.Generator().manual_seed(0))
    prompts = first_prompts(batch, frame_of(model, batch, draws.random), chosen, draws)
    assert (prompts.boxes is not None) == box
    assert (prompts.points is not None) == points
    if points:
        assert 1 in prompts.labels
    if box:
        list(finetune(model, data, dataclasses.replace(chosen, steps=1)))


def test_crops_show_typical_objects_as_automatic_segmentation_does(drawn):
    labels = drawn.labels.copy()
    labels[0:4, 90:94] = 9
    data = CropDataset([LabelledImage(drawn.pixels, labels)])
    # By area the disc with radius 11 is in the middle, the speck is not.
    assert data._prepared[0].diameter == pytest.approx(22, abs=1)
    random = np.random.default_rng(0)
    for _ in range(12):
        crop = data.draw(Grids(128, 64, 64, typical=1.0), random)
        widths = [math.sqrt(4 / math.pi * float((crop.labels == i).sum())) for i in crop.labels.unique() if i in (1, 2)]
        # 0.16 to 0.36 of 64 cells, and a little less for what the crop cuts.
        assert all(width < 0.38 * 64 for width in widths)


class TestValidation:
    def test_equal_weights_have_bit_equal_scores(self, drawn, random_nano):
        validation = Validator([drawn], crops=3, automatic=1)
        one, other = (validation.score(random_nano, TINY) for _ in range(2))
        assert one == other
        assert 0 <= one.first_iou <= 1
        assert 0 <= one.accuracy <= 1
        assert one.total == pytest.approx((one.first_iou + one.last_iou + one.accuracy) / 3)
        assert math.isnan(validation.score(random_nano, dataclasses.replace(TINY, prompts=False)).first_iou)
        assert Score(0.25).total == 0.25

    def test_an_image_can_be_learned(self, drawn, data):
        model = new_nano()
        validation = Validator([drawn], crops=4, automatic=0)
        random = dataclasses.replace(TINY, typical_chance=0.0)
        before = validation.score(model, random)
        settings = dataclasses.replace(
            random, steps=40, steps_per_epoch=40, batch=2, rate=2e-3, average=0.8, corrections=0, balanced=1.0
        )
        (result,) = finetune(model, data, settings, validation=validation)
        assert result.score.first_iou > before.first_iou + 0.1


class TestFrugality:
    @pytest.mark.parametrize("make", [new_nano, lambda: with_decoder(tiny_vit())], ids=["nano", "vit"])
    def test_blocks_computed_again_give_the_same_gradient(self, data, make):
        # Normalisations that count would count twice.
        settings = dataclasses.replace(TINY, steps=1, freeze_norms=True)
        plain, again = make(), make()
        list(finetune(plain, data, settings))
        list(finetune(again, data, dataclasses.replace(settings, recompute=True)))
        one, other = plain.sam.image_encoder.state_dict(), again.sam.image_encoder.state_dict()
        assert all(torch.equal(one[k], other[k]) for k in one)

    def test_gradients_add_up_over_batches(self, data, monkeypatch):
        # The same batch twice is the batch.
        random = learner.Learner._random
        monkeypatch.setattr(learner.Learner, "_random", lambda self, step, batch, what: random(self, step, 0, what))
        settings = dataclasses.replace(TINY, steps=1, freeze_norms=True, freeze_decoder=True)
        one, other = new_nano(), new_nano()
        list(finetune(one, data, settings))
        list(finetune(other, data, dataclasses.replace(settings, accumulate=2)))
        for name, value in one.sam.state_dict().items():
            torch.testing.assert_close(other.sam.state_dict()[name], value, atol=1e-5, rtol=1e-4)


class TestExport:
    def test_nano_with_low_rank_additions_reads_back(self, data, tmp_path):
        model = new_nano()
        list(finetune(model, data, dataclasses.replace(TINY, steps=1, lora_rank=2, lora_layers="q,v,conv")))
        for name in ("own.safetensors", "own.pt"):
            export(model, tmp_path / name)
            loaded = load_model(tmp_path / name, device="cpu", trainable=True)
            for key, value in network(model).state_dict().items():
                torch.testing.assert_close(network(loaded).state_dict()[key], value, atol=1e-3, rtol=1e-3)
        assert export(model, tmp_path / "bare").name == "bare.safetensors"

    def test_others_are_written_in_both_forms(self, tmp_path):
        plain = tiny_vit()
        torch.testing.assert_close(torch.load(export(plain, tmp_path / "plain")), dict(plain.sam.state_dict()))
        both = with_decoder(plain)
        state = torch.load(export(both, tmp_path / "both.pt"), weights_only=True)
        assert state.keys() == {"model_state", "decoder_state"}
        export(both, tmp_path / "both.safetensors")
        for name in ("both.pt", "both.safetensors"):
            read = read_checkpoint(tmp_path / name)
            torch.testing.assert_close(read.sam, dict(both.sam.state_dict()))
            torch.testing.assert_close(read.decoder, dict(both.distances.state_dict()))

    def test_a_model_for_inference_is_refused(self, tmp_path):
        with pytest.raises(ModelError, match="trainable=True"):
            export(load_model("nano", device="cpu"), tmp_path / "a.pt")
        assert not list(tmp_path.iterdir())
