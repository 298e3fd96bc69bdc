from __future__ import annotations

import pytest

from conformance.model import Capability
from fixtures.machines import NETWORK
from fixtures.measure import Measure
from fixtures.migrations import Migration


@pytest.mark.xdist_group("migration")
@pytest.mark.requirement("MIG-005")
def test_status_follows_the_vm(migration: Migration, measure: Measure) -> None:
    """Within 30 s of the migration the status has the address of the new pod, with sticky the same as before.

    Preconditions:
    * A migrated VM.

    Steps:
    1. Wait until the status has the new pod's addresses.

    Expected:
    * It has, within the time limit.
    * With sticky, the address is the one from before.
    """
    assert migration.status is not None
    measure(migration.status.measured("status address", "from the migration until it was there"))
    if Capability.STICKY in migration.machine.run.binding.capabilities:
        assert migration.machine.view().address(NETWORK) == migration.view.address(NETWORK)
