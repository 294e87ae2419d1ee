from __future__ import annotations

import html

from microsam_nb.view import help_rows
from microsam_nb.widgets import KeyHelp, close_tree


def test_help_of_a_volume_lists_its_keys():
    one = KeyHelp(volume=True)
    try:
        one.toggle()
        for _, words in help_rows(volume=True):
            assert html.escape(words) in one.table.value
    finally:
        close_tree(one.box)


def test_help_of_a_movie_lists_its_keys_and_says_frame():
    one = KeyHelp(volume=True, movie=True)
    try:
        one.toggle()
        assert "divides in this frame" in one.table.value
        assert "plane" not in one.table.value.lower()
    finally:
        close_tree(one.box)


def test_help_lists_every_key_once_it_is_asked_for():
    one = KeyHelp()
    try:
        assert one.table.value == ""
        assert not one.hide()
        one.toggle()
        assert one.shown
        for _, words in help_rows():
            assert html.escape(words) in one.table.value
        assert "planes" not in one.table.value
        one.toggle()
        assert not one.shown
        one.toggle()
        assert one.hide(), "Escape closes it, and does nothing else"
        assert not one.shown
        one.toggle()
        one.box.children[0].click()
        assert not one.shown
    finally:
        close_tree(one.box)
