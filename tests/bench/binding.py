"""What a VM with a binding takes: to its lease, to SSH, for bytes both ways, for a migration; one VM at a time.

A binding that is not for the pod network is measured on a secondary one, from a client pod on the same network.
"""

from __future__ import annotations

import json
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
from conformance.kube.manifest import NAD, VM, VMI, Manifest
from conformance.kube.networks import NETWORKS, offered_network
from conformance.kube.power import set_link
from conformance.kube.timeouts import Deadline, Timeouts
from conformance.kube.vmi import NicSpec, VmiSpec, VmiView
from conformance.kube.wait import wait_until
from conformance.model import Binding, Capability, CoreBinding
from conformance.traffic.pod import ClientPod, client_pod_manifest
from fixtures.images import client_image, known_guest
from fixtures.machines import ECHO_PORT, NETWORK, PORTS, nic_of
from tests.bench.leases import Leases
from tests.bench.processes import QemuMeter

_NAMESPACE = "default"
_SECONDS = 120.0
_BANNER_SECONDS = 1.0
_STREAM_BYTES = {"in": 8 << 20, "out": 2 << 20}
"""The guest's own client gives what is still under way 5 s once it has sent all, hence less from its side."""
_CLIENT = "bench-client"
_SEGMENT: Manifest = {
    "cniVersion": "1.0.0",
    "name": _CLIENT,
    "type": "bridge",
    "bridge": "br1",
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "172.31.0.0/24", "rangeStart": "172.31.0.2", "rangeEnd": "172.31.0.9"}]],
    },
}
"""The client pod's own way onto the sandbox's segment, with an address that the segment's server does not lend."""
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
        self._secondary = Capability.POD not in binding.capabilities
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
        data = self._keys.user_data(hostname=name)
        spec = VmiSpec(name, _NAMESPACE, self._nics(), image.reference, data, image.boot_memory, grace_seconds=0)
        with (
            QemuMeter() as meter,
            Guest(self._cluster, _NAMESPACE, name, image=image, keys=self._keys, timeouts=self._timeouts) as guest,
        ):
            begun = time.monotonic()
            self._cluster.create(spec.vm())
            wait_running(self._cluster, VMI.ref(name, _NAMESPACE), Deadline.patience(_SECONDS))
            reached = self._wait_ssh(guest) - begun
            note = f"QEMU CPU {meter.seconds:.1f} s"
            leases = self._leases(guest)
            now = time.monotonic() - begun
            yield Figure("boot to lease", now - (leases.now - leases.taken[0]), "s")
            # what else the VM has is behind a NIC of its own: no more than the pod network's takes
            yield Figure("boot to SSH", reached, "s", None if self._secondary else 6.0, note)
            yield Figure("link up to lease, at boot", leases.delays[0], "s")
            yield from self._traffic(guest)
            if Capability.LINK in self._binding.capabilities:
                yield Figure("link up to lease, after link down", self._relink(guest), "s")
            if Capability.MIGRATION in self._binding.capabilities:
                yield from self._migration(guest, meter)
        delete_vmi(self._cluster, VM.ref(name, _NAMESPACE), Deadline.patience(_SECONDS))

    def _nics(self) -> tuple[NicSpec, ...]:
        """The interface with the binding, last; on a secondary network beside one on the pod network."""
        if not self._secondary:
            return (replace(nic_of(self._binding), ports=PORTS),)
        network = str(self._binding.facts.secondary_network or offered_network(self._cluster))
        primary = NicSpec("primary", core=CoreBinding.MASQUERADE)
        return primary, replace(nic_of(self._binding), network=network)

    def _client_pod(self) -> ClientPod:
        manifest = client_pod_manifest(_CLIENT, _NAMESPACE, client_image(), node=self._cluster.nodes()[0])
        if self._secondary:
            head = {"apiVersion": NAD.api_version, "kind": NAD.kind}
            meta = {"name": _CLIENT, "namespace": _NAMESPACE}
            self._cluster.create({**head, "metadata": meta, "spec": {"config": json.dumps(_SEGMENT)}})
            manifest["metadata"]["annotations"] = {NETWORKS: _CLIENT}
        return ClientPod.start(self._cluster, manifest, Deadline.patience(_SECONDS))

    def _address(self, guest: Guest) -> str:
        """Where peers reach the VM now: its pod's address, which not every binding shows in the status, or the guest's
        own on a secondary network.
        """
        view = VmiView.of(self._cluster.get(VMI.ref(guest.name, _NAMESPACE)))
        if not self._secondary:
            return pod_ips(launcher_pod(self._cluster, view))[0]
        nic = guest.wait_for_lease(Deadline.patience(_SECONDS), mac=self._mac(view)).nic(self._mac(view))
        assert nic is not None
        return str(nic.ipv4()[0].ip)

    @staticmethod
    def _mac(view: VmiView) -> str:
        entry = view.interface(NETWORK)
        return entry.mac if entry else ""

    def _wait_ssh(self, guest: Guest) -> float:
        """When a command over SSH from the client pod was first answered (``time.monotonic()``)."""

        def answers() -> bool:
            # A proxy such as passt accepts before the guest listens: short patience for the banner, then again.
            address = self._address(guest)
            if not self._client.tcp_connect(address, 22, timeout=_BANNER_SECONDS, banner=True).ok:
                return False
            with suppress(GuestError, ApiError), guest.ssh_from(self._client, address) as shell:
                return shell.run("true", timeout=5.0).ok
            return False

        wait_until(f"SSH to {guest.name}", answers, Deadline.patience(_SECONDS), every=0.1)
        return time.monotonic()

    def _leases(self, guest: Guest) -> Leases:
        """What the guest has written down of the leases on the binding's NIC: the first, where no MAC tells which."""
        view = VmiView.of(self._cluster.get(VMI.ref(guest.name, _NAMESPACE)))
        facts = guest.facts()
        nic = facts.nic(self._mac(view)) or facts.nics[0]
        return Leases.read(guest.run("cat /var/log/dhcp.log; cat /proc/uptime", check=True).stdout, nic.name)

    def _relink(self, guest: Guest) -> float:
        """Seconds from the link's return, after it was down by the VM's spec, to the guest's next lease."""
        ref, index = VMI.ref(guest.name, _NAMESPACE), len(self._nics()) - 1
        before = len(self._leases(guest).delays)
        set_link(self._cluster, ref, index, "down")
        wait_until("the guest sees no link", lambda: self._leases(guest).down, Deadline.patience(_SECONDS), every=0.1)
        set_link(self._cluster, ref, index, "up")
        again = wait_until(
            "the guest has a lease again",
            lambda: self._leases(guest).delays[before:],
            Deadline.patience(_SECONDS),
            every=0.1,
        )
        return again[0]

    def _traffic(self, guest: Guest) -> Iterator[Figure]:
        """A stream there and back, opened from each side; datagrams in."""
        address = self._address(guest)
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
        leases = len(self._leases(guest).delays)
        result = migrate(self._cluster, VMI.ref(guest.name, _NAMESPACE), Deadline.patience(_SECONDS))
        ended = time.monotonic()
        reached = self._wait_ssh(guest) - ended
        downtime = _DOWNTIME.findall(self._log.read_text())[before:]
        yield Figure("migration, VMIM to Succeeded", result.seconds, "s", 5.0, f"QEMU CPU {meter.seconds - cpu:.1f} s")
        if downtime:
            yield Figure("migration downtime, by libvirt", float(downtime[-1]), "ms", 213.0)
        where = "again" if self._secondary else "at the new pod"
        yield Figure(f"SSH {where}, after Succeeded", reached, "s")
        if Capability.REFRESH in self._binding.capabilities:
            yield Figure("link up to lease, after link-refresh", self._leases(guest).delays[leases], "s")
