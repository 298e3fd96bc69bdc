from __future__ import annotations

import pytest

from conformance.plugin.run import Run
from fixtures.nodes import NodeObserver
from fixtures.rounds import STAGES, Rounds

VMS = 20


@pytest.mark.xdist_group("lifecycle")
@pytest.mark.requirement("LIFE-002")
def test_many_rounds_leave_nothing_on_the_nodes(run: Run, rounds: Rounds, node_observer: NodeObserver) -> None:
    """20 VMs that are created and deleted leave the nodes as they were, whenever in their start they are deleted.

    Preconditions:
    * Access to the nodes.

    Steps:
    1. Record what is on the nodes.
    2. Create four VMs; delete one at once, one when its pod has a node, one when its pod has its network, and one when
       it runs. Do so five times.
    3. Compare.

    Expected:
    * Nothing is there that was not there before, within the time limit.
    """
    before = node_observer.look()
    for _ in range(VMS // len(STAGES)):
        rounds.make(lambda machine: node_observer.require_sight(before, machine.spec.namespace))
    node_observer.wait_clean(before, run.timeouts.node_clean.start())
