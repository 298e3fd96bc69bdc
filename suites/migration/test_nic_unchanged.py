from __future__ import annotations

import pytest

from fixtures.migrations import Migration


@pytest.mark.xdist_group("migration")
@pytest.mark.requirement("MIG-004")
def test_nics_are_unchanged(migration: Migration) -> None:
    """The guest keeps its NICs over a migration: their number, names, MAC and PCI addresses.

    Preconditions:
    * A migrated VM.

    Steps:
    1. Compare the guest's NICs with those before the migration.

    Expected:
    * They are the same.
    """
    before = [(nic.name, nic.mac, nic.pci_address) for nic in migration.before.nics]
    after = [(nic.name, nic.mac, nic.pci_address) for nic in migration.machine.guest.facts().nics]
    assert after == before
