from __future__ import annotations

import pytest

from fixtures.measure import Measure
from fixtures.upheavals import Upheaval


@pytest.mark.disruptive
@pytest.mark.requirement("LIFE-004")
def test_vms_outlast_the_daemons_of_their_node(upheaval: Upheaval, measure: Measure) -> None:
    """VMs stay up and connected while virt-handler, Multus and the kubelet are restarted, and new ones start.

    Preconditions:
    * Access to the nodes, and leave to restart their daemons.
    * A running VM whose guest has its address.

    Steps:
    1. On its node end virt-handler, Multus' daemon where there is one, and the kubelet, one after the other. Wait each
       time until it runs again, then connect from the guest.
    2. Start another VM on the node, and connect from its guest.

    Expected:
    * The guest connects each time, and has not booted anew.
    * The other VM is Running and Ready within the time limit, its guest has an address and connects.
    """
    for restart in upheaval.restarts:
        measure(restart.connected.measured(f"connected after {restart.daemon}", "from when it ran again"))
        assert restart.same_boot, f"the guest has booted anew while {restart.daemon} was restarted"
    upheaval.newcomer.started()
    measure(upheaval.newcomer.measurement())
    measure(upheaval.connected.measured("newcomer connected", "from Running and Ready: lease and TCP"))
