from __future__ import annotations

import pytest

from fixtures.machines import Machine


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("VM-001")
def test_guest_has_one_nic_per_interface(machine: Machine) -> None:
    """The guest has exactly one NIC for each interface of the VM.

    Preconditions:
    * A running VM with one interface.

    Steps:
    1. Log in on the serial console and count the guest's NICs.

    Expected:
    * There is one.
    """
    nics = machine.guest.facts().nics
    assert len(nics) == len(machine.spec.nics), f"the guest has {[(nic.name, nic.mac) for nic in nics]}"
