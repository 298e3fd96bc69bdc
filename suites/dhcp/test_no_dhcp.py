from __future__ import annotations

from functools import partial

import pytest

from fixtures.addressing import static_address, static_subnet
from fixtures.clients import ClientPods
from fixtures.machines import Machine, Pool
from fixtures.measure import Measure
from fixtures.reach import neighbour, wait_connects
from fixtures.session import PEER


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("DHCP-013")
def test_nobody_offers_an_address(machine: Machine, machines: Pool, client_pods: ClientPods, measure: Measure) -> None:
    """A guest is offered no address on a network without DHCP, and works with the one that cloud-init gives it.

    Preconditions:
    * A running VM whose network configuration gives its NIC a fixed address, where the binding itself gives none.

    Steps:
    1. Ask everybody on the link for an address, as a client does that starts anew.
    2. Look at the NIC's addresses, and connect.

    Expected:
    * Nobody offers an address.
    * The NIC has the fixed address and no other, and the guest connects with it.
    """
    facts = machine.boot_facts()
    nic, address = machine.nic(facts), machine.lease(facts)
    offer = machine.guest.dhcp_wire(nic, address.ip).discover()
    assert offer is None, f"{offer.server} offers {offer.address}, and the binding claims no ipam"
    subnet = static_subnet(machine.run.binding)
    if subnet is not None:
        given = static_address(subnet, nic.mac)
        assert address == given, f"cloud-init gives the guest {given}, and it has {address}"
    with neighbour(machine, client_pods, partial(machines.running, PEER, node=1)) as server:
        measure(wait_connects(machine, server, machine.run.timeouts.reachable.start()))
