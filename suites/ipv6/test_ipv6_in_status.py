from __future__ import annotations

import pytest

from conformance.kube.outcome import NonConformant
from fixtures.clients import ClientPods, pod_on
from fixtures.machines import NETWORK, Machine
from fixtures.measure import Measure
from fixtures.reach import wait_reached


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("V6-006")
@pytest.mark.where("pod")
def test_an_ipv6_address_in_the_status_reaches_the_guest(
    machine: Machine, client_pods: ClientPods, measure: Measure
) -> None:
    """An IPv6 address in the VM's status leads to its guest, from another node.

    Preconditions:
    * A running VM whose guest has its IPv4 address.
    * A cluster with IPv6, and a client pod on another node.

    Steps:
    1. Open an SSH connection from the pod to each IPv6 address in the status, and ask for the boot id.

    Expected:
    * There is such an address, and the guest's own boot id comes back within the time limit.
    """
    machine.boot_facts()
    machine.require_ipv6()
    entry, view = machine.view().interface(NETWORK), machine.view()
    listed = [address for address in (entry.addresses if entry else ()) if ":" in address]
    if not listed:
        raise NonConformant(f"the status of {machine.ref} has no IPv6 address: {entry}")
    pod = pod_on(client_pods, view.node, same=False)
    for address in listed:
        measure(wait_reached(machine, pod, address, machine.run.timeouts.reachable.start()))
