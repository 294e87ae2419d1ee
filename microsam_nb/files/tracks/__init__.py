"""Tracks in files, two modules at most per format; ``read_tracks`` and ``write_tracks`` open all of them."""

from .ctc import is_ctc, read_ctc, write_ctc
from .geff_in import read_geff
from .geff_out import write_geff
from .opening import ENDINGS, TrackFormat, check_tracks_path, read_tracks, write_tracks
from .table import read_csv, write_csv
from .trackmate_in import read_trackmate
from .trackmate_out import write_trackmate

__all__ = [
    "ENDINGS",
    "TrackFormat",
    "check_tracks_path",
    "is_ctc",
    "read_csv",
    "read_ctc",
    "read_geff",
    "read_trackmate",
    "read_tracks",
    "write_csv",
    "write_ctc",
    "write_geff",
    "write_trackmate",
    "write_tracks",
]
