from __future__ import annotations

import pytest

from conformance.kube.wait import wait_until
from fixtures.machines import Machine


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("V6-002")
@pytest.mark.where("pod")
def test_guest_has_a_default_ipv6_route(machine: Machine) -> None:
    """The guest has a default IPv6 route without anybody's doing, by its NIC.

    Preconditions:
    * A running VM whose guest has its IPv4 address and was told nothing of IPv6.
    * A cluster with IPv6.

    Steps:
    1. Wait until there is a default IPv6 route.

    Expected:
    * There is one within the time limit, by the NIC.
    """
    machine.boot_facts()
    machine.require_ipv6()
    routes = wait_until(
        "a default IPv6 route in the guest",
        lambda: machine.guest.facts().default_routes("inet6"),
        machine.run.timeouts.guest_lease.start(),
        until=bool,
    )
    nic = machine.nic(machine.boot_facts())
    assert {route.device for route in routes} == {nic.name}, f"default routes: {routes}"
