from __future__ import annotations

from ipaddress import IPv6Address, ip_address

import pytest

from conformance.guest.shell import GuestUnreachable
from conformance.kube.outcome import Inconclusive
from conformance.traffic.pod import ClientPod
from fixtures.machines import Machine


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CONN-009")
def test_guest_sees_who_connects(machine: Machine, client_pod: ClientPod) -> None:
    """The guest sees a pod that connects to the VM by the pod's own address, from its own node and from another.

    Preconditions:
    * A running VM whose guest has its address and takes SSH connections from a pod.

    Steps:
    1. Open an SSH connection from the pod and ask the guest whence it comes.

    Expected:
    * From the pod's address.
    """
    machine.boot_facts()
    try:
        with machine.guest.ssh_from(client_pod, machine.pod_address()) as shell:
            told = shell.run("echo $SSH_CONNECTION", check=True).stdout.split()[0]
    except GuestUnreachable as error:
        raise Inconclusive(f"needs a guest that a pod reaches; CONN-001 judges it: {error}") from error
    source = ip_address(told)
    if isinstance(source, IPv6Address) and source.ipv4_mapped is not None:
        source = source.ipv4_mapped
    own = {ip_address(address) for address in client_pod.addresses}
    assert source in own, f"the guest takes {source} for the pod on {client_pod.node}, which has {own}"
