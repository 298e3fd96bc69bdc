from __future__ import annotations

import pytest

from fixtures.measure import Measure
from fixtures.restarts import Restarts


@pytest.mark.xdist_group("restarts")
@pytest.mark.requirement("VM-010")
def test_vm_works_again(restarts: Restarts, measure: Measure) -> None:
    """After a stop and start, and after its launcher pod was deleted, the VM works again on the same node.

    Preconditions:
    * A running VM, bound to one node, whose guest has its address.

    Steps:
    1. Stop it and start it again.
    2. Delete its launcher pod, so that KubeVirt starts it once more.

    Expected:
    * Each time it becomes Running and Ready within the time limit, and the guest has an address and connects.
    * On the pod network the status has the address of the new pod.
    """
    measure(restarts.started.measured("VM start", "from start to TCP from the guest, after a stop"))
    measure(restarts.replaced.measured("VM replacement", "from the deletion of its pod to TCP from the guest"))
