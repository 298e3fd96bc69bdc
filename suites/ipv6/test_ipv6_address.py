from __future__ import annotations

import pytest

from conformance.kube.wait import wait_until
from conformance.model import Capability
from fixtures.machines import Machine


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("V6-001")
@pytest.mark.where("pod")
def test_guest_has_a_global_address(machine: Machine) -> None:
    """The guest has a global IPv6 address: the pod's where podip is declared.

    Preconditions:
    * A running VM whose guest has its IPv4 address.
    * A cluster with IPv6.

    Steps:
    1. Wait until the NIC has an IPv6 address that is not link-local.

    Expected:
    * It gets one within the time limit.
    * Where podip is declared it is the pod's.
    """
    machine.boot_facts()
    machine.require_ipv6()
    found = wait_until(
        "a global IPv6 address in the guest",
        lambda: machine.ipv6(machine.guest.facts()),
        machine.run.timeouts.guest_lease.start(),
        until=bool,
    )
    if Capability.POD_IP in machine.run.binding.capabilities:
        pod = machine.pod_addresses()
        assert any(str(address.ip) in pod for address in found), f"the guest has {found}, the pod {pod}"
