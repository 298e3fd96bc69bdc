from __future__ import annotations

import pytest

from fixtures.measure import Measure
from fixtures.secondary import Companion


@pytest.mark.xdist_group("secondary")
@pytest.mark.requirement("HP-002")
def test_added_interface_waits_for_the_restart(companion: Companion, measure: Measure) -> None:
    """An interface with the binding added to a running VM changes nothing now, and works after a restart.

    Preconditions:
    * A running VM with a masquerade primary, and a secondary network.

    Steps:
    1. Add an interface with the binding on the secondary network to the VM, and wait five seconds.
    2. Restart the VM, and exchange data with another VM on the secondary network.

    Expected:
    * Before the restart neither the status nor the guest has a second interface, and nothing asks for a restart.
    * After it the interface works.
    """
    assert len(companion.added.interfaces) == 1, f"status: {companion.added.interfaces}"
    assert len(companion.added_facts.nics) == 1, f"guest: {companion.added_facts.nics}"
    assert not companion.restart
    measure(companion.plugged.measured("added interface", "from the restart of the VM to a TCP exchange"))
