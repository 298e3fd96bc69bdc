from __future__ import annotations

import pytest

from fixtures.machines import Machine


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("DHCP-008")
def test_lease_is_extended_on_the_wire(own_machine: Machine) -> None:
    """The DHCP server extends the guest's lease whichever way a client asks.

    Preconditions:
    * A running VM of its own whose guest has its address.

    Steps:
    1. Ask everybody for more time for the address, as a client does from T2 on.
    2. Ask the server that answered, and nobody else, as a client does from T1 on.

    Expected:
    * Each request is acknowledged, at the third attempt at the latest, for the guest's own address and for some time.
    """
    facts = own_machine.boot_facts()
    lease = own_machine.lease(facts).ip
    wire = own_machine.guest.dhcp_wire(own_machine.nic(facts), lease)
    rebound = wire.rebind()
    assert rebound is not None, f"nobody answers a broadcast request of the client that holds {lease}"
    assert rebound.acknowledged, f"{rebound.server} refuses the client that holds {lease}"
    assert rebound.server is not None, f"an acknowledgement without a server identifier: {rebound}"
    renewed = wire.renew(rebound.server)
    assert renewed is not None, f"{rebound.server} does not answer a unicast request of the client that holds {lease}"
    assert renewed.acknowledged, f"{rebound.server} refuses a unicast request of the client that holds {lease}"
    assert rebound.address == renewed.address == lease, f"{rebound} and {renewed} are not for {lease}"
    assert rebound.seconds, f"{rebound} is for no time"
    assert renewed.seconds, f"{renewed} is for no time"
