"""The few Linux system calls that Python's standard library does not wrap: mount, umount, unshare, setns.

Forking mount(8) or ip(8) for each of the hundred mounts and namespaces of a sandbox would cost more than the rest of
its start; these calls cost microseconds. Every function raises OSError with the kernel's errno and the path.
"""

import ctypes
import os
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SHARED = 0x100000
MNT_DETACH = 0x2
CLONE_NEWNS = 0x20000
CLONE_NEWNET = 0x40000000

OVERLAYFS_MAGIC = 0x794C7630
CGROUP2_MAGIC = 0x63677270

_libc = ctypes.CDLL(None, use_errno=True)

Result = TypeVar("Result")


def _check(result: int, what: str, path: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}", path)


def mount(
    source: str | Path, target: str | Path, fstype: str | None = None, flags: int = 0, data: str | None = None
) -> None:
    """mount(2); `data` is the file system's own option string, at most one page."""
    _check(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            None if fstype is None else fstype.encode(),
            ctypes.c_ulong(flags),
            None if data is None else data.encode(),
        ),
        f"mount {fstype or 'bind'}",
        str(target),
    )


def umount(target: str | Path, flags: int = 0) -> None:
    """umount2(2)."""
    _check(_libc.umount2(os.fsencode(target), flags), "umount", str(target))


def mount_overlay(lowers: Sequence[Path], upper: Path, work: Path, target: Path) -> None:
    """Mount an overlay at `target`; `lowers` come topmost first. The directories must exist."""
    data = f"lowerdir={':'.join(_escape(lower) for lower in lowers)},upperdir={_escape(upper)},workdir={_escape(work)}"
    mount("overlay", target, "overlay", 0, data)


def _escape(path: Path) -> str:
    text = str(path)
    for character in "\\:,":
        text = text.replace(character, f"\\{character}")
    return text


class _StatFs(ctypes.Structure):
    # struct statfs begins with the magic number; the rest is not needed, only room for it.
    _fields_ = (("f_type", ctypes.c_long), ("rest", ctypes.c_char * 248))


def filesystem_magic(path: Path) -> int:
    """The magic number of the file system that `path` is on (statfs(2))."""
    buffer = _StatFs()
    _check(_libc.statfs(os.fsencode(path), ctypes.byref(buffer)), "statfs", str(path))
    return int(buffer.f_type)


def in_network_namespace(path: Path, function: Callable[[], Result]) -> Result:
    """Call `function` on a thread of its own that has entered the network namespace at `path`."""

    def enter() -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(descriptor, CLONE_NEWNET), "setns", str(path))
        finally:
            os.close(descriptor)

    return _on_thread(enter, function)


def in_new_network_namespace(function: Callable[[], Result]) -> Result:
    """Call `function` on a thread of its own in a new network namespace, which lives on only if bound to a path."""

    def enter() -> None:
        _check(_libc.unshare(CLONE_NEWNET), "unshare", "network namespace")

    return _on_thread(enter, function)


def _on_thread(enter: Callable[[], None], function: Callable[[], Result]) -> Result:
    # Never a pooled thread: it stays in the other namespace for the rest of its life.
    def body() -> Result:
        enter()
        return function()

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="namespace") as executor:
        return executor.submit(body).result()


def current_network_namespace() -> str:
    """The path under /proc of the calling thread's own network namespace."""
    return f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net"


def open_socket(path: Path, family: int, kind: int) -> socket.socket:
    """A non-blocking socket that lives in the network namespace at `path`."""

    def create() -> socket.socket:
        created = socket.socket(family, kind)
        created.setblocking(False)
        return created

    return in_network_namespace(path, create)


# Numbers of capability.h, in order from 0.
_CAPABILITIES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
    SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
    MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""


def effective_capabilities(status: str) -> tuple[str, ...]:
    """The effective capabilities in the text of a /proc/<pid>/status, by their full names."""
    mask = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return tuple(f"CAP_{name}" for number, name in enumerate(_CAPABILITIES.split()) if mask >> number & 1)


def own_capabilities() -> tuple[str, ...]:
    """The effective capabilities of this process, by their full names."""
    return effective_capabilities(Path("/proc/self/status").read_text(encoding="ascii"))
