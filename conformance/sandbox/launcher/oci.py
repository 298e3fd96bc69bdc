"""The OCI runtime configuration of one container: what a kubelet and its runtime would write for it.

Source: the OCI runtime specification 1.0.2 (config.md, config-linux.md) and containerd's defaults for pods.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from conformance.sandbox.images import Image, Mount
from conformance.sandbox.network.pods import PodRef
from conformance.sandbox.network.syscalls import own_capabilities

__all__ = ["ContainerConfig", "DeviceNode", "Dns", "Mount", "oci_config", "write_network_files"]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
# Neither ambient nor inheritable, as container runtimes have it: a process that is not root gets a capability only from
# the file that it executes.
_CAPABILITY_SETS = ("bounding", "effective", "permitted")

Json = dict[str, object]


@dataclass(frozen=True)
class Dns:
    """What goes into a container's /etc/resolv.conf."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class DeviceNode:
    """A character device that a container gets, usable by everybody in it."""

    path: str
    major: int
    minor: int


_TUN = DeviceNode("/dev/net/tun", 10, 200)


@dataclass(frozen=True)
class ContainerConfig:
    """One container to start.

    `argv` empty means the image's own command. `netns` is a name in the node's /run/netns, None for the node's own
    network; `host_pid` shares the sandbox's process numbers, which are those of all nodes. `capabilities` are full
    names (`CAP_NET_BIND_SERVICE`), the whole set; for a privileged image they are ignored. `log` receives stdout and
    stderr. `addresses` are the pod's, for /etc/hosts.
    """

    pod: PodRef
    name: str
    image: Image
    netns: str | None
    log: Path
    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    uid: int = 0
    gid: int = 0
    capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = False
    read_only_root: bool = False
    mounts: tuple[Mount, ...] = ()
    hostname: str = ""
    addresses: tuple[str, ...] = ()
    dns: Dns = field(default_factory=Dns)
    working_directory: str = "/"
    host_pid: bool = False
    devices: tuple[DeviceNode, ...] = ()


def oci_config(config: ContainerConfig, rootfs: Path, netns: Path, started: Path) -> Json:
    """The `config.json` of the container.

    `rootfs` is the mounted root, `netns` the namespace file and `started` a FIFO to which the container's state is
    written once its process runs; all as seen from the supervisor.
    """
    privileged = config.image.privileged
    return {
        "ociVersion": "1.0.2",
        "hostname": config.hostname or config.pod.name,
        "root": {"path": str(rootfs), "readonly": config.read_only_root},
        "process": process_config(config, config.argv or config.image.command, tty=False),
        "mounts": _standard_mounts(privileged) + [_mount(entry) for entry in config.image.mounts + config.mounts],
        "hooks": {"poststart": [{"path": "/bin/sh", "args": ["sh", "-c", 'exec cat > "$0"', str(started)]}]},
        "linux": {
            "namespaces": [
                *([] if config.host_pid else [{"type": "pid"}]),
                {"type": "mount"},
                {"type": "ipc"},
                {"type": "uts"},
                {"type": "network", "path": str(netns)},
            ],
            "devices": [_device(node) for node in ((_TUN,) if privileged else ()) + config.devices],
            "maskedPaths": [] if privileged else list(_MASKED),
            "readonlyPaths": [] if privileged else list(_READ_ONLY),
        },
    }


def process_config(config: ContainerConfig, argv: tuple[str, ...], *, tty: bool) -> Json:
    """The `process` object for the container's own process, or for one that is started in it later."""
    capabilities = own_capabilities() if config.image.privileged else config.capabilities
    env = {"PATH": DEFAULT_PATH, "HOSTNAME": config.hostname or config.pod.name, **config.image.env, **config.env}
    if tty:
        env.setdefault("TERM", "xterm")
    return {
        "terminal": tty,
        "user": {"uid": config.uid, "gid": config.gid},
        "args": list(argv),
        "env": [f"{name}={value}" for name, value in env.items()],
        "cwd": config.working_directory,
        "capabilities": {key: list(capabilities) for key in _CAPABILITY_SETS},
        "noNewPrivileges": config.no_new_privileges,
    }


def write_network_files(config: ContainerConfig, upper: Path) -> None:
    """Write /etc/hosts, /etc/hostname and /etc/resolv.conf, the kubelet's part, into the container's own layer."""
    hostname = config.hostname or config.pod.name
    hosts = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
        *(f"{address}\t{hostname}" for address in config.addresses),
    ]
    resolv = [f"search {' '.join(config.dns.searches)}"] if config.dns.searches else []
    resolv += [f"nameserver {server}" for server in config.dns.nameservers]
    resolv += [f"options {' '.join(config.dns.options)}"] if config.dns.options else []
    etc = upper / "etc"
    etc.mkdir(mode=0o755, exist_ok=True)
    for name, lines in (("hosts", hosts), ("hostname", [hostname]), ("resolv.conf", resolv)):
        (etc / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _standard_mounts(privileged: bool) -> list[Json]:
    hardened = ["nosuid", "noexec", "nodev"]
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": hardened},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*hardened, "mode=1777"]},
        {
            "destination": "/sys",
            "type": "sysfs",
            "source": "sysfs",
            "options": hardened if privileged else [*hardened, "ro"],
        },
    ]


def _mount(entry: Mount) -> Json:
    options = list(entry.options)
    if entry.type == "bind" and not {"bind", "rbind"} & set(options):
        options.append("rbind")
    options.append("ro" if entry.read_only else "rw")
    return {"destination": entry.destination, "type": entry.type, "source": entry.source, "options": options}


def _device(node: DeviceNode) -> Json:
    number = {"major": node.major, "minor": node.minor}
    return {"path": node.path, "type": "c", **number, "fileMode": 0o666, "uid": 0, "gid": 0}
