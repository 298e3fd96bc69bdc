"""What this machine must have before a sandbox can come up, said in words and with the fix, before anything starts."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_GIB = 1 << 30
_MEMORY_GIB = 2.0
_CACHE_GIB = 2.0
_RUN_MIB = 64
# program -> Debian package
_PROGRAMS = {"unshare": "util-linux", "nsenter": "util-linux", "mount": "mount"}
_BUILDERS = {"mmdebstrap": "mmdebstrap"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at: ``ok``, what was ``found``, the ``fix`` (empty when ok); ``hint``: a lack is no obstacle."""

    name: str
    ok: bool
    found: str
    fix: str = ""
    hint: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.found}" + (f"; {self.fix}" if self.fix else "")


def sandbox_findings(cache: Path, *, cached: bool) -> tuple[Finding, ...]:
    """Look at this machine. ``cached``: the node root is built already, so what builds it is not needed."""
    return tuple(_look(cache, cached))


def _look(cache: Path, cached: bool) -> Iterator[Finding]:
    yield _finding("Linux on x86_64", f"{platform.system()} {platform.machine()}", _is_linux(), "use such a machine")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    yield _finding("Python 3.11 or newer", python, sys.version_info >= (3, 11), "install python3.11")
    yield _finding("root", f"uid {os.geteuid()}", os.geteuid() == 0, "run as root, for instance with sudo")
    yield _tun()
    for program, package in {**_PROGRAMS, **({} if cached else _BUILDERS)}.items():
        path = shutil.which(program)
        yield _finding(program, path or "not found", path is not None, f"apt-get install {package}")
    for name in ("overlay", "cgroup2"):
        there = name in Path("/proc/filesystems").read_text(encoding="ascii").split()
        found = "known to the kernel" if there else "unknown"
        # a module that is not loaded yet is not listed: a hint, not an obstacle
        yield _finding(f"file system {name}", found, there, f"modprobe {name}", hint=True)
    memory = _available_memory() / _GIB
    wanted = f"memory, {_MEMORY_GIB:g} GiB available"
    yield _finding(wanted, f"{memory:.1f} GiB", memory >= _MEMORY_GIB, "stop other programs", hint=True)
    yield _space(cache, 0.2 if cached else _CACHE_GIB)
    yield _space(Path("/run"), _RUN_MIB / 1024)
    kvm = os.access("/dev/kvm", os.R_OK | os.W_OK)
    yield Finding("/dev/kvm", True, "usable" if kvm else "not there: guests are emulated, which is slower", hint=True)


def _finding(name: str, found: str, ok: bool, fix: str, *, hint: bool = False) -> Finding:
    return Finding(name, ok, found, "" if ok else fix, hint)


def _is_linux() -> bool:
    return platform.system() == "Linux" and platform.machine() == "x86_64"


def _tun() -> Finding:
    device = Path("/dev/net/tun")
    fix = "modprobe tun; in a container: give it the device /dev/net/tun"
    if not device.exists() or not stat.S_ISCHR(device.stat().st_mode):
        return Finding("/dev/net/tun", False, "no such device", fix)
    try:
        os.close(os.open(device, os.O_RDWR))
    except OSError as error:
        return Finding("/dev/net/tun", False, str(error.strerror), fix)
    return Finding("/dev/net/tun", True, "usable")


def _space(directory: Path, gib: float) -> Finding:
    """Free space where ``directory`` is or will be."""
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(existing).free / _GIB
    name = f"space in {directory}, {gib:.2g} GiB"
    return _finding(
        name, f"{free:.1f} GiB free in {existing}", free >= gib, "free some, or set XDG_CACHE_HOME elsewhere"
    )


def _available_memory() -> int:
    """Bytes that programs can still have (``MemAvailable``)."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
