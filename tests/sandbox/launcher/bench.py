"""A small bench for launcher pods: two nodes and their pods as namespaces, DHCP on the node networks, no cluster.

Everything hangs on processes that die with this one, so nothing is left behind, whatever happens. Pods get what the
sandbox's container runtime would give a privileged container: an overlay root, private namespaces, bind mounts.
"""

import asyncio
import ctypes
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conformance.sandbox.guests import GuestImage
from conformance.sandbox.launcher import (
    ENTRY_POINT,
    HOOK_VOLUME,
    Launcher,
    compute_environment,
    compute_mounts,
    write_compute_layer,
)

_TIED = ("setpriv", "--pdeathsig", "KILL", "--")
_CLONE_NEWNET = 0x40000000
_POD_ROOT = """
set -e
root=$1 layer=$2 base=$3; shift 3
mount -t tmpfs tmpfs "$root"
mkdir "$root/upper" "$root/work" "$root/new"
new=$root/new
mount -t overlay overlay -o "lowerdir=$layer:$base,upperdir=$root/upper,workdir=$root/work" "$new"
mount -t proc proc "$new/proc"
mount --rbind /sys "$new/sys"
mount -t tmpfs -o mode=755,dev tmpfs "$new/dev"
mkdir -p "$new/dev/pts" "$new/dev/shm" "$new/dev/net"
for device in null zero full random urandom tty; do
	: >"$new/dev/$device"
	mount --bind "/dev/$device" "$new/dev/$device"
done
mknod "$new/dev/net/tun" c 10 200
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$new/dev/pts"
mount -t tmpfs tmpfs "$new/run"
while [ "$1" != -- ]; do mkdir -p "$new$2"; mount --bind "$1" "$new$2"; shift 2; done; shift
printf '127.0.0.1 localhost\\n' >"$new/etc/hosts"
printf 'nameserver 10.96.0.10\\nsearch cluster.local\\n' >"$new/etc/resolv.conf"
ip link set lo up
echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range
mkdir "$new/old"; cd "$new"; pivot_root . old; umount -l /old
exec "$@"
"""


@dataclass(frozen=True)
class Done:
    """A finished command."""

    returncode: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True)
class Pod:
    """Names of a pod."""

    namespace: str
    name: str
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class Compute:
    """The container of a bench pod."""

    pid: int


class BenchNode:
    """One node: a network namespace with a bridge, pods on it, and optionally a DHCP server."""

    def __init__(self, bench: "Bench", index: int) -> None:
        self.bench = bench
        self.index = index
        self.name = f"bench-node-{index}"
        self.gateway = f"10.244.{index}.1"
        self.pids: dict[str, int] = {}
        self.dhcp_log = bench.directory / f"dhcp-{index}.log"
        self._dhcp: subprocess.Popen[bytes] | None = None
        holder = bench.spawn("unshare", "--net", "sleep", "infinity")
        self.pid = bench.namespace_pid(holder, "net")

    def ip(self, batch: str, netns: str | None = None) -> None:
        """Run ip commands, one a line, on the node or in a pod."""
        argv = (*self.enter(netns), "ip", "-batch", "-")
        subprocess.run(argv, input=batch, text=True, check=True, capture_output=True)

    def enter(self, netns: str | None) -> tuple[str, ...]:
        """The prefix that runs a command in the namespace."""
        return ("nsenter", "--target", str(self.pids[netns] if netns else self.pid), "--net", "--")

    async def run(
        self,
        *argv: str,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        netns: str | None = None,
        check: bool = True,
        timeout: float = 60,
    ) -> Done:
        """As `Node.run`; in a pod with the pod's own tools, which are those of the node root."""
        own_root = ("nsenter", "--target", str(self.pids[netns]), "--mount", "--") if netns else ()
        process = await asyncio.create_subprocess_exec(
            *self.enter(netns), *own_root, *argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        async with asyncio.timeout(timeout):
            stdout, stderr = await process.communicate(input)
        if check and process.returncode != 0:
            raise RuntimeError(f"{shlex.join(argv)}: {stderr.decode()}")
        return Done(process.returncode or 0, stdout, stderr)

    def socket(self, family: int, type: int, netns: str | None = None) -> socket.socket:
        """As `Node.socket`: made by a thread that enters the namespace and ends."""
        made: list[socket.socket] = []
        pid = self.pids[netns] if netns else self.pid

        def body() -> None:
            with open(f"/proc/{pid}/ns/net", "rb") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET) == 0:
                    made.append(socket.socket(family, type))

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        return made[0]

    def serve_dhcp(self, hosts: Mapping[str, str]) -> None:
        """Answer DHCP on the node network: MAC address -> IPv4 address. Replaces the server before."""
        if self._dhcp is not None:
            self._dhcp.kill()
            self._dhcp.wait()
        argv = [
            "dnsmasq",
            "--keep-in-foreground",
            "--port=0",
            "--interface=br0",
            "--bind-dynamic",
            "--dhcp-authoritative",
            "--no-ping",
            "--leasefile-ro",
            "--conf-file=/dev/null",
            "--user=root",
            "--pid-file=",
            "--log-facility=-",
            f"--dhcp-range={self.gateway},static,255.255.255.0,1h",
            f"--dhcp-option=3,{self.gateway}",
            "--dhcp-option=6,10.96.0.10",
            "--dhcp-option=26,1500",
            *(f"--dhcp-host={mac},{address}" for mac, address in hosts.items()),
        ]
        root = ("unshare", "--root", str(self.bench.root))
        self._dhcp = self.bench.spawn(*self.enter(None), *_TIED, *root, *argv, log=self.dhcp_log)

    def add_pod(self, pod: Pod, address: str) -> Launcher:
        """A launcher pod with eth0 on the node network."""
        launcher = self.bench.start_pod(self, pod)
        name = pod.name
        self.ip(f"link add eth0 netns {self.pids[name]} type veth peer name v{len(self.pids)}\n")
        self.ip(f"link set v{len(self.pids)} master br0 up\n")
        self.ip(f"address add {address}/24 dev eth0\nlink set eth0 up\nroute add default via {self.gateway}\n", name)
        return launcher


class Bench:
    """Two nodes routed to each other."""

    def __init__(self, root: Path, guest: GuestImage) -> None:
        self.root = root
        self.guest = guest
        self.directory = Path(tempfile.mkdtemp(prefix="kbl-", dir="/run"))
        self.shared = self.directory / "s"
        self.hooks = self.directory / "hooks"
        self.layer = write_compute_layer(self.directory / "layer")
        self._processes: list[subprocess.Popen[bytes]] = []
        self.nodes = [BenchNode(self, 1), BenchNode(self, 2)]
        one, two = self.nodes
        one.ip(f"link set lo up\nlink add uplink type veth peer name uplink netns {two.pid}\n")
        for node, other in ((one, two), (two, one)):
            node.ip(
                f"link set lo up\naddress add 172.30.0.{node.index}/24 dev uplink\nlink set uplink up\n"
                f"link add br0 type bridge forward_delay 0\naddress add {node.gateway}/24 dev br0\nlink set br0 up\n"
                f"route add 10.244.{other.index}.0/24 via 172.30.0.{other.index}\n"
            )
            subprocess.run((*node.enter(None), "sysctl", "-qw", "net.ipv4.ip_forward=1"), check=True)

    def spawn(self, *argv: str, log: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a process that dies with this one."""
        with (log or Path(os.devnull)).open("ab") as output:
            process = subprocess.Popen((*_TIED, *argv), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self._processes.append(process)
        return process

    @staticmethod
    def namespace_pid(process: subprocess.Popen[bytes], kind: str) -> int:
        """Wait until a process is in a namespace of its own."""
        mine = os.readlink(f"/proc/self/ns/{kind}")
        while process.poll() is None:
            if os.readlink(f"/proc/{process.pid}/ns/{kind}") != mine:
                return process.pid
        raise RuntimeError(f"ended at once: {process.args!r}")

    def start_pod(self, node: BenchNode, pod: Pod) -> Launcher:
        """Start the compute container; its first process is the child of unshare."""
        volumes = self.directory / "pods" / pod.uid / "volumes"
        scratch = self.directory / "pods" / pod.uid / "root"
        for path in (volumes, scratch):
            path.mkdir(parents=True)
        # Every pod sees the same sidecars: those that a test serves from its own process.
        (volumes / HOOK_VOLUME).symlink_to(self.hooks)
        mounts = compute_mounts(self.shared, self.guest.directory.parent, pod)
        pairs = [part for mount in mounts for part in (str(mount.source), mount.destination)]
        environment = [f"{key}={value}" for key, value in compute_environment(self.shared, pod).items()]
        process = self.spawn(
            *("unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--propagation", "private"),
            *("sh", "-c", _POD_ROOT, "sh", str(scratch), str(self.layer), str(self.root), *pairs, "--"),
            *("/usr/bin/env", *environment, ENTRY_POINT),
            log=self.directory / "pods" / pod.uid / "compute.log",
        )
        pid = _only_child(process)
        _wait_for_root(process, pid)
        node.pids[pod.name] = pid
        return Launcher(node, pod, pod.name, Compute(pid), volumes, self.shared)

    def close(self) -> None:
        """End every process and remove the directory."""
        for log in sorted(self.shared.glob("*/consoles/*-log")):
            print(f"--- console {log.parent.parent.name}\n{log.read_text(errors='replace')[-3000:]}")
        for process in reversed(self._processes):
            process.send_signal(signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def _only_child(process: subprocess.Popen[bytes]) -> int:
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        children = path.read_text(encoding="ascii").split()
        if children:
            return int(children[0])
    raise RuntimeError(f"ended at once: {process.args!r}")


def _wait_for_root(process: subprocess.Popen[bytes], pid: int) -> None:
    """Until the pod stands in its own root: commands that enter it find the pod's tools, not those of this machine."""
    entry_point = Path(f"/proc/{pid}/root{ENTRY_POINT}")
    while process.poll() is None:
        if entry_point.exists():
            return
        time.sleep(0.005)
    raise RuntimeError(f"ended at once: {process.args!r}")


def vmi_of(name: str, user_data: str, binding: str, extra: Sequence[Mapping[str, object]] = ()) -> dict[str, object]:
    """A VMI with one interface on the pod network and cloud-init data."""
    interface: dict[str, object] = {"name": "default", "binding": {"name": binding}}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": name, "namespace": "bench", "uid": str(uuid.uuid4())},
        "spec": {
            "domain": {
                "resources": {"requests": {"memory": "256Mi"}},
                "devices": {"interfaces": [interface, *extra]},
            },
            "networks": [{"name": "default", "pod": {}}],
            "volumes": [{"name": "cloudinit", "cloudInitNoCloud": {"userData": user_data}}],
        },
    }
