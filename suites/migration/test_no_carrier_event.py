from __future__ import annotations

import pytest

from fixtures.measure import Measure
from fixtures.migrations import Migration


@pytest.mark.xdist_group("migration")
@pytest.mark.requirement("MIG-010")
def test_guest_sees_no_carrier_change(migration: Migration, measure: Measure) -> None:
    """Without link-refresh the guest notices nothing: no NIC loses its carrier.

    Preconditions:
    * A VM migrated while its guest recorded every carrier change.
    * The binding is registered without link-refresh.

    Steps:
    1. Read the record.

    Expected:
    * It has no change.
    """
    record = migration.carrier()
    measure(record)
    changed = {nic: record.changes(nic) for nic in record.nics() if record.changes(nic)}
    assert not changed, f"carrier changes by NIC: {changed}"
