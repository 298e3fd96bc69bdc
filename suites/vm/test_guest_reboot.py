from __future__ import annotations

import pytest

from fixtures.journeys import Stay
from fixtures.measure import Measure


@pytest.mark.xdist_group("journey")
@pytest.mark.requirement("VM-009")
def test_reboot_keeps_the_address(stay: Stay, measure: Measure) -> None:
    """A reboot of the guest keeps its address and reachability.

    Preconditions:
    * A running VM whose guest has its address.

    Steps:
    1. Reboot the guest from inside.
    2. Wait for its address, and connect from it to a pod on its node (on a secondary network: to another VM).

    Expected:
    * The address is the one from before.
    * The guest connects within 30 s.
    """
    before, step = stay.machine.lease(stay.boot), stay.reboot
    measure(step.leased.measured("lease after reboot", "from the guest's answer on its console"))
    after = stay.machine.lease(step.facts)
    assert after == before, f"the guest had {before}, after the reboot {after}"
    measure(step.connected.measured("connected after reboot", "from the lease: TCP from the guest"))
