"""Presets by memory, and the step before a training."""

from __future__ import annotations

import pytest
import torch

from microsam_nb.core import MicrosamError, SettingsError
from microsam_nb.engine.training import (
    PRESETS,
    CropDataset,
    FinetuningSettings,
    TrainingPrecision,
    finetune,
    learner,
    preflight,
    preset_for,
    preset_named,
    preset_of,
)
from microsam_nb.engine.training.embedded import new_nano
from microsam_nb.engine.training.memory import available_memory, resident_memory
from microsam_nb.engine.training.parts import network
from microsam_nb.engine.training.preflight import Preflight

SMALL = FinetuningSettings(
    steps=10, steps_per_epoch=5, batch=2, objects=1, corrections=1, crop=64, precision=TrainingPrecision.FULL
)


@pytest.fixture
def data(drawn):
    return CropDataset([drawn])


@pytest.mark.parametrize(
    ("gigabytes", "name"),
    [(0, "cpu"), (2, "cpu"), (4, "gpu4"), (7.6, "gpu8"), (11.5, "gpu12"), (16.9, "gpu16"), (25.4, "gpu24"),
     (47, "gpu40"), (85, "gpu80"), (140, "gpu80")],
)  # fmt: skip
def test_the_preset_fits_the_memory(gigabytes, name):
    assert preset_for(gigabytes).name == name


def test_presets_have_names_and_grow():
    assert [one.gigabytes for one in PRESETS] == [0, 4, 8, 12, 16, 24, 40, 80]
    assert preset_named("gpu8").settings.lora_rank == 4
    assert preset_of(torch.device("cpu")).architecture == "nano"
    assert preset_named("cpu").label == "processor"
    with pytest.raises(SettingsError, match="Choose one of cpu, gpu4"):
        preset_named("gpu5")


class TestPreflight:
    def test_one_step_is_measured_and_undone(self, data):
        model = new_nano()
        before = {k: v.clone() for k, v in network(model).state_dict().items()}
        (found,) = preflight(model, data, SMALL)
        assert found.settings == SMALL
        assert found.seconds > 0
        # More than the weights, their gradients, averages and both moments.
        assert found.peak > resident_memory() / 4 > 0
        assert found.notes == ()
        assert found.seconds_per_epoch == 5 * found.seconds
        assert all(torch.equal(v, before[k]) for k, v in network(model).state_dict().items())

    def test_too_little_memory_gives_up_in_order_and_says_so(self, data, monkeypatch):
        learn = learner.Learner._learn

        def short(self, batches):
            if not self.settings.freeze_image_encoder:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return learn(self, batches)

        monkeypatch.setattr(learner.Learner, "_learn", short)
        model = new_nano()
        *tries, found = preflight(model, data, SMALL)
        assert [(t.settings.batch, t.settings.accumulate, t.settings.freeze_image_encoder) for t in tries] == [
            (1, 2, False),
            (1, 2, True),
        ]
        assert found.settings == tries[-1].settings
        first, second = found.notes
        assert first == "The memory does not suffice for batches of 2: 1 crop at a time, with gradients added up."
        assert "it is left as it is" in second
        assert found.text.startswith(first)
        monkeypatch.undo()
        (result, *_) = finetune(model, data, found.settings.changed({"steps": 1}))
        assert result.step == 1

    def test_what_is_measured_must_fit(self, data):
        tries = preflight(new_nano(), data, SMALL, memory=1000)
        assert next(tries).settings.batch == 1
        assert next(tries).settings.freeze_image_encoder
        with pytest.raises(MicrosamError, match="Choose a smaller model or fewer prompts"):
            next(tries)

    def test_other_errors_are_not_taken_for_a_lack_of_memory(self, data, monkeypatch):
        def broken(self, batches):
            raise RuntimeError("shapes do not match")

        monkeypatch.setattr(learner.Learner, "_learn", broken)
        with pytest.raises(RuntimeError, match="shapes"):
            next(preflight(new_nano(), data, SMALL))

    @pytest.mark.parametrize(
        ("seconds", "text"), [(0.2, "1 second"), (6.0, "60 seconds"), (60.0, "10 minutes"), (720.0, "2.0 hours")]
    )
    def test_times_are_for_people(self, seconds, text):
        found = Preflight(SMALL.changed({"steps_per_epoch": 10}), seconds, 2_500_000_000, ())
        assert f"One epoch takes {text if seconds > 1 else '2 seconds'}" in found.text
        assert "2.5 GB" in found.text

    def test_there_is_memory(self):
        assert available_memory(torch.device("cpu")) > resident_memory() > 1 << 20
