from __future__ import annotations

import pytest

from fixtures.machines import NETWORK, Machine


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("VM-002")
def test_mac_of_the_spec_is_used(machine: Machine) -> None:
    """A MAC address in the spec is the one in the status, taken there from the domain, and in the guest.

    Preconditions:
    * A running VM whose interface has a MAC address in its spec.

    Steps:
    1. Read the interface's status.
    2. Read the MAC addresses of the guest's NICs.

    Expected:
    * The status has that MAC address, with domain as its source.
    * A NIC of the guest has it.
    """
    wanted = machine.nic_spec.mac
    entry = machine.view().interface(NETWORK)
    assert entry is not None
    assert entry.mac == wanted, f"status has {entry.mac or 'no MAC'}, the spec {wanted}"
    assert "domain" in entry.info_source
    found = [nic.mac for nic in machine.guest.facts().nics]
    assert wanted in found, f"the guest has {found}, the spec {wanted}"
