"""How much memory there is, and how much this process holds."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import torch

#: What a machine is taken to have that does not tell.
_UNKNOWN = 8 << 30


def available_memory(device: torch.device) -> int:
    """Return bytes that this process may hold in all on a device: what is free, and what it holds already."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) + int(torch.cuda.memory_reserved(device))
    return min(_free(), _allowed()) + resident_memory()


def resident_memory() -> int:
    """Return the bytes of main memory that this process holds; where the system does not tell, the most it ever did."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return pages * os.sysconf("SC_PAGE_SIZE")


def _free() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return _UNKNOWN


def _allowed() -> int:
    """What a container leaves, which the machine's own numbers do not show."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        if limit.isdigit():
            return max(0, int(limit) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass
    return sys.maxsize
