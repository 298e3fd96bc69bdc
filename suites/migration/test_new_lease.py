from __future__ import annotations

import pytest

from conformance.kube.wait import wait_until
from conformance.model import Measurement
from fixtures.machines import expected_lease
from fixtures.measure import Measure
from fixtures.migrations import Migration


@pytest.mark.xdist_group("migration")
@pytest.mark.requirement("MIG-009")
def test_guest_gets_the_address_of_the_new_pod(migration: Migration, measure: Measure) -> None:
    """A guest that reacts to the carrier renews its lease, and gets the right address for the new pod.

    Preconditions:
    * A migrated VM whose guest renews its lease when the carrier returns.
    * The binding is registered with link-refresh.

    Steps:
    1. Wait until the guest has the address that the declared capabilities promise for the new pod.

    Expected:
    * It has, within 30 s of the migration.
    """
    machine = migration.machine
    promise, fits = expected_lease(machine)
    deadline = migration.deadline(machine.run.timeouts.migration_reachable)
    wait_until(
        f"the guest has {promise}",
        lambda: machine.nic(machine.guest.facts()).ipv4(),
        deadline,
        until=lambda leases: any(fits(lease.ip) for lease in leases),
        saw=lambda leases: f"the guest has {[str(lease) for lease in leases]}",
    )
    measure(Measurement("new lease", deadline.elapsed(), "s", "from the end of the migration until it was seen"))
