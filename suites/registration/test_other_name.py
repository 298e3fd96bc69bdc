from __future__ import annotations

from functools import partial

import pytest

from fixtures.clients import ClientPods
from fixtures.machines import Pool, Start
from fixtures.measure import Measure
from fixtures.reach import neighbour, wait_connects
from fixtures.session import PEER


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("REG-013")
def test_sidecar_works_under_another_name(
    renamed_start: Start, machines: Pool, client_pods: ClientPods, measure: Measure
) -> None:
    """A VM starts and connects where the binding is registered under another name than its usual one.

    Preconditions:
    * A VM with the binding runs.
    * The same registration a second time, under a name of the run's own.

    Steps:
    1. Create a VM whose interface names that; connect from its guest.

    Expected:
    * It is Running and Ready within the time limit, its guest has an address and connects.
    """
    machine = renamed_start.started()
    measure(renamed_start.measurement())
    timeouts = machine.run.timeouts
    machine.wait_address(timeouts.guest_lease.start())
    with neighbour(machine, client_pods, partial(machines.running, PEER, node=1)) as server:
        wait_connects(machine, server, timeouts.reachable.start())
