from __future__ import annotations

import pytest

from fixtures.measure import Measure
from fixtures.migrations import Migration


@pytest.mark.xdist_group("migration")
@pytest.mark.requirement("MIG-008")
def test_guest_sees_the_link_refresh(migration: Migration, measure: Measure) -> None:
    """With link-refresh the guest sees the carrier of the NIC go and come back, and that of no other NIC.

    Preconditions:
    * A VM migrated while its guest recorded every carrier change.
    * The binding is registered with link-refresh.

    Steps:
    1. Read the record.

    Expected:
    * The NIC of the binding lost its carrier at least once, and has it again.
    * No other NIC lost its own.
    """
    name = migration.machine.nic(migration.before).name
    record = migration.carrier()
    measure(record)
    assert record.changes(name) >= 2, f"{name} never lost its carrier: {record.events}"
    assert migration.carrier_of(name), f"{name} has no carrier after the refresh: {record.events}"
    assert not [nic for nic in record.nics() if nic != name and record.changes(nic)]
