"""What the compute container of a launcher pod is made of: an image layer, mounts, an environment and a command.

One libvirtd runs per pod. Its socket lies in a directory that every compute container sees at the same path, so that
the libvirtd of a migration source reaches that of the target.
"""

import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance.sandbox.launcher.protocols import PodLike

ENTRY_POINT = "/usr/bin/virt-launcher-monitor"
DIRECTORY_VARIABLE = "LAUNCHER_DIRECTORY"
DHCP_PACKAGE = "virt_launcher_dhcp"
"""The package `launcher.dhcp` as the container's own Python finds it."""

CONSOLES = "/var/run/kubevirt-private"
EPHEMERAL_DISKS = "/var/run/kubevirt-ephemeral-disks"
GUESTS = "/run/kubevirt/guests"
USER_DISKS = "/run/kubevirt/container-disks"
QUIT_SIGNAL = signal.SIGUSR1
"""Tells the entry point to end libvirtd, and then itself, with status 0."""
ABANDON_SIGNAL = signal.SIGUSR2
"""The same for a launcher that still waits for its sidecars: it ends with status 255, as recorded."""

_PYTHON_PACKAGES = "usr/lib/python3/dist-packages"
_QEMU_CONF = """\
# Everything in this container is one user and one cgroup already.
security_driver = "none"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
max_files = 16384
"""
_LIBVIRTD_CONF = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_rw_perms = "0777"
log_outputs = "3:stderr"
"""
_NSSWITCH_CONF = """\
# No DNS: libvirtd looks its own name up, and a name server that does not answer would hold up every call.
passwd: files
group: files
hosts: files
"""
_ENTRY_POINT_SCRIPT = f"""\
#!/bin/sh
# Runs libvirtd for one pod. The arguments are those of KubeVirt's own command and are not used.
set -e
: "${{{DIRECTORY_VARIABLE}:?must name the directory of the libvirt sockets}}"
mkdir -p /run/libvirt /run/lock /run/kubevirt "${DIRECTORY_VARIABLE}"
{{
	cat /etc/libvirt/libvirtd.conf
	echo "unix_sock_dir = \\"${DIRECTORY_VARIABLE}\\""
	echo "host_uuid = \\"$(cat /proc/sys/kernel/random/uuid)\\""
}} >/run/libvirtd-pod.conf
# A launcher outlives SIGTERM until its VM is down, and is then told to end; it ends with status 0.
trap : TERM
/usr/bin/tini -s -- /usr/sbin/libvirtd --config /run/libvirtd-pod.conf &
daemon=$!
code=0
trap 'kill "$daemon"' USR1
trap 'code=255; kill "$daemon"' USR2
while kill -0 "$daemon" 2>/dev/null; do wait "$daemon" || :; done
exit "$code"
"""
_CONTAINER_DISK = """\
#!/bin/sh
# Stands for the program that keeps a containerDisk's container alive.
exec sleep infinity
"""
_LAYER = {
    "etc/libvirt/qemu.conf": (_QEMU_CONF, 0o644),
    "etc/libvirt/libvirtd.conf": (_LIBVIRTD_CONF, 0o644),
    "etc/nsswitch.conf": (_NSSWITCH_CONF, 0o644),
    ENTRY_POINT.lstrip("/"): (_ENTRY_POINT_SCRIPT, 0o755),
    "usr/bin/container-disk": (_CONTAINER_DISK, 0o755),
}


@dataclass(frozen=True)
class ComputeMount:
    """A bind mount of the compute container: `source` as the supervisor sees it, `destination` in the container."""

    source: Path
    destination: str
    read_only: bool = False


def write_compute_layer(directory: Path) -> Path:
    """Write the image layer that turns the node root into virt-launcher; returns `directory`. Idempotent."""
    for name, (content, mode) in _LAYER.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        path.chmod(mode)
    package = directory / _PYTHON_PACKAGES / DHCP_PACKAGE
    package.mkdir(parents=True, exist_ok=True)
    for module in (Path(__file__).parent / "dhcp").glob("*.py"):
        shutil.copyfile(module, package / module.name)
    return directory


def pod_directory(shared: Path, pod: PodLike) -> Path:
    """Where a pod keeps its libvirt sockets and XML files, at the same path in every compute container."""
    return shared / pod.uid


def compute_environment(shared: Path, pod: PodLike) -> dict[str, str]:
    """What the entry point reads, and what lets a plain `virsh` in the container find its libvirtd."""
    directory = pod_directory(shared, pod)
    return {
        DIRECTORY_VARIABLE: str(directory),
        "LIBVIRT_DEFAULT_URI": f"qemu+unix:///system?socket={directory}/libvirt-sock",
    }


def compute_mounts(
    shared: Path, guests: Path, pod: PodLike, disks: Mapping[str, Path] | None = None
) -> tuple[ComputeMount, ...]:
    """The mounts a compute container needs, their sources created. Call it before the container starts.

    `shared` is one directory for all launcher pods of the sandbox (keep its path under 40 bytes), `guests` the cache of
    guest images, `disks` users' own disk images by digest.
    """
    own = pod_directory(shared, pod)
    mounts = (
        ComputeMount(shared, str(shared)),
        ComputeMount(guests, GUESTS, read_only=True),
        ComputeMount(own / "consoles", CONSOLES.removeprefix("/var")),
        ComputeMount(own / "disks", EPHEMERAL_DISKS.removeprefix("/var")),
    )
    for mount in mounts:
        mount.source.mkdir(parents=True, exist_ok=True)
    own_disks = (disks or {}).items()
    return mounts + tuple(ComputeMount(path, f"{USER_DISKS}/{digest}", read_only=True) for digest, path in own_disks)
