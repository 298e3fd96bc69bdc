from __future__ import annotations

import pytest

from conformance.kube.outcome import Inconclusive
from fixtures.measure import Measure
from fixtures.secondary import Companion


@pytest.mark.xdist_group("secondary")
@pytest.mark.requirement("MIG-018")
def test_secondary_works_after_a_migration(companion: Companion, measure: Measure) -> None:
    """A VM with the binding on a secondary network and a migratable primary migrates, and the secondary works.

    Preconditions:
    * A running VM with a masquerade primary and a secondary interface of the binding, and a second node.

    Steps:
    1. Migrate it.
    2. Exchange data with another VM over the secondary network.

    Expected:
    * The migration succeeds, and the data comes back unchanged.
    """
    if companion.moved is None:
        raise Inconclusive(f"needs two nodes and a working secondary; VM-008: {companion.plugged.failure}")
    measure(companion.moved.measured("secondary after migration", "from the VMIM to a TCP exchange"))
