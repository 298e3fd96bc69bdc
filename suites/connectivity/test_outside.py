from __future__ import annotations

import pytest

from conformance.kube.outcome import Inconclusive
from fixtures.clients import ClientPods
from fixtures.machines import Machine
from fixtures.measure import Measure
from fixtures.reach import OUTSIDE_NAME, OUTSIDE_PORT, outside_addresses


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CONN-005")
def test_vm_reaches_the_world_outside(machine: Machine, client_pods: ClientPods, measure: Measure) -> None:
    """The VM reaches a host outside the cluster, as a pod on its node does.

    Preconditions:
    * A running VM whose guest has its address.
    * A client pod on its node that resolves example.com and reaches it by TCP on port 80.

    Steps:
    1. Connect from the guest to the same address and port.

    Expected:
    * The connection opens.
    """
    machine.boot_facts()
    pod = client_pods[machine.view().node]
    reached = [a for a in outside_addresses(machine.run.cluster, pod) if pod.tcp_connect(a, OUTSIDE_PORT).ok]
    if not reached:
        raise Inconclusive(f"pods of this cluster do not reach {OUTSIDE_NAME} on port {OUTSIDE_PORT}")
    opened = machine.guest.client().tcp_connect(reached[0], OUTSIDE_PORT)
    measure(opened)
    assert opened.ok, f"the guest does not reach {OUTSIDE_NAME} at {reached[0]}, the pod does: {opened.error}"
