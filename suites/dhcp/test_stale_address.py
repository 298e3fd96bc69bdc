from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

import pytest

from conformance.kube.outcome import Inconclusive
from fixtures.machines import Machine

ELSEWHERE = IPv4Address("192.0.2.77")
"""An address of no network (RFC 5737)."""


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("DHCP-009")
@pytest.mark.parametrize("near", [True, False], ids=["own-network", "other-network"])
def test_a_stale_address_is_not_acknowledged(own_machine: Machine, near: bool) -> None:
    """A client that remembers an address which is no longer the VM's does not come away with it.

    Preconditions:
    * A running VM of its own whose guest has its address.

    Steps:
    1. Ask, as a client does at boot that remembers an address, for another than the guest's: of the guest's own
       network, then of a foreign one.

    Expected:
    * The server refuses it, or acknowledges the guest's own address instead, at the third attempt at the latest.
    """
    facts = own_machine.boot_facts()
    lease = own_machine.lease(facts)
    wire = own_machine.guest.dhcp_wire(own_machine.nic(facts), lease.ip)
    stale = _neighbour(lease) if near else ELSEWHERE
    answer = wire.verify(stale)
    assert answer is not None, f"nobody answers the client that asks for {stale}"
    given = answer.address if answer.acknowledged else None
    assert given in (None, lease.ip), (
        f"asked for {stale}, {answer.server} acknowledges {given}, it should be {lease.ip}"
    )


def _neighbour(lease: IPv4Interface) -> IPv4Address:
    """Another address of the same network."""
    found = next((address for step in (1, -1) if (address := lease.ip + step) in lease.network), None)
    if found is None:
        raise Inconclusive(f"{lease} has no neighbour to remember")
    return found
