from __future__ import annotations

import pytest

from conformance.guest.shell import CommandTimedOut
from conformance.kube.outcome import NonConformant
from fixtures.clients import ClientPods
from fixtures.machines import Machine
from fixtures.measure import Measure
from fixtures.reach import neighbour, wait_connects


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("DHCP-007")
def test_lease_survives_renewal_and_release(
    own_machine: Machine, machine: Machine, client_pods: ClientPods, measure: Measure
) -> None:
    """A lease can be renewed on demand, and given back and taken anew, with the same address.

    Preconditions:
    * A running VM of its own whose guest has its address.

    Steps:
    1. Have the DHCP client renew its lease, and connect from the guest to a pod on its node (on a
       secondary network: to another VM).
    2. Have it release the lease and ask for a new one; wait for the address.
    3. Connect again.

    Expected:
    * The address is the same each time.
    * The guest connects within 30 s each time.
    """
    facts = own_machine.boot_facts()
    lease = own_machine.lease(facts)
    client = own_machine.guest.dhcp(own_machine.nic(facts).name)
    with neighbour(own_machine, client_pods, lambda: machine) as server:
        for again in (client.renew, client.release_and_renew):
            deadline = own_machine.run.timeouts.dhcp_renew.start()
            try:
                again(own_machine.guest.console)
            except CommandTimedOut as error:
                raise NonConformant(f"the DHCP client got no answer: {error}") from error
            assert own_machine.lease(own_machine.guest.wait_for_lease(deadline)) == lease
            measure(wait_connects(own_machine, server, deadline))
