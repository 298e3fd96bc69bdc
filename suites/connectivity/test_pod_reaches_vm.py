from __future__ import annotations

import pytest

from conformance.traffic.pod import ClientPod
from fixtures.machines import Machine
from fixtures.measure import Measure
from fixtures.reach import wait_reached


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CONN-001")
def test_pod_reaches_the_vm_by_tcp(machine: Machine, client_pod: ClientPod, measure: Measure) -> None:
    """A pod reaches the VM by TCP at the address in its status, from the same node and from another.

    Preconditions:
    * A running VM whose guest has its address.
    * A client pod on its node, and one on another.

    Steps:
    1. Open an SSH connection from the pod to the address in the status.
    2. Ask for the boot id over it.

    Expected:
    * It is the guest's own, within the time limit.
    """
    machine.boot_facts()
    measure(wait_reached(machine, client_pod, machine.address(), machine.run.timeouts.reachable.start()))
