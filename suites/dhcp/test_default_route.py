from __future__ import annotations

import pytest

from fixtures.machines import Machine
from fixtures.reach import gateway_answers


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("DHCP-002")
def test_guest_has_one_working_default_route(machine: Machine) -> None:
    """The guest has one default route, and its gateway answers.

    Preconditions:
    * A running VM whose guest has its address.

    Steps:
    1. Read the default routes of the guest.
    2. Ask the gateway for its link address.

    Expected:
    * There is exactly one.
    * The gateway answers.
    """
    routes = machine.boot_facts().default_routes()
    assert len(routes) == 1, f"the guest has {len(routes)} default routes: {routes}"
    gateway = routes[0].gateway
    assert gateway_answers(machine, gateway), f"gateway {gateway} does not answer on {routes[0].device}"
