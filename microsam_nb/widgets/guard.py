"""Keys that are pressed on a widget stay there: the notebook would take "d d" on a button for "delete the cell"."""

from __future__ import annotations

import anywidget

_SCRIPT = """
function render({ el }) {
  el.style.display = "none";
  requestAnimationFrame(() => {
    const root = el.getRootNode().host?.closest(".msam-annotator") ?? el.closest(".msam-annotator");
    root?.addEventListener("focusin", (e) => e.target.setAttribute("data-lm-suppress-shortcuts", "true"));
  });
}
export default { render };
"""


class Guard(anywidget.AnyWidget):
    """Invisible; guards the annotator that it is a part of."""

    _esm = _SCRIPT
