from __future__ import annotations

import pytest

from fixtures.machines import Machine


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("DHCP-010")
def test_nobody_else_claims_the_guests_addresses(machine: Machine) -> None:
    """A guest that looks whether its addresses are taken, as at boot, finds them free.

    Preconditions:
    * A running VM whose guest has its address.

    Steps:
    1. Probe from the guest for each address of its NIC, three times: by ARP (RFC 5227), for IPv6 by neighbour
       solicitation (RFC 4862).

    Expected:
    * Nobody answers that it has one of them.
    """
    facts = machine.boot_facts()
    machine.lease(facts)
    claims = machine.guest.address_claims(machine.nic(facts))
    told = "; ".join(f"{claim.mac} says that it has {claim.address}" for claim in claims)
    assert not claims, f"the guest finds its own address taken: {told}"
