"""What this machine lacks for a sandbox, in words and with the fix, found out by trying rather than by asking versions.

Everything is tried in throw-away namespaces; nothing on the machine is changed, but by `install_packages`.
"""

import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from conformance.host.finding import Finding
from conformance.sandbox import descriptors
from conformance.sandbox.network import syscalls
from conformance.sandbox.roots import NEEDED_BYTES, node_root

__all__ = ["Finding", "InstallError", "install_packages", "missing_packages", "preflight"]

Progress = Callable[[str, float], None]

_MEGABYTE = 1024 * 1024
STATE_BYTES = 512 * _MEGABYTE
MEMORY_BYTES = 2048 * _MEGABYTE
CORES = 2

_CAPABILITIES = ("CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SYS_CHROOT")

# A program, and the Debian package that has it.
_PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "crun": "crun",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setsid": "util-linux",
}

_NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "--")

# What is tried in new namespaces, with a shell, and what helps where it fails.
_TRIALS = (
    ("namespaces", "true", "run as root outside of a restricted container"),
    ("veth", "ip link add kbc0 type veth peer name kbc1", "modprobe veth"),
    ("bridge", "ip link add kbc0 type bridge", "modprobe bridge"),
    ("tap", "ip tuntap add kbc0 mode tap", "modprobe tun"),
    (
        "macvtap",
        "ip link add kbc0 type veth peer name kbc1 && ip link add link kbc0 name kbc2 type macvtap mode bridge",
        "modprobe macvtap",
    ),
    (
        "overlay",
        "mount -t tmpfs tmpfs /mnt && mkdir /mnt/l /mnt/u /mnt/w /mnt/m"
        " && mount -t overlay -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w overlay /mnt/m",
        "modprobe overlay",
    ),
)
_DUMMY_TRIAL = ("dummy", "ip link add kbc0 type dummy", "modprobe dummy")


class InstallError(Exception):
    """apt-get could not install the packages; the text ends with what it said."""


def preflight(cache_dir: Path, state_dir: Path) -> list[Finding]:
    """Look at everything a sandbox needs, within a second; the findings in the order in which to mend them."""
    findings = [_platform(), _root(), *_programs(cache_dir)]
    usable = all(finding.ok for finding in findings if finding.name in ("platform", "root", "ip", "unshare"))
    findings.append(_tun())
    if usable:
        findings += [_try(name, script, fix) for name, script, fix in _TRIALS]
        findings += [_nftables(), _try(*_DUMMY_TRIAL, required=False)]
    findings += [*_disk(cache_dir, state_dir), _memory(), _cores(), _kvm(), _open_files()]
    return findings


def missing_packages(findings: Iterable[Finding]) -> tuple[str, ...]:
    """The packages that the findings ask for, each once, in order."""
    return tuple(dict.fromkeys(package for finding in findings if not finding.ok for package in finding.packages))


def install_packages(packages: Iterable[str], progress: Progress) -> None:
    """Install packages with apt-get, after an `apt-get update` if need be.

    Calls `progress("packages", fraction)`. Raises InstallError with the last words of apt-get.
    """
    wanted = list(packages)
    if not wanted:
        return
    output = _apt("install", wanted, progress)
    if output is None:
        return
    # The lists may be missing or old: only then is it worth the time to fetch them.
    update = _apt("update", [], lambda _stage, _fraction: None)
    output = _apt("install", wanted, progress)
    if output is not None:
        raise InstallError(f"apt-get cannot install {' '.join(wanted)}:\n{update or ''}{output}")


def _apt(command: str, packages: list[str], progress: Progress) -> str | None:
    """Run apt-get; None when it succeeded, else the end of what it said."""
    receive, send = os.pipe2(os.O_CLOEXEC)
    argv = ["apt-get", "-q", "-y", "-o", f"APT::Status-Fd={send}", "--no-install-recommends", command, *packages]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Its words go to a file: nobody would read a second pipe while this one is being read.
    with os.fdopen(receive, encoding="utf-8", errors="replace") as status, tempfile.TemporaryFile("w+") as words:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=words,
                pass_fds=(send,),
                env=environment,
            )
        except OSError as error:
            return f"apt-get: {error.strerror}\n"
        finally:
            os.close(send)
        with process:
            for line in status:
                _report_apt(line, progress)
        words.seek(0)
        return None if process.returncode == 0 else words.read()[-2000:]


def _report_apt(line: str, progress: Progress) -> None:
    # `dlstatus:<item>:<percent>:<text>` while it downloads, `pmstatus:...` while it installs.
    kind, _, rest = line.partition(":")
    fields = rest.split(":")
    if kind in ("dlstatus", "pmstatus") and len(fields) >= 2:
        fraction = float(fields[1]) / 200
        progress("packages", fraction + (0.5 if kind == "pmstatus" else 0.0))


def _platform() -> Finding:
    machine = f"{sys.platform} {os.uname().machine}"
    ok = sys.platform == "linux" and os.uname().machine == "x86_64"
    return Finding("platform", ok, machine, "" if ok else "use Linux on x86-64")


def _root() -> Finding:
    held = syscalls.own_capabilities()
    lacking = [name for name in _CAPABILITIES if name not in held]
    if os.geteuid() == 0 and not lacking:
        return Finding("root", True, "root with the capabilities needed")
    detail = "not root" if os.geteuid() != 0 else f"root without {', '.join(lacking)}"
    return Finding("root", False, detail, "run as root; in a container, with --privileged")


def _programs(cache_dir: Path) -> list[Finding]:
    findings: list[Finding] = []
    for program, package in _PROGRAMS.items():
        path = shutil.which(program)
        if path is not None:
            findings.append(Finding(program, True, path))
        elif program == "mmdebstrap" and node_root(cache_dir) is not None:
            findings.append(Finding(program, True, "not installed, and not needed: the node root is built"))
        else:
            fix = f"apt-get install {package}"
            findings.append(Finding(program, False, "not installed", fix, packages=(package,)))
    return findings


def _tun() -> Finding:
    device = Path("/dev/net/tun")
    try:
        status = device.stat()
    except OSError as error:
        fix = "modprobe tun; in a container, give it the device: --device /dev/net/tun"
        return Finding(str(device), False, error.strerror or "missing", fix)
    ok = stat.S_ISCHR(status.st_mode) and os.access(device, os.R_OK | os.W_OK)
    return Finding(str(device), ok, "usable" if ok else "not a usable device", "" if ok else f"chmod 666 {device}")


def _try(name: str, script: str, fix: str, *, required: bool = True) -> Finding:
    done = subprocess.run(
        [*_NAMESPACES, "/bin/sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return Finding(name, True, "works", required=required)
    words = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    return Finding(name, False, words, fix, required)


def _nftables() -> Finding:
    try:
        answer = syscalls.in_new_network_namespace(_ask_nftables)
    except OSError as error:
        return Finding("nftables", False, error.strerror or str(error), "modprobe nf_tables")
    return Finding("nftables", answer, "works" if answer else "no answer", "" if answer else "modprobe nf_tables")


def _ask_nftables() -> bool:
    # NFT_MSG_GETGEN, answered by NFT_MSG_NEWGEN (linux/netfilter/nf_tables.h): needs no nft program.
    netfilter, subsystem, request, reply = 12, 10, 16, 15
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netfilter) as netlink:
        netlink.settimeout(2)
        netlink.send(struct.pack("=LHHLLBBH", 20, subsystem << 8 | request, 1, 1, 0, 0, 0, 0))
        kind = struct.unpack_from("=LH", netlink.recv(4096))[1]
    return bool(kind == (subsystem << 8 | reply))


def _disk(cache_dir: Path, state_dir: Path) -> list[Finding]:
    # A cache that has its root already needs little more.
    cache_bytes = NEEDED_BYTES if node_root(cache_dir) is None else STATE_BYTES
    findings: list[Finding] = []
    for name, path, needed in (("cache", cache_dir, cache_bytes), ("state", state_dir, STATE_BYTES)):
        existing = next(parent for parent in (path, *path.parents) if parent.exists())
        free = shutil.disk_usage(existing).free
        detail = f"{free // _MEGABYTE} MB free on {path}, {needed // _MEGABYTE} needed"
        variable = "set XDG_CACHE_HOME to a larger disk" if name == "cache" else "choose another state directory"
        ok = free >= needed
        findings.append(Finding(f"disk for the {name}", ok, detail, "" if ok else f"free some, or {variable}"))
    return findings


def _memory() -> Finding:
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    ok = available >= MEMORY_BYTES
    detail = f"{available // _MEGABYTE} MB available, {MEMORY_BYTES // _MEGABYTE} needed for two virtual machines"
    return Finding("memory", ok, detail, "" if ok else "end other programs, or use a larger machine")


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0))
    ok = cores >= CORES
    return Finding("cores", ok, str(cores), "" if ok else "expect every time-out to be met late", required=False)


def _kvm() -> Finding:
    usable = os.access("/dev/kvm", os.R_OK | os.W_OK)
    modules = [name for name in ("kvm_intel", "kvm_amd") if Path("/sys/module", name).exists()]
    if usable and modules:
        return Finding("kvm", True, f"{modules[0]} is there, and not used: the sandbox emulates", required=False)
    return Finding("kvm", True, "not usable, and not needed: the sandbox emulates", required=False)


def _open_files() -> Finding:
    # Tried in a process of its own: the limit is not this one's to change.
    trial = "from conformance.sandbox.descriptors import raise_limit; print(raise_limit())"
    done = subprocess.run([sys.executable, "-c", trial], capture_output=True, text=True, check=True)
    return descriptors.finding(int(done.stdout))
