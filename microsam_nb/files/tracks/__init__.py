"""Tracks in files, one module per format."""

from .ctc import read_ctc, write_ctc
from .table import read_csv, write_csv

__all__ = ["read_csv", "read_ctc", "write_csv", "write_ctc"]
