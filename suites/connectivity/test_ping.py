from __future__ import annotations

import pytest

from conformance.traffic.pod import ClientPod
from fixtures.machines import Machine
from fixtures.measure import Measure


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CONN-006")
@pytest.mark.where("pod")
def test_vm_pings_and_is_pinged(machine: Machine, client_pod: ClientPod, measure: Measure) -> None:
    """The VM pings a pod and is pinged by it, on its own node and on another.

    Preconditions:
    * A running VM whose guest has its address.
    * A client pod on its node, then one on another.

    Steps:
    1. Ping the pod from the guest three times.
    2. Ping the address of the VM's pod from the pod three times.

    Expected:
    * There is an answer each way.
    """
    machine.boot_facts()
    out = machine.guest.client().ping(client_pod.address)
    back = client_pod.ping(machine.pod_address())
    measure(out)
    measure(back)
    assert out.ok, f"no answer to the guest from the pod on {client_pod.node}: {out.error}"
    assert back.ok, f"no answer to the pod on {client_pod.node} from {back.host}: {back.error}"


@pytest.mark.usefixtures("pod_network")
@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CONN-006")
def test_vms_ping_each_other(machine: Machine, peer: Machine, measure: Measure) -> None:
    """Two VMs on two nodes ping each other.

    Preconditions:
    * Two running VMs with the binding, on two nodes, whose guests have their addresses.

    Steps:
    1. Ping one from the other three times, then the other way: at the address of its pod, on a secondary network at its
       own.

    Expected:
    * There is an answer each way.
    """
    there = machine.guest.client().ping(peer.peer_address())
    back = peer.guest.client().ping(machine.peer_address())
    measure(there)
    measure(back)
    assert there.ok, f"no answer from {peer.ref} at {there.host}: {there.error}"
    assert back.ok, f"no answer from {machine.ref} at {back.host}: {back.error}"
