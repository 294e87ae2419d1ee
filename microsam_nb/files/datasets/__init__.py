"""Public data sets by name: what they are, and how their folders are read."""

from .reading import Part, find_parts, read_part, unknown_split
from .structure import DataSet, Layout
from .table import DATA_SETS, data_set

__all__ = ["DATA_SETS", "DataSet", "Layout", "Part", "data_set", "find_parts", "read_part", "unknown_split"]
