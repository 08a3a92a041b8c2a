"""What processes use, by /proc: processor time and memory of whole trees."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


def tree(roots: Iterable[int]) -> list[int]:
    """These processes and all that descend from them."""
    children = defaultdict(list)
    for folder in PROC.iterdir():
        if folder.name.isdigit() and (fields := stat(int(folder.name))):
            children[int(fields[1])].append(int(folder.name))
    found = list(roots)
    for pid in found:
        found += children[pid]
    return found


def cpu(roots: Iterable[int]) -> float:
    """Seconds of processor time, those of children that have ended included."""
    fields = [each for pid in tree(roots) if (each := stat(pid))]
    return sum(int(ticks) for each in fields for ticks in each[11:15]) / TICKS


def pss(roots: Iterable[int]) -> float:
    """Megabytes, shared pages shared out."""
    return sum(map(pss_of, tree(roots)))


def pss_of(pid: int) -> float:
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return 0.0
    (kilobytes,) = (int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return kilobytes / 1e3


def stat(pid: int) -> list[str]:
    """The fields from the state on; none: it has ended."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
