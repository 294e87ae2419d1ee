"""Automatic segmentation beside micro-sam: a grid (AMG), distances (AIS) and prompts (APG), seconds and memory.

usage: python tests/benchmarks/automatic.py --peer PYTHON [PACK] [--only NAME] [--repetitions 5] [--threads N]

PYTHON is an interpreter that has micro-sam. Both get the same checkpoint, image, embedding, maps and masks, and take
turns; every task has a process of its own for each, whose largest resident set is its memory (libraries and model
included). NAME is amg, decoder, ais, regrid, apg or nms. The image is a mosaic of 1024 x 1024: a quarter of each of
the first four images of bbbc039 in PACK, a data pack, or drawn discs without it. AMG and APG are run once, the NMS of
masks twice, the others ``--repetitions`` times after one run that does not count; seconds are medians.

micro-sam's decoder is put into evaluation mode, which micro-sam itself forgets: its maps would differ from ours.

The checkpoint is vit_b with random weights and an instance decoder with random weights: costs are those of the real
ones, maps are noise. Random masks would be noise as well, all as large as the plane, so some weights are set by hand:

- In the last attention of the image to the prompts queries and keys are the position encoding alone, whose frequencies
  are four times those of segment-anything: an image position attends to the point where it is near, within some 20 px.
- The values of that attention are the part of a token that tells points from other tokens, found by least squares.
- Upscaling and hypernetworks pass this on, beside a random part, with a contrast that makes most masks stable; the
  masks of a point differ in how far they reach. Half of those kept have more than 6000 px, a tenth more than a fifth
  of the plane.
- The head that predicts IoU is scaled and shifted such that a third of the masks of a grid are above 0.88.

AMG, AIS and APG are asked again with another threshold ("again"), which is what moving a slider costs. Their 506
objects, maps and masks are drawn. Targets are those of the project. Agreement: of AMG the share of the final masks of
micro-sam that have a partner of IoU >= 0.9 among ours, and of ours among micro-sam's; of labels the mean segmentation
accuracy (mSA) of ours against micro-sam's; of maps the largest difference.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
from contest import Contestant, limit_threads
from scipy import ndimage
from segment_anything import sam_model_registry
from skimage.draw import disk, ellipse
from work_ours import peak

from microsam_nb.core import Contrast, Image, Mask
from microsam_nb.engine import Embedding, load_model, open_store
from microsam_nb.engine.automatic import DistanceSettings, GridSettings, PromptOf, PromptSettings, Segmenter
from microsam_nb.engine.automatic.kept import Kept, PlaneMaps
from microsam_nb.engine.automatic.maps import look_at
from microsam_nb.engine.automatic.proposals import Proposals
from microsam_nb.engine.automatic.select import painted, suppress_masks
from microsam_nb.engine.backbones.decoder import UnetrDistances
from microsam_nb.engine.evaluation import mean_segmentation_accuracy
from microsam_nb.engine.precision import fast_dtype
from microsam_nb.engine.tiling import Window
from microsam_nb.engine.training.distances import distance_targets
from microsam_nb.files.images import read_image

SIDE = 1024
#: Of every task the rows of the table and their targets; "faster" counts, seconds and shares of memory are ours.
ROWS = {
    "amg": {
        "AMG": "6 x, half the memory",
        "- encode": "",
        "- answer the grid": "",
        "- choose and paint": "",
    },
    "decoder": {"AIS decoder": "3 x"},
    "ais": {"AIS generate, 506 objects": "", "AIS again": "0.3 s"},
    "regrid": {"AMG again, 506 objects": "0.3 s"},
    "apg": {"APG with points, 506 objects": "", "APG again": "0.3 s"},
    "nms": {"NMS of 500 masks and painting": "20 x"},
}
COLUMNS = (
    "what", "micro-sam s", "ours s", "ratio", "target", "micro-sam peak MiB", "ours peak MiB", "share", "agreement",
)  # fmt: skip
#: How often the slow ones are run, and without a run that does not count.
FEW = {"amg": 1, "apg": 1, "nms": 2}


def main() -> None:
    if "--work" in sys.argv[1:2]:
        work(sys.argv[2])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path, nargs="?")
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--only", choices=ROWS)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of each contestant; all cores by default")
    options = parser.parse_args()
    dtype = str(fast_dtype(torch.device("cpu"))).removeprefix("torch.")
    limit_threads(options.threads)
    print(f"micro-sam in float32, ours in {dtype}; {options.threads or torch.get_num_threads()} threads\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, options.pack)
        contestants = [Contestant("microsam_nb", sys.executable, "automatic.py", ["--work", str(folder)])]
        if options.peer:
            contestants.insert(0, Contestant("micro-sam", options.peer, "automatic_peer.py", [str(folder)]))
        table_row(*COLUMNS)
        table_row(*["---"] * len(COLUMNS))
        for task in [options.only] if options.only else ROWS:
            answers = compete(contestants, task, FEW.get(task, options.repetitions))
            agreed = AGREEMENTS[task](folder) if options.peer else ""
            print_rows(task, answers, agreed)


def compete(contestants, task, repetitions):
    """Return for each contestant the seconds of every row, medians, and the peak memory."""
    answers = [[] for _ in contestants]
    with ExitStack() as stack:
        at_work = [(one, stack.enter_context(one.working())) for one in contestants]
        for _ in range(repetitions + (task not in FEW)):
            for got, (one, process) in zip(answers, at_work, strict=True):
                got.append(one.ask(process, {"task": task}))
    out = []
    for got in answers:
        counted = got if task in FEW else got[1:]
        seconds = [statistics.median(column) for column in zip(*(one["seconds"] for one in counted), strict=True)]
        out.append((seconds, got[-1]["peak"] / 2**20))
    return out


def print_rows(task, answers, agreed) -> None:
    (theirs, their_peak), (ours, our_peak) = answers if len(answers) == 2 else (([], 0.0), answers[0])
    for i, (name, target) in enumerate(ROWS[task].items()):
        first = i == 0
        both = len(theirs) > 0
        table_row(
            name,
            f"{theirs[i]:.3f}" if both else "",
            f"{ours[i]:.3f}",
            f"{theirs[i] / ours[i]:.1f}" if both else "",
            target,
            f"{their_peak:.0f}" if both and first else "",
            f"{our_peak:.0f}" if first else "",
            f"{our_peak / their_peak:.2f}" if both and first else "",
            agreed if first else "",
        )


def table_row(*values) -> None:
    print("| " + " | ".join(str(one) for one in values) + " |", flush=True)


# What both get


def make(folder: Path, pack: Path | None) -> None:
    image = mosaic(pack) if pack else scene(0)[1]
    np.save(folder / "image.npy", image)
    torch.manual_seed(0)
    with torch.inference_mode():
        sam, features = crafted(image)
        decoder = UnetrDistances()
    np.save(folder / "features.npy", features.numpy())
    torch.save({"model_state": sam.state_dict(), "decoder_state": decoder.state_dict()}, folder / "vit_b_crafted.pt")
    labels = scene(1)[0]
    clean = distance_targets(labels)
    noise = np.random.default_rng(0).normal(0, 0.05, clean.shape)
    np.save(folder / "clean.npy", clean.astype(np.float16))
    np.save(folder / "noisy.npy", (clean + noise).clip(0, 1).astype(np.float16))
    np.savez(folder / "grid.npz", **grid_masks(labels).to_arrays())
    np.savez(folder / "twice.npz", **twice(labels).to_arrays())


def mosaic(pack: Path) -> np.ndarray:
    files = sorted(one for one in (pack / "bbbc039").glob("*.tif") if not one.stem.endswith("_label"))[:4]
    parts = [Image(read_image(one)[:512, :512]).shown(0) for one in files]
    whole = np.block([parts[:2], parts[2:]]).astype(np.float64)
    # micro-sam stretches every image from its minimum to its maximum.
    low, high = whole.min(), whole.max()
    return np.round((whole - low) / (high - low) * 255).astype(np.uint8)


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw 506 ellipses that hardly touch, as labels, and as an image from 0 to 255."""
    random = np.random.default_rng(seed)
    labels = np.zeros((SIDE, SIDE), np.int64)
    for number, (row, column) in enumerate(np.ndindex(23, 22), 1):
        y, x = (row + 0.5) * SIDE / 23 + random.uniform(-5, 5), (column + 0.5) * SIDE / 22 + random.uniform(-5, 5)
        place = ellipse(y, x, *random.uniform(10, 19, 2), labels.shape, random.uniform(0, np.pi))
        labels[place] = number
    grey = ndimage.gaussian_filter((labels > 0) * 150.0, 2) + random.normal(40, 10, labels.shape)
    low, high = grey.min(), grey.max()
    return labels, np.round((grey - low) / (high - low) * 255).astype(np.uint8)


def masks_of(labels):
    return [
        Mask((0, place[0].start, place[1].start), (labels[place] == number)[None])
        for number, place in enumerate(ndimage.find_objects(labels), 1)
    ]


def changed(mask: Mask, step: int) -> Mask:
    """Return a mask grown, or with a negative step shrunk, by so many pixels, within the plane."""
    bitmap = np.pad(mask.bitmap[0], max(step, 1))
    change = ndimage.binary_dilation if step > 0 else ndimage.binary_erosion
    start = mask.start[1] - max(step, 1), mask.start[2] - max(step, 1)
    whole = Mask.crop(change(bitmap, iterations=abs(step)), (0, *start))
    (_, y0, x0), (_, y1, x1) = whole.box.start, whole.box.stop
    inside = whole.bitmap[:, max(0, -y0) : SIDE - y0 if y1 > SIDE else None]
    inside = inside[:, :, max(0, -x0) : SIDE - x0 if x1 > SIDE else None]
    return Mask.crop(inside, (0, max(0, y0), max(0, x0)))


def grid_masks(labels) -> Proposals:
    """Return what a grid may find: every object five times, the first best; parts; and discs of low quality."""
    random = np.random.default_rng(0)
    masks, scores = [], []
    for mask in masks_of(labels):
        masks += [mask, changed(mask, 1), changed(mask, -1), changed(mask, 2), changed(mask, -5)]
        scores += [random.uniform(0.95, 1), *random.uniform(0.89, 0.94, 3), random.uniform(0.5, 0.85)]
    for _ in range(60):
        large = np.zeros(labels.shape, bool)
        large[disk(random.uniform(200, 800, 2), random.uniform(150, 500), shape=large.shape)] = True
        masks.append(Mask.crop(large))
        scores.append(random.uniform(0.5, 0.8))
    count = len(masks)
    return Proposals.made(labels.shape, masks, scores, [0.97] * count, [Window(0, 0, *labels.shape)] * count)


def twice(labels) -> Proposals:
    """Return 500 masks: 250 objects, and the same grown by half a pixel's width on every side or by some pixels."""
    random = np.random.default_rng(0)
    masks, scores = [], random.permutation(500) / 500
    for i, mask in enumerate(masks_of(labels)[:250]):
        bitmap = mask.bitmap.copy()
        if i % 2:
            bitmap[:, :1] = False
        masks += [mask, Mask.crop(bitmap, mask.start) if i % 2 else changed(mask, 3)]
    return Proposals.made(labels.shape, masks, scores.tolist(), [1.0] * 500, [Window(0, 0, *labels.shape)] * 500)


def crafted(image):
    """Return vit_b with weights as the module says, and the features of the image."""
    sam = sam_model_registry["vit_b"]().eval().requires_grad_(False)
    pixels = torch.from_numpy(image).float().expand(1, 3, -1, -1)
    features = sam.image_encoder(sam.preprocess(pixels))
    prompts, decoder = sam.prompt_encoder, sam.mask_decoder
    prompts.pe_layer.positional_encoding_gaussian_matrix.normal_(0, 4)
    attention = decoder.transformer.layers[1].cross_attn_image_to_token
    alike = torch.zeros(8, 16, 256)
    for head in range(8):
        for i in range(8):
            alike[head, i, 8 * head + i] = alike[head, 8 + i, 128 + 8 * head + i] = 4
    for one in (attention.q_proj, attention.k_proj):
        one.weight.copy_(alike.view(128, 256))
        one.bias.zero_()
    middles = (torch.arange(32) + 0.5) * SIDE / 32
    points = torch.stack(torch.meshgrid(middles, middles, indexing="xy"), -1).view(-1, 1, 2)
    points = points[torch.randperm(len(points))[:64]]

    def answers():
        sparse, dense = prompts((points, torch.ones(len(points), 1)), None, None)
        return decoder.predict_masks(features, prompts.get_dense_pe(), sparse, dense)

    seen = []
    hook = attention.v_proj.register_forward_hook(lambda _, given, found: seen.append(given[0]))
    answers()
    hook.remove()
    # Tokens: IoU, four masks, the point, padding.
    tokens = torch.cat([seen[0], torch.ones(64, 7, 1)], 2).view(-1, 257)
    wanted = torch.zeros(64, 7).index_fill_(1, torch.tensor([5]), 1).view(-1, 1)
    (*weight, offset) = torch.linalg.lstsq(tokens, wanted, driver="gelsd").solution[:, 0]
    direction = torch.randn(256).sign()
    attention.v_proj.weight.zero_()
    attention.v_proj.weight[::16] = torch.stack(weight)
    attention.v_proj.bias.zero_()
    attention.out_proj.weight.zero_()
    attention.out_proj.weight[:, ::16] = 20 / 8 * direction[:, None]
    attention.out_proj.bias.copy_(20 * (offset - 0.6) * direction)
    first, _, _, second, _ = decoder.output_upscaling
    groups = torch.eye(4).repeat_interleave(16, 1)
    first.weight.normal_(0, 0.3 / 16)
    first.weight.add_((direction[:, None] / 256 * (groups[0] - groups[1]))[..., None, None])
    first.bias.copy_(0.5 * (groups[2] - groups[3]))
    sign = (groups[0] - groups[1])[:32, None, None, None] / 16
    second.weight.normal_(0, 0.01)
    second.weight[:32, :16] += sign
    second.weight[:32, 16:31] -= sign
    second.bias.zero_()
    second.bias[31] = 1
    for reach, heads in zip((0, 0.7, 0, -0.7), decoder.output_hypernetworks_mlps, strict=True):
        last = heads.layers[-1]
        last.weight.mul_(2)
        last.bias[:16], last.bias[16:31], last.bias[31] = 10 / 16, -10 / 15, 10 * reach
    scores = answers()[1]
    last = decoder.iou_prediction_head.layers[-1]
    scale = 0.15 / scores.std(0)
    last.bias.copy_((last.bias - scores.mean(0)) * scale + 0.8155)
    last.weight.mul_(scale[:, None])
    return sam, features


# What ours does: a process of its own


def work(folder: str) -> None:
    tasks = Ours(Path(folder))
    for line in sys.stdin:
        name = json.loads(line)["task"]
        seconds = getattr(tasks, name)()
        print("answer", json.dumps({"seconds": seconds, "peak": peak()}), flush=True)


def timed(*steps):
    """Run steps, and return the seconds of each and what the last one returned."""
    seconds, found = [], None
    for step in steps:
        start = time.perf_counter()
        found = step()
        seconds.append(time.perf_counter() - start)
    return seconds, found


class Ours:
    """The tasks by name; each returns the seconds of its rows and leaves a file NAME_ours."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.known, self.turn = folder, None, 0

    def segmenter(self, kept=None) -> Segmenter:
        model = load_model(self.folder / "vit_b_crafted.pt", device="cpu")
        image = Image(np.load(self.folder / "image.npy"), contrast=Contrast(0, 100))
        store = open_store(None, model, image)
        return Segmenter(model, store)

    def once(self, made):
        """Return what is prepared before the first run."""
        if self.known is None:
            self.known = made()
        return self.known

    def slider(self, *values):
        self.turn += 1
        return values[self.turn % 2]

    def save(self, name, found) -> None:
        np.save(self.folder / f"{name}_ours.npy", found)

    def amg(self):
        segmenter, settings = self.once(self.segmenter), GridSettings()
        seconds, _ = timed(
            lambda: segmenter.store.plane(0),
            lambda: list(segmenter.prepare(0, settings)),
            lambda: segmenter.labels(0, settings),
        )
        found = segmenter.chosen(0, settings)
        np.savez(self.folder / "amg_ours.npz", **found.to_arrays())
        return [sum(seconds), *seconds]

    def decoder(self):
        model = self.once(lambda: load_model(self.folder / "vit_b_crafted.pt", device="cpu"))
        features = torch.from_numpy(np.load(self.folder / "features.npy"))
        seconds, maps = timed(lambda: look_at(model, Embedding(features, (SIDE, SIDE), (SIDE, SIDE))))
        self.save("decoder", maps)
        return seconds

    def with_maps(self, name):
        """Return a segmenter that need not compute maps."""
        segmenter = self.segmenter()
        segmenter.kept.put_maps(0, 1.0, PlaneMaps(np.load(self.folder / f"{name}.npy"), None))
        return segmenter

    def ais(self):
        known = self.once(lambda: self.with_maps("noisy"))
        # One that has smoothed nothing yet.
        segmenter = Segmenter(known.model, known.store, known.kept)
        settings = DistanceSettings(center_distance=0.5, boundary_distance=0.5, smoothing_share=0.0, min_size=0)
        other = replace(settings, center_distance=self.slider(0.45, 0.55))
        first, found = timed(lambda: segmenter.labels(0, settings))
        again, _ = timed(lambda: segmenter.labels(0, other))
        self.save("ais", found)
        return first + again

    def regrid(self):
        def made():
            segmenter = self.segmenter()
            found = Proposals.from_arrays(np.load(self.folder / "grid.npz"))
            segmenter.kept.put_grid(0, segmenter._about(GridSettings()), 0.5, found)
            return segmenter

        segmenter = self.once(made)
        settings = GridSettings(pred_iou=self.slider(0.87, 0.88))
        seconds, found = timed(lambda: segmenter.labels(0, settings))
        self.save("regrid", found)
        return seconds

    def apg(self):
        def made():
            segmenter = self.with_maps("clean")
            segmenter.store.plane(0)
            return segmenter

        known = self.once(made)
        kept = Kept(known.store.key)
        kept.put_maps(0, 1.0, known.kept.maps(0, 1.0))
        segmenter = Segmenter(known.model, known.store, kept)
        settings = PromptSettings(
            center_distance=0.5, boundary_distance=0.5, foreground_smoothing=0.0, distance_smoothing=0.0,
            smoothing_share=0.0, prompt=PromptOf.POINT,
        )  # fmt: skip

        def whole():
            list(segmenter.prepare(0, settings))
            return segmenter.labels(0, settings)

        first, found = timed(whole)
        again, _ = timed(lambda: segmenter.labels(0, replace(settings, nms=0.8)))
        self.save("apg", found)
        return first + again

    def nms(self):
        given = Proposals.from_arrays(np.load(self.folder / "twice.npz"))

        def whole():
            kept = suppress_masks(given.masks, given.scores, 0.9)
            return kept, painted(given[kept].masks, given.size)

        seconds, (kept, _) = timed(whole)
        self.save("nms", np.sort(kept))
        return seconds


# How far both agree


def agree_amg(folder) -> str:
    ours = list(Proposals.from_arrays(np.load(folder / "amg_ours.npz")))
    theirs = [Mask.crop(np.unpackbits(one).reshape(SIDE, SIDE)) for one in np.load(folder / "amg_peer.npy")]
    iou = np.zeros((len(theirs), len(ours)))
    for i, a in enumerate(theirs):
        for j, b in enumerate(ours):
            shared = a.shared(b)
            iou[i, j] = shared / (a.area + b.area - shared)
    if not iou.size:
        return f"{len(theirs)} / {len(ours)} masks"
    ways = [float((iou.max(axis) >= 0.9).mean()) for axis in (1, 0)]
    return f"{ways[0]:.3f} / {ways[1]:.3f} of {len(theirs)} / {len(ours)} masks"


def agree_maps(folder) -> str:
    difference = np.abs(np.load(folder / "decoder_ours.npy") - np.load(folder / "decoder_peer.npy")).max()
    return f"largest difference {difference:.1e}"


def agree_labels(name):
    def agreement(folder) -> str:
        theirs, ours = (np.load(folder / f"{name}_{who}.npy").astype(np.int64) for who in ("peer", "ours"))
        score = mean_segmentation_accuracy(theirs, ours)
        return f"mSA {score:.3f}, {len(np.unique(theirs)) - 1} / {len(np.unique(ours)) - 1} objects"

    return agreement


def agree_kept(folder) -> str:
    theirs, ours = (np.load(folder / f"nms_{who}.npy") for who in ("peer", "ours"))
    same = "the same" if np.array_equal(theirs, ours) else "not the same"
    return f"{same} survivors, {len(theirs)} / {len(ours)}"


AGREEMENTS = {
    "amg": agree_amg,
    "decoder": agree_maps,
    "ais": agree_labels("ais"),
    "regrid": agree_labels("regrid"),
    "apg": agree_labels("apg"),
    "nms": agree_kept,
}


if __name__ == "__main__":
    main()
