from __future__ import annotations

import pytest

from fixtures.machines import Start
from fixtures.measure import Measure
from fixtures.secondary import Companion


@pytest.mark.xdist_group("secondary")
@pytest.mark.requirement("VM-008")
def test_two_interfaces_of_one_binding(twin: Start) -> None:
    """Two interfaces with the binding work in one VM.

    Preconditions:
    * A secondary network.

    Steps:
    1. Create a VM with two interfaces of the binding, the second on the secondary network.
    2. Wait until each of the guest's two NICs has an address.

    Expected:
    * The VM starts, and the guest has exactly the two NICs, each with an address.
    """
    machine = twin.started()
    wanted = sorted(nic.mac for nic in machine.spec.nics)
    assert sorted(nic.mac for nic in machine.guest.facts().nics) == wanted
    for mac in wanted:
        machine.guest.wait_for_lease(machine.run.timeouts.guest_lease.start(), mac=mac)


@pytest.mark.xdist_group("secondary")
@pytest.mark.requirement("VM-008")
def test_secondary_interface_beside_masquerade(companion: Companion, measure: Measure) -> None:
    """An interface of the binding works on a secondary network, beside a masquerade primary.

    Preconditions:
    * A VM with a masquerade primary, and the VM with two interfaces.

    Steps:
    1. Exchange data between the secondary interfaces of both.

    Expected:
    * It comes back unchanged, at the address that the guest has there.
    """
    measure(companion.plugged.measured("secondary interface", "from the restart of the VM to a TCP exchange"))
