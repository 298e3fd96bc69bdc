from __future__ import annotations

import pytest

from conformance.kube.wait import wait_until
from conformance.traffic.pod import ClientPod
from fixtures.machines import Machine
from fixtures.measure import Measure
from fixtures.services import ClusterService


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CONN-003")
def test_service_in_front_of_the_vm(
    machine: Machine, client_pod: ClientPod, vm_service: ClusterService, measure: Measure
) -> None:
    """A Service in front of the VM answers, and its EndpointSlice holds the address of the VM's pod.

    Preconditions:
    * A running VM whose guest has its address, and an echo server in it.
    * A Service with a cluster address that selects the VM by its label.
    * A client pod on the VM's node, then one on another.

    Steps:
    1. Wait until an EndpointSlice of the Service has a ready address.
    2. Send 64 KiB from the pod to the cluster address by TCP.

    Expected:
    * The ready address is one of the pod's.
    * All of it comes back unchanged, within the time limit.
    """
    machine.boot_facts()
    deadline = machine.run.timeouts.reachable.start()
    endpoints = wait_until(f"{vm_service.ref} has an endpoint", vm_service.endpoints, deadline, until=bool)
    assert set(endpoints) <= set(machine.pod_addresses()), f"{endpoints} are not those of the pod"
    with machine.guest.serve("tcp", vm_service.port):
        echo = wait_until(
            f"the guest answers behind {vm_service.ref}",
            lambda: client_pod.tcp_echo(vm_service.address, vm_service.port, size=64 * 1024, timeout=5),
            deadline,
            until=lambda seen: seen.intact,
        )
    measure(echo)
