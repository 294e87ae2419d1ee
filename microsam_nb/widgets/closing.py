"""Closing widgets for good."""

from __future__ import annotations

import ipywidgets as widgets


def close_tree(widget: widgets.Widget) -> None:
    """Close a widget, its children, and the layouts and styles that ipywidgets made for them."""
    for child in getattr(widget, "children", ()):
        close_tree(child)
    for part in ("layout", "style"):
        one = getattr(widget, part, None)
        if isinstance(one, widgets.Widget):
            one.close()
    widget.close()
