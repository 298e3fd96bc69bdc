from __future__ import annotations

import pytest

from fixtures.journeys import ACPI_INDEX, Stay


@pytest.mark.xdist_group("journey")
@pytest.mark.requirement("VM-005")
def test_acpi_index_reaches_the_guest(stay: Stay) -> None:
    """acpiIndex reaches the guest, which names the NIC by it.

    Preconditions:
    * A running VM whose interface has an acpiIndex.

    Steps:
    1. Read the index that the guest's kernel has for the NIC's device.

    Expected:
    * It is the one in the spec: a guest with predictable names calls the NIC eno<index>.
    """
    nic = stay.machine.nic(stay.machine.guest.facts())
    device = f"/sys/class/net/{nic.name}/device"
    # of a virtio NIC the PCI device is the parent
    seen = stay.machine.guest.run(f"cat {device}/acpi_index {device}/../acpi_index 2>/dev/null")
    assert seen.stdout.split() == [str(ACPI_INDEX)], f"the guest's kernel has no index {ACPI_INDEX}: {seen.stdout}"
