"""The contestant micro-sam: see training.py. usage: training_peer.py WEIGHTS OBJECTS TURNS SIDE, with its Python"""

from __future__ import annotations

import json
import sys
import tempfile
import time

import numpy as np
import torch
from micro_sam.instance_segmentation import get_unetr
from micro_sam.training import ConvertToSamInputs, get_trainable_sam_model
from micro_sam.training.joint_sam_trainer import JointSamTrainer
from torch_em.loss import DiceBasedDistanceLoss
from torch_em.transform.label import PerObjectDistanceTransform
from work_peer import peak


class Progress:
    def update(self, *_): ...
    def set_description(self, *_, **__): ...


def main() -> None:
    weights, objects, turns, side = sys.argv[1], *(int(v) for v in sys.argv[2:5])
    model = get_trainable_sam_model("vit_b", device="cpu", checkpoint_path=weights)
    unetr = get_unetr(image_encoder=model.sam.image_encoder, device="cpu")
    weights_of = [*model.parameters(), *(p for n, p in unetr.named_parameters() if not n.startswith("encoder"))]
    loss = DiceBasedDistanceLoss(mask_distances_in_bg=True)
    optimizer = torch.optim.AdamW(weights_of, lr=1e-5)
    trainer = JointSamTrainer(
        name="benchmark", save_root=tempfile.mkdtemp(), train_loader=batches(weights, side), val_loader=[],
        model=model, optimizer=optimizer, device="cpu", lr_scheduler=None, logger=None, mixed_precision=True,
        convert_inputs=ConvertToSamInputs(transform=model.transform, box_distortion_factor=0.025),
        n_objects_per_batch=objects, n_sub_iteration=turns, compile_model=False, unetr=unetr, instance_loss=loss,
        instance_metric=loss, early_stopping=None, mask_prob=0.5,
    )  # fmt: skip
    trainer._iteration = trainer._epoch = 0
    trainer.logger = None
    for line in sys.stdin:
        task = json.loads(line)
        trainer.train_loader = batches(weights, side) * task["steps"]
        trainer.max_iteration = trainer._iteration + task["steps"] + 1
        start, busy = time.perf_counter(), time.process_time()
        trainer._train_epoch_mixed(Progress())
        took = {"seconds": time.perf_counter() - start, "busy": time.process_time() - busy}
        print("answer", json.dumps({**took, "peak": peak()}), flush=True)


def batches(weights: str, side: int):
    """Return one batch, made beforehand: drawing crops costs micro-sam nothing here."""
    pixels, labels = np.load(f"{weights}.image.npy")[:side, :side], np.load(f"{weights}.labels.npy")[:side, :side]
    distances = PerObjectDistanceTransform(
        distances=True, boundary_distances=True, directed_distances=False, foreground=True, instances=True, min_size=25
    )
    x = torch.from_numpy(pixels.astype(np.float32))[None, None]
    return [(x, torch.from_numpy(distances(labels).astype(np.float32))[None])]


if __name__ == "__main__":
    main()
