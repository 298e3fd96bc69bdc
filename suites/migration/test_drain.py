from __future__ import annotations

import pytest

from fixtures.measure import Measure
from fixtures.nomads import Nomad


@pytest.mark.xdist_group("nomad")
@pytest.mark.requirement("MIG-017")
def test_drain_moves_the_vm(travelling_nomad: Nomad, measure: Measure) -> None:
    """The eviction of its pod, which is what a drain does with a VM, migrates the VM, and later it can come back.

    The node is not cordoned, which would concern other people's pods: a VM never migrates to the node that it is on.

    Preconditions:
    * A running VM with the eviction strategy LiveMigrate whose guest has its address, and a second node.

    Steps:
    1. Evict its launcher pod; wait until it is on another node.
    2. Connect from the guest.
    3. Migrate it back to the first node, and connect from the guest.

    Expected:
    * The eviction is refused with HTTP 429, as one that triggered an evacuation.
    * The guest has not booted again, and connects both times.
    """
    story = travelling_nomad.drain()
    assert (story.code, "triggered evacuation" in story.message) == (429, True), f"{story.code} {story.message}"
    assert story.after.node != story.before.node, f"it is still on {story.before.node}"
    assert story.same_boot, "it was started anew, not migrated"
    measure(story.connected.measured("connected", f"TCP from the guest on {story.after.node}"))
    back = travelling_nomad.back(story.before.node)
    measure(back.measured(f"back on {story.before.node}", "from the creation of the VMIM to TCP from the guest"))
