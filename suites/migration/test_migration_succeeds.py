from __future__ import annotations

import pytest

from fixtures.measure import Measure
from fixtures.migrations import Attempt


@pytest.mark.xdist_group("migration")
@pytest.mark.requirement("MIG-003")
def test_vm_migrates_and_keeps_running(attempt: Attempt, measure: Measure) -> None:
    """The VM migrates to another node and goes on running.

    Preconditions:
    * A running VM whose guest has its address, and a second node.

    Steps:
    1. Migrate it.

    Expected:
    * The migration succeeds within the time limit.
    * The VM is on another node.
    * The guest has not booted again.
    """
    migration = attempt.succeeded()
    measure(migration.measurement())
    assert migration.result.after.node != migration.view.node
    after = migration.machine.guest.facts()
    assert after.boot_id == migration.before.boot_id, "the guest has booted again"
    assert after.uptime > migration.before.uptime
