"""Automatic mask generation (AMG): a grid of points is answered, and the best of all masks are kept.

Method of Kirillov et al., "Segment Anything" (ICCV 2023). The expensive stage answers every point once; predicted
IoU decides before anything is drawn, and masks are kept as packed crops. The cheap stage chooses among them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ...core import Candidate, Mask
from ..backbones.two_way import draw
from ..decode import SparsePrompts, decode_prompts, dense_position, together
from ..embedding import Embedding
from ..models import Model
from ..precision import inference
from ..store import EmbeddingStore
from ..tiling import Window
from ..upsample import above, enlarge
from .batches import Batches
from .distances import within_limits
from .proposals import Proposals
from .select import suppress_boxes
from .settings import GridSettings
from .views import View, closer, need_image, views

#: Masks that the model believes in less are not kept, unless they are asked for.
FLOOR = 0.5
#: A mask this near to the border of its window is cut, for a window of 1024 px; in smaller ones less.
_EDGE, _EDGE_SHARE = 20, 1 / 32
#: nano looks at windows in which few objects are; this many times fewer points do.
_FEWER = 5


def floor_of(pred_iou: float) -> float:
    """Return the predicted IoU down to which masks are kept, so that the threshold can be moved without the model.

    That is some steps below the threshold: drawing what nobody will look at costs as much as the rest.
    """
    return max(0.0, math.floor(pred_iou * 10 - 1) / 10)


def find_by_grid(
    model: Model,
    store: EmbeddingStore,
    plane: int,
    settings: GridSettings = GridSettings(),
    *,
    zoom: float = 1.0,
    floor: float = FLOOR,
    batches: Batches | None = None,
) -> Iterator[tuple[int, int, Proposals]]:
    """Answer every point of a grid: how many of how many points are done, and what was found since.

    Three masks per point (four by nano) of which those with a predicted IoU above ``floor`` are kept. The grid covers
    what a tile is best for, at the density that it would have in the tile with its halo. ``batches`` says how many
    points are answered at once. Raises StoreError when an embedding is missing and cannot be computed.
    """
    batches = batches or Batches(together(model.device))
    looks = [(one, _points(model, one, settings)) for one in views(model, store, plane, zoom)]
    if not model.is_nano and store.tiling is None and settings.crop_layers:
        need_image(store)
        looks += list(_crops(store, plane, settings))
    total, done = sum(len(points) for _, points in looks), 0
    for view, points in looks:
        embedding = view.load()

        def answer(some: Sequence[Point], view: View = view, embedding: Embedding = embedding) -> Proposals:
            return _answer(model, view, embedding, np.array(some), store.shape[1:], plane, floor)

        end = done + len(points)
        for found in batches.run([*map(tuple, points.tolist())], answer):
            done = min(end, done + batches.size)
            yield done, total, found
    if not total:
        yield 0, 0, Proposals.none(store.shape[1:], plane)


#: A place (y, x) in pixels of the plane.
Point = tuple[float, float]


def _points(model: Model, view: View, settings: GridSettings) -> NDArray[np.float64]:
    """Return the grid of a view, (n, 2) as (y, x): where it sees best, as dense as if all it sees were covered."""
    inner, outer, count = view.inner, view.outer, settings.points_per_side
    sides = zip(inner.shape, outer.shape, strict=True)
    if model.is_nano:
        count = max(1, count // _FEWER)
    rows, columns = (max(1, round(count * own / seen)) for own, seen in sides)
    return _grid(inner, rows, columns)


def _grid(window: Window, rows: int, columns: int) -> NDArray[np.float64]:
    """Return points in the middles of the cells of a window, as segment-anything places them: as if of pixels."""
    height, width = window.shape
    ys = window.y0 + (np.arange(rows) + 0.5) / rows * height + 0.5
    xs = window.x0 + (np.arange(columns) + 0.5) / columns * width + 0.5
    return np.stack(np.meshgrid(ys, xs, indexing="ij"), -1).reshape(-1, 2)


def _crops(store: EmbeddingStore, plane: int, settings: GridSettings) -> Iterator[tuple[View, NDArray[np.float64]]]:
    """Yield the overlapping parts of all layers but the first, and their points."""
    height, width = store.shape[1:]
    for layer in range(1, settings.crop_layers + 1):
        parts = 2**layer
        overlap = int(settings.crop_overlap * min(height, width) * 2 / parts)
        tall, wide = (math.ceil((side + (parts - 1) * overlap) / parts) for side in (height, width))
        count = max(1, int(settings.points_per_side / settings.crop_points_downscale**layer))
        for x0 in (i * (wide - overlap) for i in range(parts)):
            for y0 in (i * (tall - overlap) for i in range(parts)):
                own = Window(y0, x0, min(height, y0 + tall), min(width, x0 + wide))
                if min(own.shape) > 0:
                    yield closer(store, plane, own, own), _grid(own, count, count)


def _answer(
    model: Model,
    view: View,
    embedding: Embedding,
    points: NDArray[np.float64],
    size: tuple[int, int],
    plane: int,
    floor: float,
) -> Proposals:
    ys, xs = embedding.scale
    # As in ``to_frame``: segment-anything adds half a pixel to the index of a pixel.
    places = (points - (view.outer.y0, view.outer.x0) - 0.5) * (ys, xs)
    frame = torch.tensor(places[:, None, ::-1].copy(), dtype=torch.float32, device=model.device)
    ones = torch.ones(frame.shape[:2], device=model.device)
    with inference(model.device, model.precision):
        hidden = decode_prompts(
            model.sam, embedding.features.to(model.device), dense_position(model.sam.prompt_encoder),
            SparsePrompts(points=frame, labels=ones),
        )  # fmt: skip
        # nano's single answer has learned lone points too.
        wanted = range(4) if model.is_nano else range(1, 4)
        scores = hidden.scores[:, wanted.start : wanted.stop]
        good = (scores > floor).any(1)
        if not bool(good.any()):
            return Proposals.none(size, plane)
        # One upscaling of the image serves all masks of a point.
        logits = draw(model.sam.mask_decoder, hidden[good], wanted).float()
        scores = scores[good]
    masks, quality, stable = [], [], []
    for i, j in torch.nonzero(scores > floor).tolist():
        mask, stability = _mask(logits[i, j], embedding, model.frame, view.outer, plane)
        if mask is not None and not _cut(mask, view.outer, size):
            masks.append(mask)
            quality.append(float(scores[i, j]))
            stable.append(stability)
    return Proposals.made(size, masks, quality, stable, [view.outer] * len(masks), plane)


def _mask(logits: Tensor, embedding: Embedding, frame: int, window: Window, plane: int) -> tuple[Mask | None, float]:
    """Return a mask in pixels of the plane, and its stability score with an offset of 1."""
    found = enlarge(logits, embedding, frame, above=-1.0)
    if found is None:
        return None, 0.0
    values, top, left = found
    inside = above(values, 0.0)
    if not inside.any():
        return None, 0.0
    stability = np.count_nonzero(above(values, 1.0)) / np.count_nonzero(above(values, -1.0))
    return Mask.crop(inside, (plane, top + window.y0, left + window.x0)), stability


def _cut(mask: Mask, window: Window, size: tuple[int, int]) -> bool:
    """Whether a mask ends at a border of its window that is none of the plane: there is more of it outside."""
    edge = min(_EDGE, math.ceil(max(window.shape) * _EDGE_SHARE))
    (_, y0, x0), (_, y1, x1) = mask.box.start, mask.box.stop
    return (
        (window.y0 > 0 and y0 - window.y0 <= edge < y0)
        or (window.x0 > 0 and x0 - window.x0 <= edge < x0)
        or (window.y1 < size[0] and window.y1 - y1 <= edge < size[0] - y1)
        or (window.x1 < size[1] and window.x1 - x1 <= edge < size[1] - x1)
    )


def choose(found: Proposals, settings: GridSettings) -> Proposals:
    """Return the proposals that become objects, best first: the cheap stage.

    Quality and stability first, then non-maximum suppression among those of one window by quality, then among all,
    where smaller windows are preferred.
    """
    s = settings
    found = found[(found.scores > s.pred_iou) & (found.stability >= s.stability)]
    if not len(found):
        return found
    _, window = np.unique(found.windows, axis=0, return_inverse=True)
    kept = []
    for number in range(int(window.max()) + 1):
        own = np.flatnonzero(window.reshape(-1) == number)
        kept.append(own[suppress_boxes(found.boxes[own], found.scores[own], s.box_nms)])
    found = found[np.concatenate(kept)]
    if len(kept) > 1:
        y0, x0, y1, x1 = found.windows.T.astype(np.float64)
        size = (y1 - y0) * (x1 - x0)
        # By the size of the window first, then by quality.
        rank = np.empty(len(found))
        rank[np.lexsort((found.scores, -size))] = np.arange(len(found))
        found = found[suppress_boxes(found.boxes, rank, s.crop_nms)]
    if s.min_region:
        found = _tidied(found, s)
    return found[within_limits(found.areas, s)]


def _tidied(found: Proposals, settings: GridSettings) -> Proposals:
    """Fill small holes and drop small islands; of masks that become alike, one that needed no change is kept."""
    masks, changed = [], []
    for mask in found:
        tidy = without_specks(mask, settings.min_region)
        masks.append(tidy)
        changed.append(tidy != mask)
    windows = [Window(*row) for row in found.windows.tolist()]
    out = Proposals.made(found.size, masks, found.scores.tolist(), found.stability.tolist(), windows, found.plane)
    order = suppress_boxes(out.boxes, -np.array(changed, float), max(settings.box_nms, settings.crop_nms))
    return out[order]


def without_specks(mask: Mask, size: int) -> Mask:
    """Return a mask of one plane without holes and islands smaller than ``size`` pixels; the largest island stays."""
    bitmap = np.pad(mask.bitmap[0], 1)
    gaps, count = ndimage.label(~bitmap, np.ones((3, 3)))
    small = np.bincount(gaps.ravel(), minlength=count + 1) < size
    small[[0, gaps[0, 0]]] = False
    bitmap = bitmap | small[gaps]
    pieces, count = ndimage.label(bitmap, np.ones((3, 3)))
    areas = np.bincount(pieces.ravel(), minlength=count + 1)
    areas[0] = 0
    keep = areas >= size
    keep[0] = False
    if count and not keep.any():
        keep[areas.argmax()] = True
    plane, y, x = mask.start
    return Mask.crop(keep[pieces][None, 1:-1, 1:-1], (plane, y, x))


def candidates_of(found: Proposals, origin: str = "amg") -> list[Candidate]:
    """Return proposals as candidates, in their order."""
    scores = np.clip(found.scores, 0, 1).tolist()
    return [Candidate(mask, score, origin) for mask, score in zip(found, scores, strict=True)]
