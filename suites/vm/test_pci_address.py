from __future__ import annotations

import pytest

from fixtures.journeys import PCI_ADDRESS, Stay


@pytest.mark.xdist_group("journey")
@pytest.mark.requirement("VM-004")
def test_pci_address_is_used(stay: Stay) -> None:
    """pciAddress puts the NIC at that address.

    Preconditions:
    * A running VM whose interface has a pciAddress.

    Steps:
    1. Read the PCI address of the guest's NIC.

    Expected:
    * It is the one in the spec.
    """
    nic = stay.machine.nic(stay.boot)
    assert nic.pci_address == PCI_ADDRESS, f"{nic.name} is at {nic.pci_address}, the spec says {PCI_ADDRESS}"
