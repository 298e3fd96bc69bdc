from __future__ import annotations

import pytest

from fixtures.clients import ClientPods
from fixtures.machines import Machine
from fixtures.reach import pod_mtu


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("MTU-001")
def test_guest_has_the_mtu_of_the_pod(machine: Machine, client_pods: ClientPods) -> None:
    """The guest's NIC has the MTU of the pod network's interfaces on its node.

    Preconditions:
    * A running VM whose guest has its address.
    * A client pod on its node.

    Steps:
    1. Compare the MTU of the guest's NIC with that of the pod's interface.

    Expected:
    * They are the same.
    """
    nic = machine.nic(machine.boot_facts())
    wanted = pod_mtu(machine.run.cluster, client_pods[machine.view().node])
    assert nic.mtu == wanted, f"{nic.name} has MTU {nic.mtu}, pods on that node have {wanted}"
