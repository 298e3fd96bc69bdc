from __future__ import annotations

import pytest

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
    assert migration.lease is not None
    measure(migration.lease.measured("new lease", "from the migration until it was there"))
