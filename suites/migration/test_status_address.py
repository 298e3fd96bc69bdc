from __future__ import annotations

import pytest

from conformance.kube.wait import wait_until
from conformance.model import Capability
from fixtures.machines import NETWORK
from fixtures.migrations import Migration


@pytest.mark.xdist_group("migration")
@pytest.mark.requirement("MIG-005")
def test_status_follows_the_vm(migration: Migration) -> None:
    """Within 30 s of the migration the status has the address of the new pod, with sticky the same as before.

    Preconditions:
    * A migrated VM.

    Steps:
    1. Wait until the status has the new pod's addresses.

    Expected:
    * It has, within the time limit.
    * With sticky, the address is the one from before.
    """
    machine = migration.machine
    wanted = machine.pod_addresses()
    view = wait_until(
        f"one of {', '.join(wanted)} in the status of {machine.ref}",
        machine.view,
        migration.deadline(machine.run.timeouts.migration_addresses),
        until=lambda seen: seen.address(NETWORK) in wanted,
        saw=lambda seen: str(seen.interfaces),
    )
    if Capability.STICKY in machine.run.binding.capabilities:
        assert view.address(NETWORK) == migration.view.address(NETWORK)
