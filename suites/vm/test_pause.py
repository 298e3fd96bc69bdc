from __future__ import annotations

import pytest

from fixtures.measure import Measure
from fixtures.restarts import Restarts


@pytest.mark.xdist_group("restarts")
@pytest.mark.requirement("VM-011")
def test_nic_works_after_a_pause(restarts: Restarts, measure: Measure) -> None:
    """The NIC works after pause and unpause.

    Preconditions:
    * A running VM whose guest has its address.

    Steps:
    1. Pause the VM for two seconds.
    2. Connect from the guest to a pod on its node (on a secondary network: to another VM).

    Expected:
    * It connects within 30 s.
    """
    measure(restarts.paused.measured("connected after a pause", "from unpause: TCP from the guest"))
