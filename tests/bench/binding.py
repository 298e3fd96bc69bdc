"""What a VM with a binding takes: to its lease, to SSH, for bytes both ways, for a migration; one VM at a time."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from conformance.cluster.install import Installation, undo
from conformance.cluster.sandbox import SandboxProvider
from conformance.guest.guest import Guest
from conformance.guest.keys import GuestKeys
from conformance.guest.shell import GuestError
from conformance.kube.cluster import Cluster
from conformance.kube.errors import ApiError
from conformance.kube.ledger import Ledger
from conformance.kube.lifecycle import delete_vmi, launcher_pod, migrate, pod_ips, wait_running
from conformance.kube.manifest import VMI
from conformance.kube.timeouts import Deadline, Timeouts
from conformance.kube.vmi import VmiSpec, VmiView
from conformance.kube.wait import wait_until
from conformance.model import Binding, Capability
from conformance.traffic.pod import ClientPod, client_pod_manifest
from fixtures.images import client_image, known_guest
from fixtures.machines import ECHO_PORT, PORTS, nic_of
from tests.bench.processes import QemuMeter

_NAMESPACE = "default"
_SECONDS = 120.0
_BANNER_SECONDS = 1.0
_STREAM_BYTES = {"in": 8 << 20, "out": 2 << 20}
"""The guest's own client gives what is still under way 5 s once it has sent all, hence less from its side."""
_BOUND = re.compile(r"^uptime=([0-9.]+) .*reason=(?:BOUND|REBOOT) ", re.MULTILINE)
_DOWNTIME = re.compile(r"downtime_ms=([0-9]+)")


@dataclass(frozen=True)
class Figure:
    """One figure of a VM: what it is, how much, its unit, and the reference it is measured against (None: none)."""

    what: str
    value: float
    unit: str
    reference: float | None = None
    note: str = ""


class Vms:
    """VMs with one binding in a running sandbox; the binding is installed while the context lasts."""

    def __init__(self, state: Path, binding: Binding) -> None:
        self._directory = tempfile.TemporaryDirectory()
        scratch = Path(self._directory.name)
        self._log = state / "log" / "supervisor.log"
        self._binding, self._timeouts, self._keys = binding, Timeouts().scaled(2), GuestKeys.generate()
        self._provider = SandboxProvider(state)
        kubeconfig = self._provider.up(lambda _text: None)
        self._ledger = Ledger(scratch / "ledger")
        self._cluster = Cluster.connect(kubeconfig, cache_file=scratch / "discovery", ledger=self._ledger)

    def __enter__(self) -> Vms:
        installation = Installation(self._cluster, self._provider, self._binding, "bench", self._timeouts)
        installation.install(lambda _text: None)
        installation.register(self._cluster, lambda _text: None)
        self._client = self._client_pod()
        return self

    def __exit__(self, *_error: object) -> None:
        undo(lambda _: self._cluster, self._ledger, self._timeouts)
        self._cluster.close()
        self._directory.cleanup()

    def figures(self, name: str) -> Iterator[Figure]:
        """The life of one VM, from its creation to its deletion."""
        image = known_guest()
        nic = replace(nic_of(self._binding), ports=PORTS)
        data = self._keys.user_data(hostname=name)
        spec = VmiSpec(name, _NAMESPACE, (nic,), image.reference, data, image.boot_memory, grace_seconds=0)
        with (
            QemuMeter() as meter,
            Guest(self._cluster, _NAMESPACE, name, image=image, keys=self._keys, timeouts=self._timeouts) as guest,
        ):
            begun = time.monotonic()
            self._cluster.create(spec.vmi())
            wait_running(self._cluster, VMI.ref(name, _NAMESPACE), Deadline.patience(_SECONDS))
            reached = self._wait_ssh(guest) - begun
            note = f"QEMU CPU {meter.seconds:.1f} s"
            yield Figure("boot to lease", self._lease(guest, begun), "s")
            yield Figure("boot to SSH", reached, "s", 6.0, note)
            yield from self._traffic(guest)
            if Capability.MIGRATION in self._binding.capabilities:
                yield from self._migration(guest, meter)
        delete_vmi(self._cluster, VMI.ref(name, _NAMESPACE), Deadline.patience(_SECONDS))

    def _client_pod(self) -> ClientPod:
        manifest = client_pod_manifest("bench-client", _NAMESPACE, client_image(), node=self._cluster.nodes()[0])
        return ClientPod.start(self._cluster, manifest, Deadline.patience(_SECONDS))

    def _pod_address(self, guest: Guest) -> str:
        """Where peers reach the VM now: its pod's address, which not every binding shows in the status."""
        view = VmiView.of(self._cluster.get(VMI.ref(guest.name, _NAMESPACE)))
        return pod_ips(launcher_pod(self._cluster, view))[0]

    def _wait_ssh(self, guest: Guest) -> float:
        """When a command over SSH from the client pod was first answered (``time.monotonic()``)."""

        def answers() -> bool:
            # A proxy such as passt accepts before the guest listens: short patience for the banner, then again.
            address = self._pod_address(guest)
            if not self._client.tcp_connect(address, 22, timeout=_BANNER_SECONDS, banner=True).ok:
                return False
            with suppress(GuestError, ApiError), guest.ssh_from(self._client, address) as shell:
                return shell.run("true", timeout=5.0).ok
            return False

        wait_until(f"SSH to {guest.name}", answers, Deadline.patience(_SECONDS), every=0.1)
        return time.monotonic()

    @staticmethod
    def _lease(guest: Guest, begun: float) -> float:
        """Seconds from the creation to the guest's first lease, dated by the guest's own clock."""
        told = guest.run("cat /var/log/dhcp.log; cat /proc/uptime", check=True).stdout
        now, bound = float(told.strip().splitlines()[-1].split()[0]), _BOUND.search(told)
        assert bound is not None, told
        return time.monotonic() - begun - (now - float(bound[1]))

    def _traffic(self, guest: Guest) -> Iterator[Figure]:
        """A stream there and back, opened from each side; datagrams in."""
        address = self._pod_address(guest)
        with guest.serve("tcp", ECHO_PORT):
            inward = self._client.tcp_echo(address, ECHO_PORT, size=_STREAM_BYTES["in"])
        with self._client.serve("tcp") as server:
            outward = guest.client().tcp_echo(server.host, server.port, size=_STREAM_BYTES["out"])
        for direction, echo in (("in", inward), ("out", outward)):
            assert echo.intact, f"TCP {direction}: {echo}"
            yield Figure(
                f"TCP echo opened {direction}, {_STREAM_BYTES[direction] >> 20} MiB",
                echo.received / echo.seconds * 8e-6,
                "Mb/s",
            )
        with guest.serve("udp", ECHO_PORT):
            datagrams = self._client.udp_echo(address, ECHO_PORT)
        yield Figure("UDP echo in, datagrams answered", 100 * datagrams.received / datagrams.sent, "%")

    def _migration(self, guest: Guest, meter: QemuMeter) -> Iterator[Figure]:
        before, cpu = len(_DOWNTIME.findall(self._log.read_text())), meter.seconds
        result = migrate(self._cluster, VMI.ref(guest.name, _NAMESPACE), Deadline.patience(_SECONDS))
        ended = time.monotonic()
        reached = self._wait_ssh(guest) - ended
        downtime = _DOWNTIME.findall(self._log.read_text())[before:]
        yield Figure("migration, VMIM to Succeeded", result.seconds, "s", 5.0, f"QEMU CPU {meter.seconds - cpu:.1f} s")
        if downtime:
            yield Figure("migration downtime, by libvirt", float(downtime[-1]), "ms", 213.0)
        yield Figure("SSH at the new pod, after Succeeded", reached, "s")
