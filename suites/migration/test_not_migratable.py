from __future__ import annotations

import pytest

from fixtures.measure import Measure
from fixtures.nomads import Nomad, migration_refusal

REASON = "Cannot migrate VMI, Reason: InterfaceNotLiveMigratable"


@pytest.mark.xdist_group("nomad")
@pytest.mark.requirement("MIG-002")
def test_vm_that_cannot_migrate_is_left_alone(nomad: Nomad, measure: Measure) -> None:
    """A migration is refused with the reason InterfaceNotLiveMigratable, and so is an eviction; the VM goes on.

    Preconditions:
    * A running VM on the pod network with the eviction strategy LiveMigrate, whose binding does not migrate.

    Steps:
    1. Create a migration of it.
    2. Evict its launcher pod, which is what a drain does.
    3. Connect from the guest.

    Expected:
    * The migration is refused as invalid with that reason, the eviction with HTTP 429 as of a VM that cannot migrate.
    * The same instance runs on, on its node, without another boot, and the guest connects.
    """
    refusal = migration_refusal(nomad)
    assert refusal is not None, "a migration was admitted"
    assert REASON in refusal.message, f"refused with HTTP {refusal.code}: {refusal.message}"
    story = nomad.keep()
    assert (story.code, "not live-migratable" in story.message) == (429, True), f"{story.code} {story.message}"
    assert story.after.node == story.before.node
    assert story.same_boot, "it was started anew"
    measure(story.connected.measured("connected", "TCP from the guest after the eviction was refused"))
