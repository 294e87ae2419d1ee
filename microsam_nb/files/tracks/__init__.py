"""Tracks in files, one module per format."""

from .ctc import read_ctc, write_ctc
from .geff_in import read_geff
from .geff_out import write_geff
from .table import read_csv, write_csv

__all__ = ["read_csv", "read_ctc", "read_geff", "write_csv", "write_ctc", "write_geff"]
