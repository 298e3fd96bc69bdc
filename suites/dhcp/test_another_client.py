from __future__ import annotations

import pytest

from fixtures.machines import Machine


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("DHCP-011")
def test_another_client_gets_no_lease(own_machine: Machine) -> None:
    """A client that is not the VM gets no address from the DHCP server of the VM.

    Preconditions:
    * A running VM of its own whose guest has its address.

    Steps:
    1. Ask everybody on the link for an address, in the name of a host with another MAC address, as a client does that
       starts anew. The request leaves by the VM's NIC, and a pod network that is one link carries it to others.
    2. Ask in its name for the VM's own address, as a client does that remembers one.

    Expected:
    * Nobody offers the host an address, and nobody acknowledges the VM's.
    """
    facts = own_machine.boot_facts()
    lease = own_machine.lease(facts).ip
    stranger = own_machine.guest.stranger_on(own_machine.nic(facts))
    offer = stranger.discover()
    assert offer is None, f"{offer.server} offers {offer.address} to {stranger.mac}, which is no VM"
    answer = stranger.verify(lease)
    given = answer is not None and answer.acknowledged
    assert not given, f"{lease} is the VM's, and {stranger.mac} is told that it may have it: {answer}"
