"""What half precision costs in quality: masks in "auto" against masks in float32, on real images.

usage: python tests/benchmarks/precision.py PACK [--split test] [--weights VIT_B.pth] [--limit 2] [--objects 8]

Boxes and clicks of labelled objects. First nano, whose weights are trained. Then vit_b: with --weights as it is;
without, its weights are random and its masks noise with logits around 0, so that next to the IoU of masks the error of
embeddings and logits relative to their spread is printed, and the share of pixels with the same sign among those
farther from 0 than a tenth of the spread. Third, how much nano's masks change when its embedding gets an error as
large as vit_b's: what trained masks would make of it.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
from pathlib import Path

import numpy as np
import torch
from contest import weights_file

from microsam_nb.core import Image, LabelledImage, Mask
from microsam_nb.engine import Embedding, Model, encode, load_model, predict_many
from microsam_nb.engine.decode import SparsePrompts, decode
from microsam_nb.engine.evaluation.protocol import box_of, deepest_point, overlap
from microsam_nb.engine.precision import inference
from microsam_nb.files.pack import read_pack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--weights")
    parser.add_argument("--limit", type=int, default=2, help="images per source")
    parser.add_argument("--objects", type=int, default=8, help="per image")
    parser.add_argument("--vit-images", type=int, default=2, help="images for vit_b")
    options = parser.parse_args()
    seen: collections.Counter[str] = collections.Counter()
    images = []
    for one in read_pack(options.pack, options.split):
        seen[one.group] += 1
        if seen[one.group] <= options.limit:
            images.append(one)

    exact, fast = load_model(precision="fp32"), load_model(precision="auto")
    print("nano, auto against float32\n\n| source | objects | mean IoU | lowest |\n| --- | --- | --- | --- |")
    by_source = collections.defaultdict(list)
    for one in images:
        by_source[one.group] += changes(exact, fast, one, options.objects)
    for source, found in by_source.items():
        print(f"| {source.replace(' | ', ', ')} | {len(found)} | {np.mean(found):.4f} | {np.min(found):.4f} |")
    every = [value for found in by_source.values() for value in found]
    print(f"| all | {len(every)} | {np.mean(every):.4f} | {np.min(every):.4f} |")

    with weights_file(options.weights) as weights:
        models = load_model(weights, precision="fp32"), load_model(weights, precision="auto")
        error = report_vit(*models, images[:: max(1, len(images) // options.vit_images)][: options.vit_images])
    print("\nnano, auto, its embedding given an additional error, against float32\n")
    print("| relative error | mean IoU | lowest |\n| --- | --- | --- |")
    for factor in (1, 3):
        found = [v for one in images for v in changes(exact, fast, one, options.objects, factor * error)]
        print(f"| {factor * error:.4f} | {np.mean(found):.4f} | {np.min(found):.4f} |")


def changes(exact: Model, fast: Model, one: LabelledImage, most: int, error: float = 0.0) -> list[float]:
    """Return the IoU of each prompt's two masks, empty ones in both left out."""
    shown = Image(one.pixels).shown()
    embeddings = encode(exact, shown), encode(fast, shown)
    if error:
        features = embeddings[1].features
        noise = torch.randn(features.shape, generator=torch.Generator().manual_seed(0))
        embeddings = (
            embeddings[0],
            dataclasses.replace(embeddings[1], features=features + error * features.std() * noise),
        )
    prompts = prompts_of(one, most)
    both = [predict_many(model, own, prompts) for model, own in zip((exact, fast), embeddings, strict=True)]
    return [overlap(a.mask, b.mask) for a, b in zip(*both, strict=True) if a.mask.area or b.mask.area]


def prompts_of(one: LabelledImage, most: int):
    numbers = np.unique(one.labels[one.labels > 0])
    chosen = np.random.default_rng(0).permutation(numbers)[:most]
    masks = [Mask.crop((one.labels == number)[None]) for number in chosen]
    return [[form(mask)] for mask in masks for form in (box_of, deepest_point)]


def report_vit(exact: Model, fast: Model, images: list[LabelledImage]) -> float:
    """Print how vit_b in "auto" differs from float32; return the relative error of its embeddings."""
    print(f"\n{exact.spec.name}, auto against float32\n")
    print("| image | error of embedding | error of logits | IoU of masks | same sign, clear pixels |")
    print("| --- | --- | --- | --- | --- |")
    errors = []
    random = torch.Generator().manual_seed(0)
    points = torch.rand(16, 1, 2, generator=random) * exact.frame
    for one in images:
        shown = Image(one.pixels).shown()
        a, b = encode(exact, shown), encode(fast, shown)
        errors.append(relative(b.features, a.features))
        x, y = logits(exact, a, points), logits(fast, b, points)
        clear = x.abs() > 0.1 * x.std()
        iou = ((x > 0) & (y > 0)).sum() / ((x > 0) | (y > 0)).sum()
        same = ((x > 0) == (y > 0))[clear].float().mean()
        print(
            f"| {one.group.replace(' | ', ', ')} | {errors[-1]:.4f} | {relative(y, x):.4f} | {iou:.4f} | {same:.4f} |"
        )
    return float(np.mean(errors))


def relative(found: torch.Tensor, true: torch.Tensor) -> float:
    return float((found - true).square().mean().sqrt() / true.std())


def logits(model: Model, embedding: Embedding, points: torch.Tensor) -> torch.Tensor:
    position = model.sam.prompt_encoder.get_dense_pe()
    with inference(model.device, model.precision):
        prompts = SparsePrompts(points, torch.ones(points.shape[:2]))
        return decode(model.sam, embedding.features, position, prompts)[0].float()


if __name__ == "__main__":
    main()
