"""Encoding and segmenting on many computers, by dask.distributed; the result is that of one.

Workers open images and stores by their paths, so that only names and numbers go through the scheduler. What they
write are chunks of their own; what is done is noted by this process alone, after a worker has said so. A task can
be done any number of times.
"""

from .clients import Cluster, connect
from .embedding import embed_plan
from .plans import Call, Failure, Plan, run_plans
from .segmenting import segment_plan
from .workers import Source

__all__ = ["Call", "Cluster", "Failure", "Plan", "Source", "connect", "embed_plan", "run_plans", "segment_plan"]
