from __future__ import annotations

import pytest

from conformance.kube.outcome import Inconclusive
from fixtures.clients import ClientPods
from fixtures.machines import Machine
from fixtures.reach import pod_mtu


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("DHCP-005")
def test_the_lease_has_the_mtu_of_the_pod(machine: Machine, client_pods: ClientPods) -> None:
    """The MTU that the guest is offered by DHCP is that of the pod network's interfaces on its node.

    Preconditions:
    * A running VM whose guest has its address.
    * A client pod on its node.

    Steps:
    1. Compare the MTU in the lease that the guest's DHCP client holds with that of the pod's interface.

    Expected:
    * The lease has one, and they are the same.
    """
    nic = machine.nic(machine.boot_facts())
    offered = machine.guest.dhcp(nic.name).offered(machine.guest.console)
    if offered.mtu is None and not offered.mtu_asked:
        raise Inconclusive("the lease has no MTU, and the guest's DHCP client may not have asked for one")
    wanted = pod_mtu(machine.run.cluster, client_pods[machine.view().node])
    assert offered.mtu == wanted, f"the lease of {nic.name} says MTU {offered.mtu}, pods on that node have {wanted}"
