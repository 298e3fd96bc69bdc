"""A VM and the inside of its guest, for tests on a whole sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from conformance.guest.facts import GuestNic
from conformance.guest.guest import Guest
from conformance.guest.keys import GuestKeys
from conformance.kube.cluster import Cluster
from conformance.kube.lifecycle import delete_vmi, wait_running
from conformance.kube.manifest import VMI, Ref
from conformance.kube.timeouts import Deadline, Timeouts
from conformance.kube.vmi import NicSpec, VmiSpec, VmiView
from conformance.kube.wait import wait_until
from conformance.traffic.pod import ClientPod
from fixtures.images import known_guest
from fixtures.machines import ECHO_PORT

NAMESPACE = "default"
SECONDS = 90.0
PORT = ECHO_PORT
STREAM_BYTES = 1 << 16


@dataclass(frozen=True)
class Machine:
    """A running VM: its status when it had become Ready, and its guest."""

    ref: Ref
    view: VmiView
    guest: Guest

    def leased(self, network: str = "default") -> GuestNic:
        """The guest's NIC on a network of the VM, once it has an IPv4 address."""
        entry = self.view.interface(network)
        assert entry is not None, f"{self.ref} has no status for {network}"
        nic = self.guest.wait_for_lease(Deadline.patience(SECONDS), mac=entry.mac).nic(entry.mac)
        assert nic is not None
        return nic

    def lease(self, network: str = "default") -> str:
        """That address; there must be one alone."""
        [address] = self.leased(network).ipv4()
        return str(address.ip)


@contextmanager
def booted(
    cluster: Cluster, name: str, *nics: NicSpec, multus_default: bool = False, node: str = "", memory: str = ""
) -> Iterator[Machine]:
    """A VM with these interfaces, Running and Ready; deleted at the end. With `multus_default` the first one's network
    is the launcher pod's default network.
    """
    image, keys = known_guest(), GuestKeys.generate()
    data, size = keys.user_data(hostname=name), memory or image.boot_memory
    spec = VmiSpec(name, NAMESPACE, nics, image.reference, data, size, node=node, grace_seconds=0)
    manifest = spec.vmi()
    if multus_default:
        manifest["spec"]["networks"][0]["multus"]["default"] = True
    cluster.create(manifest)
    ref = VMI.ref(name, NAMESPACE)
    try:
        with Guest(cluster, NAMESPACE, name, image=image, keys=keys, timeouts=Timeouts().scaled(2)) as guest:
            yield Machine(ref, wait_running(cluster, ref, Deadline.patience(SECONDS)), guest)
    finally:
        delete_vmi(cluster, ref, Deadline.patience(SECONDS))


def reach(client: ClientPod, machine: Machine, address: str) -> None:
    """A byte stream from the pod to the guest at `address` comes back whole, before long."""
    with machine.guest.serve("tcp", PORT):
        wait_until(
            f"{client.ref.name} reaches {machine.ref} at {address}",
            lambda: client.tcp_echo(address, PORT, size=STREAM_BYTES, timeout=5),
            Deadline.patience(SECONDS),
            until=lambda echo: echo.intact,
        )
