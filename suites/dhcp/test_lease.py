from __future__ import annotations

import time

import pytest

from conformance.model import Measurement
from fixtures.machines import Machine, expected_lease
from fixtures.measure import Measure


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("DHCP-001")
def test_guest_gets_the_declared_address(machine: Machine, measure: Measure) -> None:
    """The guest gets an IPv4 address by DHCP: the pod's where podip is declared, one of the declared subnet for nat.

    Preconditions:
    * A running VM whose guest configures its NIC by DHCP.

    Steps:
    1. Wait until the NIC has an IPv4 address.

    Expected:
    * It gets one within the time limit, and only one.
    * It is the address that the declared capabilities promise.
    """
    facts = machine.guest.wait_for_lease(machine.run.timeouts.guest_lease.start())
    waited = time.monotonic() - machine.created
    measure(Measurement("lease", waited, "s", "from the creation of the VM until the address was seen, at the latest"))
    promise, fits = expected_lease(machine)
    lease = machine.lease(facts)
    assert fits(lease.ip), f"the guest has {lease}, not {promise}"
