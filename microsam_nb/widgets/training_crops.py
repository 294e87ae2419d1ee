"""Before and after: crops of validation images, segmented with the weights before the training and with later ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import ipywidgets as widgets

from ..session.course import Course, Preview
from ..session.finetuning import FinetuningSession
from ..view.compared import FOUND, TRUE, compared
from .background import Background
from .buttons import visible
from .hands import Bound, Poster
from .panels import title


class TrainingCrops:
    """Pairs of pictures: on the left always before, on the right after the step that a slider chooses.

    The best epoch is shown, whose weights are kept, until the user chooses another one. Pictures are read and drawn on
    another thread.
    """

    def __init__(self, session: FinetuningSession, hands: Poster, failed: Callable[[Exception], None]) -> None:
        self._session = session
        self._background = Background(hands.post, failed)
        self._previews: tuple[Preview, ...] = ()
        self._left, self._right = _Column("Before"), _Column("")
        self.slider = widgets.SelectionSlider(options=[("before", 0)], description="After step", continuous_update=True)
        self.slider.add_class("msam-after-step")
        self._bound = Bound(self.slider, hands, self._choose)
        #: Of the user's own choice; None follows the best.
        self._chosen: int | None = None
        self._shown: tuple[int, ...] = ()
        self._best = -1
        true, found = (f"<b style='color:rgb{colour}'>{word}</b>" for colour, word in _WORDS)
        self._head = title("Before and after", f"{true} and {found} outlines on pieces of your validation images")
        self.pairs = widgets.Box()
        self.pairs.add_class("msam-pairs")
        self.box = widgets.VBox([self._head, self.slider, self.pairs])
        self.box.add_class("msam-crops")
        visible(self.box, False)

    def show(self, course: Course) -> None:
        best = course.best.step if course.best is not None and course.best.best else -1
        if (course.previews, best) == (self._previews, self._best):
            return
        self._best = best
        if not course.previews or course.previews[0] != (self._previews or course.previews)[0]:
            self._chosen, self._shown = None, ()
        self._previews = course.previews
        visible(self.box, bool(self._previews))
        visible(self.slider, len(self._previews) > 2)
        if not self._previews:
            return
        steps = [one.step for one in self._previews]
        if self._chosen not in steps:
            self._chosen = None
        wanted = self._usual if self._chosen is None else self._chosen
        options = [("before" if not one else f"{one} (best)" if one == best else str(one), one) for one in steps]
        if options != list(self.slider.options):
            # New options choose the first of them.
            with self._bound.quiet():
                self.slider.options, self.slider.value = options, wanted
        self._ask(wanted)

    def close(self) -> None:
        self._background.close()

    # On the screen's thread.

    @property
    def _usual(self) -> int:
        """The step that is shown unless the user chooses: the best, or the newest while there is none."""
        steps = [one.step for one in self._previews]
        return self._best if self._best in steps else steps[-1]

    def _choose(self, step: int) -> None:
        self._chosen = None if step == self._usual else step
        self._ask(step)

    def _ask(self, step: int) -> None:
        run, first = self._session.run, self._previews[0]
        other = next((one for one in self._previews if one.step == step), self._previews[-1])
        if run is None or self._shown == (first.step, other.step):
            return

        def draw() -> tuple[list[bytes], list[bytes]]:
            images, truths = run.crops()
            return tuple(  # type: ignore[return-value]
                [compared(*one) for one in zip(images, truths, run.preview(some.file), strict=True)]
                for some in (first, other)
            )

        self._background.ask("crops", draw, lambda found: self._put(first, other, *found))

    def _put(self, first: Preview, other: Preview, left: Sequence[bytes], right: Sequence[bytes]) -> None:
        self._shown = first.step, other.step
        self._left.show(first, left)
        self._right.show(other, right)
        # Before the first epoch there is nothing to compare with.
        for card in self._right.cards:
            visible(card, other.step != first.step)
        if len(self.pairs.children) == len(left):
            return
        pairs = [widgets.Box(pair) for pair in zip(self._left.cards, self._right.cards, strict=True)]
        for one in pairs:
            one.add_class("msam-pair")
        self.pairs.children = pairs


#: What is said of the colours.
_WORDS = ((TRUE, "your"), (FOUND, "found"))


class _Column:
    """Pictures with a caption each, as many as there are crops."""

    def __init__(self, words: str) -> None:
        self._words = words
        self.cards: list[widgets.VBox] = []

    def show(self, preview: Preview, pictures: Sequence[bytes]) -> None:
        while len(self.cards) < len(pictures):
            card = widgets.VBox([widgets.HTML(), widgets.Image(format="jpeg")])
            card.add_class("msam-card")
            self.cards.append(card)
        words = self._words or (f"After step {preview.step}" if preview.step else "Before")
        for place, (card, data) in enumerate(zip(self.cards, pictures, strict=False)):
            score = preview.scores[place] if place < len(preview.scores) else math.nan
            caption, picture = card.children
            caption.value = words if math.isnan(score) else f"{words}: mSA <b>{score:.2f}</b>"
            if picture.value != data:
                picture.value = data
