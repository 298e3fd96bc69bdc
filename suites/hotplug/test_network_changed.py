from __future__ import annotations

import pytest

from fixtures.measure import Measure
from fixtures.relocation import Relocation


@pytest.mark.xdist_group("secondary")
@pytest.mark.requirement("HP-004")
def test_changed_network_comes_with_a_migration(relocation: Relocation, measure: Measure) -> None:
    """A secondary interface that is given another network while its VM runs is on it after a migration.

    Preconditions:
    * A running VM with a secondary interface of the binding, and a second node.
    * A second network, the copy of the first one's definition.

    Steps:
    1. Change the network's name in the VM.
    2. Migrate the VM once KubeVirt asks for it, or wait until KubeVirt does so itself where it is set up to.
    3. Exchange data with another VM over the interface.

    Expected:
    * KubeVirt asks for a migration, and for no restart.
    * After it Multus reports the interface on the other network, and the data comes back unchanged.
    """
    measure(relocation.asked.measured("network change noticed", "from the change to the condition MigrationRequired"))
    assert not relocation.restart, "KubeVirt asks for a restart"
    assert relocation.moved is not None
    measure(relocation.moved.measured("network change", "from the condition to a TCP exchange on the other network"))
    assert relocation.joined == relocation.wanted, f"the interface is on {relocation.joined or '(no network)'}"
