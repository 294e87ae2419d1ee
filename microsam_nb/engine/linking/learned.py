"""Links by trackastra's transformer (Gallusser and Weigert, ECCV 2024), where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core import LabelError, ModelError
from ...core.tracks import Spot
from .settings import LinkSettings

_MODEL = "general_2d"


def check_trackastra() -> None:
    """Raise ModelError where the package cannot be imported, before long work is done for it."""
    try:
        import trackastra.model  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"The linker trackastra cannot be used ({error}).", "Install it with: pip install trackastra; or use lap."
        ) from error


def links_by_trackastra(
    labels: NDArray[np.uint32], images: NDArray[Any] | None, settings: LinkSettings
) -> list[tuple[Spot, Spot]]:
    """Return links between the objects of labels (frames, h, w) whose ``images`` (frames, h, w) are needed too.

    Its network is downloaded when it is first used. Raises ModelError without the package or the network, and
    LabelError without images of the labels' shape.
    """
    if images is None or images.shape != labels.shape:
        raise LabelError(
            f"trackastra looks at the images, but of labels of shape {labels.shape} there are "
            + ("none." if images is None else f"images of shape {images.shape}."),
            "Give images (frames, y, x) of one channel, or use linker=lap.",
        )
    check_trackastra()
    if len(labels) < 2 or not labels.any():
        return []
    from trackastra.model import Trackastra

    try:
        model = Trackastra.from_pretrained(_MODEL, device="automatic")
    except Exception as error:  # whatever its download raises
        raise ModelError(
            f"The network {_MODEL} of trackastra cannot be loaded ({error}).",
            "Check the connection and try again, or use linker=lap.",
        ) from error
    mode = "greedy" if settings.division else "greedy_nodiv"
    graph, _ = model.track(np.asarray(images), labels.astype(np.int64), mode=mode)
    spot = {node: (int(about["time"]), int(about["label"])) for node, about in graph.nodes(data=True)}
    return [(spot[a], spot[b]) for a, b in graph.edges]
