"""Annotations without a screen, whose requests are answered at once."""

from __future__ import annotations

import numpy as np
import tifffile

from microsam_nb.annotators.service import EngineService
from microsam_nb.core import Image
from microsam_nb.session import (
    AcceptCandidates,
    AddBox,
    AddPoint,
    Clear,
    Commit,
    Describe,
    Embed,
    FindAll,
    Improve,
    Merge,
    Paint,
    Project,
    Question,
    Redo,
    Relabel,
    SegmentAll,
    Session,
    Undo,
)


class Annotation:
    """A session with a project, answered at once."""

    def __init__(self, folder, image, model):
        self.folder, self.image, self.service = folder, image, EngineService(image, model)
        self.session = Session(image.shape, Project.open(folder, image, model.spec.name), movie=image.axes[0] == "t")
        for _ in range(2):  # the first one loads the model
            for one in self.service(Embed(0)):
                self.session.handle(one)

    def do(self, *actions):
        for action in actions:
            requests = list(self.session.handle(action).requests)
            while requests:
                request = requests.pop(0)
                if isinstance(request, Question | SegmentAll | Embed):
                    for one in self.service(request):
                        requests += self.session.handle(one).requests
        return self

    def close(self):
        self.session.close()
        return self.session.snapshot()


def annotate_cells(folder, drawn, nano):
    """Return an annotation that is closed, and its labels.

    Two objects by clicks, one of them corrected and undone meanwhile; one by a box, painted; two found, merged.
    """
    tifffile.imwrite(folder / "cells.tif", drawn.pixels)
    image = Image(drawn.pixels, name="cells")
    middles = [np.argwhere(drawn.labels == n).mean(0) for n in (1, 2, 3, 4)]
    one = Annotation(folder / "cells.msam", image, nano)
    one.do(AddPoint(*middles[0]), AddPoint(5.0, 90.0), Undo(), Commit())
    one.do(AddPoint(*middles[1]), Commit(), Undo(), Undo(), Redo(), Redo(), Describe(2, name="second"))
    y, x = middles[2]
    one.do(AddBox(y - 14, x - 14, y + 14, x + 14), Paint(((y, x), (y, x + 5)), 4.0), Commit())
    one.do(AddPoint(*middles[3]), Clear(), FindAll(), AcceptCandidates(), Merge((1, 2)), Improve(3))
    one.do(AddPoint(y, x), Commit(), Relabel())
    return one, one.close()
