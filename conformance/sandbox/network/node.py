"""A node of the sandbox: a network namespace and a root file system of its own, held by one sleeping process.

The root is an overlay over the node root, pivoted into, so that whatever runs on the node sees nothing of the machine
outside: CNI plugins find their default paths and a vendor's installer may write where it likes. The supervisor sees the
same tree at `nodes/<name>/root`. The directories that are also filled from outside the sandbox are plain directories,
bound into the tree.
"""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Coroutine, Mapping
from pathlib import Path

from conformance.sandbox.network import syscalls
from conformance.sandbox.network.commands import SYSTEM_PATH, CommandError, Completed, run_command

__all__ = ["CommandError", "Completed", "Node"]

CNI_BINARIES = "/opt/cni/bin"
CNI_CONFIGURATION = "/etc/cni/net.d"
CNI_STATE = "/var/lib/cni"
NETNS_DIRECTORY = "/run/netns"
POD_NETWORK, POD_NETWORK6 = "10.244.0.0/16", "fd00:10:244::/48"
_ETHERNET_MTU = 1500

_PRIVATE_DIRECTORIES = (CNI_BINARIES, CNI_CONFIGURATION, CNI_STATE)
_PACKAGED_PLUGINS = "usr/lib/cni"
_DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
_MAX_SYMLINKS = 40
_LINK_NAME_LIMIT = 15

# The parent's tree must not be unmounted through propagation when this copy of it goes: private first.
_HOLDER = """
set -e
mount -t sysfs -o nosuid,nodev,noexec sysfs "$1/sys"
cd "$1"
mkdir -p .outside
pivot_root . .outside
cd /
mount --make-rprivate /.outside
umount -l /.outside
rmdir /.outside
echo ready
exec sleep infinity
"""

_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv6/conf/all/disable_ipv6": "0",
    "net/ipv6/conf/default/disable_ipv6": "0",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv6/conf/default/accept_dad": "0",
    # What the bridge of the pods forwards is translated and filtered like what the node routes, as kube-proxy needs it.
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/bridge/bridge-nf-call-ip6tables": "1",
    "net/bridge/bridge-nf-call-arptables": "0",
}

_POD_SYSCTLS = {
    "net/ipv4/ping_group_range": "0 2147483647",
    "net/ipv6/conf/all/disable_ipv6": "0",
    "net/ipv6/conf/default/disable_ipv6": "0",
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    "net/bridge/bridge-nf-call-iptables": "0",
    "net/bridge/bridge-nf-call-ip6tables": "0",
}


class Node:
    """One node.

    `index` counts from 1 and gives every address: node 172.30.0.<index> and fd00:30::<index>, pods 10.244.<index>.0/24
    and fd00:10:244:<index>::/64. `mtu` is that of the pods' network in bytes; the uplink's is no smaller, and at least
    1500.
    """

    def __init__(self, name: str, index: int, directory: Path, base: Path, mtu: int = 1500) -> None:
        """`directory` (nodes/<name> of the state directory) will hold the node; `base` is the node root, only read.

        Raises ValueError for a name that cannot also be that of its link (15 characters).
        """
        if not 0 < len(name) <= _LINK_NAME_LIMIT:
            raise ValueError(f"node name {name!r}: must have 1 to {_LINK_NAME_LIMIT} characters")
        self.name = name
        self.index = index
        self.directory = directory
        self.base = base
        self.mtu = mtu
        self.uplink_mtu = max(_ETHERNET_MTU, mtu)
        self.address = f"172.30.0.{index}"
        self.address6 = f"fd00:30::{index:x}"
        self.pod_cidr = f"10.244.{index}.0/24"
        self.pod_cidr6 = f"fd00:10:244:{index:x}::/64"
        self.root = directory / "root"
        self.layers = directory / "layers"
        self._holder: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process that holds the node's namespaces. RuntimeError when the node is down."""
        if self._holder is None:
            raise RuntimeError(f"node {self.name} is not up")
        return self._holder.pid

    async def start(self) -> None:
        """Bring the node up: mounts, namespaces, loopback and sysctls; no link to other nodes yet.

        Raises OSError when a mount fails and CommandError when the namespaces cannot be made; nothing is left then.
        """
        try:
            self._mount_root()
            await self._start_holder()
            syscalls.in_network_namespace(self.own_netns, lambda: _prepare_namespace(_SYSCTLS))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Take the node down; whatever still runs on it must have been ended. Idempotent."""
        holder, self._holder = self._holder, None
        if holder is not None:
            with contextlib.suppress(ProcessLookupError):
                holder.kill()
            await holder.wait()
        with contextlib.suppress(OSError):
            syscalls.umount(self.root, syscalls.MNT_DETACH)

    def run(
        self,
        *argv: str,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        netns: str | None = None,
        check: bool = True,
        timeout: float = 60,
    ) -> Coroutine[None, None, Completed]:
        """Run a command on the node to its end, in its root file system and network namespace.

        `netns` names another network namespace in the node's /run/netns (a pod's). The environment is a plain PATH plus
        `env`. Raises CommandError after `timeout` seconds and, with `check`, for a status other than 0.
        """
        return run_command(self.enter(netns), argv, where=self.name, input=input, env=env, check=check, seconds=timeout)

    async def spawn(
        self,
        *argv: str,
        netns: str | None = None,
        stdin: int | None = asyncio.subprocess.DEVNULL,
        stdout: int | None = None,
        stderr: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> asyncio.subprocess.Process:
        """Start a command on the node and leave it running; the arguments are those of `run` and of asyncio."""
        return await asyncio.create_subprocess_exec(
            *self.enter(netns),
            *argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env={"PATH": SYSTEM_PATH, **(env or {})},
        )

    def enter(self, netns: str | None = None) -> tuple[str, ...]:
        """The command prefix that enters the node, and the network namespace `netns` of it."""
        network = "--net" if netns is None else f"--net={self.netns_path(netns)}"
        return ("nsenter", "--target", str(self.pid), "--mount", network, "--")

    def socket(self, family: int, type: int, netns: str | None = None) -> socket.socket:
        """A non-blocking socket inside the node's network namespace, or inside that of a pod, for use out here."""
        return syscalls.open_socket(self.own_netns if netns is None else self.netns_path(netns), family, type)

    def path(self, node_path: str) -> Path:
        """Where an absolute path of the node is seen from the supervisor; symbolic links resolve inside the node."""
        return resolve_inside(self.root, node_path)

    def netns_path(self, name: str) -> Path:
        """The file, seen from the supervisor, that stands for the network namespace `name` of this node."""
        return self.root / "run" / "netns" / name

    def create_netns(self, name: str) -> None:
        """Make the network namespace of a pod: loopback up and the sysctls a container runtime sets.

        Appears as /run/netns/<name> on the node. Raises FileExistsError if there is one of that name.
        """
        target = self.netns_path(name)
        os.close(os.open(target, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o444))

        def body() -> None:
            _prepare_namespace(_POD_SYSCTLS)
            syscalls.mount(syscalls.current_network_namespace(), target, flags=syscalls.MS_BIND)

        try:
            syscalls.in_new_network_namespace(body)
        except BaseException:
            target.unlink()
            raise

    def delete_netns(self, name: str) -> None:
        """Remove the network namespace `name`; processes in it keep it alive until they end. Idempotent."""
        target = self.netns_path(name)
        with contextlib.suppress(OSError):
            syscalls.umount(target, syscalls.MNT_DETACH)
        target.unlink(missing_ok=True)

    @property
    def own_netns(self) -> Path:
        """The file, seen from the supervisor, that stands for the node's own network namespace."""
        return Path(f"/proc/{self.pid}/ns/net")

    def _mount_root(self) -> None:
        root, upper, work = self.root, self.layers / "upper", self.layers / "work"
        for part in (root, upper, work):
            part.mkdir(parents=True, exist_ok=True)
        syscalls.mount_overlay([self.base], upper, work, root)
        syscalls.mount("proc", root / "proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
        syscalls.mount("tmpfs", root / "run", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755")
        self._mount_devices(root / "dev")
        netns = root / "run" / "netns"
        netns.mkdir()
        syscalls.mount("tmpfs", netns, "tmpfs", 0, "mode=755")
        # Shared, so that a namespace bound on either side of the node's mount namespace is seen on both.
        syscalls.mount("none", netns, flags=syscalls.MS_SHARED)
        for directory in _PRIVATE_DIRECTORIES:
            source = private_directory(self.directory, directory)
            source.mkdir(parents=True, exist_ok=True)
            target = root / directory.lstrip("/")
            target.mkdir(parents=True, exist_ok=True)
            syscalls.mount(source, target, flags=syscalls.MS_BIND)
        self._link_packaged_plugins()

    def _mount_devices(self, devices: Path) -> None:
        syscalls.mount("tmpfs", devices, "tmpfs", syscalls.MS_NOSUID, "mode=755")
        for name, minor in _DEVICES.items():
            os.mknod(devices / name, stat.S_IFCHR, os.makedev(1, minor))
            (devices / name).chmod(0o666)
        os.mknod(devices / "tty", stat.S_IFCHR, os.makedev(5, 0))
        (devices / "net").mkdir()
        os.mknod(devices / "net" / "tun", stat.S_IFCHR, os.makedev(10, 200))
        for directory in ("pts", "shm"):
            (devices / directory).mkdir()
        syscalls.mount("devpts", devices / "pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620")
        syscalls.mount("tmpfs", devices / "shm", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=1777")
        (devices / "ptmx").symlink_to("pts/ptmx")
        (devices / "fd").symlink_to("/proc/self/fd")

    def _link_packaged_plugins(self) -> None:
        plugins = private_directory(self.directory, CNI_BINARIES)
        for packaged in (self.base / _PACKAGED_PLUGINS).iterdir():
            link = plugins / packaged.name
            if not link.is_symlink() and not link.exists():
                # Relative, so that it leads to the same file from inside the node and through `nodes/<name>/root`.
                link.symlink_to(f"../../../{_PACKAGED_PLUGINS}/{packaged.name}")

    async def _start_holder(self) -> None:
        argv = ("unshare", "--net", "--mount", "--propagation", "unchanged", "/bin/sh", "-c", _HOLDER, self.name)
        holder = await asyncio.create_subprocess_exec(
            *argv,
            str(self.root),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": SYSTEM_PATH},
        )
        self._holder = holder
        assert holder.stdout is not None
        assert holder.stderr is not None
        if await holder.stdout.readline() != b"ready\n":
            words = await holder.stderr.read()
            raise CommandError(argv[:4], await holder.wait(), words, self.name)


def private_directory(directory: Path, node_path: str) -> Path:
    """The plain directory, reachable from outside the sandbox too, behind one of a node's private directories."""
    return directory / node_path.strip("/").replace("/", "-")


def resolve_inside(root: Path, path: str) -> Path:
    """`path` as if `root` were the root directory; links resolve inside, parts that do not exist stay as they are.

    Raises OSError (ELOOP) for a loop of symbolic links.
    """
    pending = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    resolved: list[str] = []
    links = 0
    while pending:
        part = pending.pop()
        if part == "..":
            del resolved[-1:]
            continue
        candidate = root.joinpath(*resolved, part)
        if not candidate.is_symlink():
            resolved.append(part)
            continue
        links += 1
        if links > _MAX_SYMLINKS:
            raise OSError(40, os.strerror(40), path)
        target = str(candidate.readlink())
        if target.startswith("/"):
            resolved.clear()
        pending += [piece for piece in reversed(target.split("/")) if piece not in ("", ".")]
    return root.joinpath(*resolved)


def _prepare_namespace(sysctls: Mapping[str, str]) -> None:
    # Runs inside the namespace: /proc/sys/net belongs to the namespace of the thread that opens it.
    for name, value in sysctls.items():
        with contextlib.suppress(FileNotFoundError):
            Path("/proc/sys", name).write_text(value, encoding="ascii")
    _loopback_up()


def _loopback_up() -> None:
    import fcntl
    import struct

    get_flags, set_flags, up = 0x8913, 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, get_flags, request))[1]
        fcntl.ioctl(control, set_flags, struct.pack("16sh14x", b"lo", flags | up))
