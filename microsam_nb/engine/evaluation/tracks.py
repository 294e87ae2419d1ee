"""Tracks compared with the truth by the measures of the Cell Tracking Challenge, as py-ctcmetrics computes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core import LabelError, ModelError, Tracks
from ...core.parts import unbroken
from ...core.tracks import areas, renumbered, shared


@dataclass(frozen=True, slots=True)
class TrackScore:
    """``tra`` tracking, ``det`` detection, ``seg`` mean IoU, all in 0..1; divisions of the truth, found, and made up.

    A division is found when mother and daughters are, in the very frame.
    """

    tra: float
    det: float
    seg: float
    divisions: int
    divisions_found: int
    divisions_wrong: int


def evaluate_tracks(truth: Tracks, found: Tracks) -> TrackScore:
    """Compare tracks of the same movie (Matula et al., PLoS ONE 2015; Maška et al., Bioinformatics 2014).

    Raises ModelError without py-ctcmetrics, and LabelError for movies of different shapes or a truth without tracks.
    """
    try:
        from ctc_metrics.scripts.evaluate import calculate_metrics
    except ImportError as error:
        raise ModelError(
            f"Tracks cannot be compared ({error}).", "Install the measures: pip install 'microsam-nb[metrics]'."
        ) from error
    if truth.labels.shape != found.labels.shape:
        raise LabelError(
            f"Tracks of shapes {truth.labels.shape} and {found.labels.shape} cannot be compared.",
            "Give tracks of the same movie.",
        )
    if not truth.present:
        raise LabelError("The true tracks are empty.", "Give a movie with at least one cell.")
    if not found.present:
        divisions = sum(len(some) > 1 for some in truth.lineage.daughters.values())
        return TrackScore(0.0, 0.0, 0.0, divisions, 0, 0)
    lines, names = unbroken(truth)
    own_lines, own_names = unbroken(found)
    matches = _matches(truth, names, found, own_names)
    scores: dict[str, Any] = calculate_metrics(
        np.array(own_lines), np.array(lines), dict(matches), dict(matches), ["TRA", "DET", "SEG", "BC"], True
    )
    return TrackScore(
        scores["TRA"], scores["DET"], scores["SEG"], int(scores["gt_divisions"]), int(scores["tp_div(0)"]),
        int(scores["fp_div(0)"]),
    )  # fmt: skip


def _matches(
    truth: Tracks, names: list[dict[int, int]], found: Tracks, own_names: list[dict[int, int]]
) -> dict[str, list[list[Any]]]:
    """Return what the challenge calls a match: more than half of a true object lies in a found one."""
    out: dict[str, list[list[Any]]] = {
        "labels_ref": [], "labels_comp": [], "mapped_ref": [], "mapped_comp": [], "ious": []
    }  # fmt: skip
    for frame in range(len(truth.labels)):
        a = renumbered(truth.labels[frame], names[frame])
        b = renumbered(found.labels[frame], own_names[frame])
        (ids, sizes), (own_ids, own_sizes), (first, second, joint) = areas(a), areas(b), shared(a, b)
        size, own_size = sizes[np.searchsorted(ids, first)], own_sizes[np.searchsorted(own_ids, second)]
        match = 2 * joint > size
        out["labels_ref"].append(ids.tolist())
        out["labels_comp"].append(own_ids.tolist())
        out["mapped_ref"].append(first[match].tolist())
        out["mapped_comp"].append(second[match].tolist())
        out["ious"].append((joint / (size + own_size - joint))[match].tolist())
    return out
