from __future__ import annotations

import pytest

from fixtures.machines import Machine


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("OBS-001")
def test_status_has_one_entry_per_interface(machine: Machine) -> None:
    """The status has one entry for each interface of the spec: named, with a MAC address, known from the domain.

    Preconditions:
    * A running VM with one interface.

    Steps:
    1. Read status.interfaces.

    Expected:
    * It has the spec's interfaces and no others.
    * Each has a MAC address and domain in infoSource.
    """
    entries = machine.view().interfaces
    assert [entry.name for entry in entries] == [nic.name for nic in machine.spec.nics], f"status: {entries}"
    for entry in entries:
        assert entry.mac, f"{entry.name} has no MAC address: {entry}"
        assert "domain" in entry.info_source, f"{entry.name} is not known from the domain: {entry}"
