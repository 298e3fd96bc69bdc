from __future__ import annotations

import pytest

from fixtures.measure import Measure
from fixtures.nomads import Nomad, Way


@pytest.mark.xdist_group("nomad")
@pytest.mark.parametrize("way", ["target-killed", "cancelled"])
@pytest.mark.requirement("MIG-013")
def test_interrupted_migration_leaves_the_vm_working(travelling_nomad: Nomad, way: Way, measure: Measure) -> None:
    """A migration that is interrupted leaves the VM working, and the next one to the same node succeeds.

    Preconditions:
    * A running VM that is live-migratable and whose guest has its address, and a second node.

    Steps:
    1. Begin a migration; as soon as the target pod has its network, kill that pod, or delete the migration.
    2. Connect from the guest.
    3. Migrate the VM to the same node, and connect from the guest.

    Expected:
    * The guest connects both times, and the second migration succeeds.
    """
    story = travelling_nomad.interrupt(way)
    measure(story.connected.measured("connected", "TCP from the guest, after the interrupted migration"))
    measure(
        story.again.measured(f"again to {story.target}", "from the creation of the second VMIM to TCP from the guest")
    )
