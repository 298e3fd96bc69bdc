"""What processes cost: CPU time of QEMU while something runs, and the memory of a process tree."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS = 0.25


def cpu_seconds(pid: int) -> float | None:
    """User and system time of a process so far (proc(5), fields 14 and 15); None once it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_megabytes(root: int) -> float:
    """Proportional set size of a process and everything below it, in 10^6 bytes: shared pages count once."""
    total = 0
    for pid in (root, *descendants(root)):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / 1e6


def descendants(root: int) -> list[int]:
    """All processes below `root`."""
    found: list[int] = []
    pending = [root]
    while pending:
        pid = pending.pop()
        try:
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
            children = [int(word) for task in tasks for word in (task / "children").read_text().split()]
        except OSError:
            continue
        found += children
        pending += children
    return found


def _is_qemu(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").startswith("qemu-system")
    except OSError:
        return False


class QemuMeter:
    """Adds up the CPU time of every QEMU below this process while the context lasts; sampled four times a second."""

    def __init__(self) -> None:
        self._last: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="qemu-meter", daemon=True)

    @property
    def seconds(self) -> float:
        return sum(self._last.values())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            for pid in filter(_is_qemu, descendants(os.getpid())):
                if (used := cpu_seconds(pid)) is not None:
                    self._last[pid] = used
