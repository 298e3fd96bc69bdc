from __future__ import annotations

import pytest

from conformance.plugin.run import Run
from fixtures.machines import Pool
from fixtures.nodes import NodeObserver
from fixtures.session import FRESH


@pytest.mark.xdist_group("lifecycle")
@pytest.mark.requirement("LIFE-001")
def test_deleted_vm_leaves_nothing_on_the_nodes(run: Run, machines: Pool, node_observer: NodeObserver) -> None:
    """Deleting the VM leaves the nodes as they were: no link, namespace, address, CNI record or process of it.

    Preconditions:
    * Access to the nodes.

    Steps:
    1. Record what is on the nodes.
    2. Create a VM, wait until it runs, delete it.
    3. Compare.

    Expected:
    * Nothing is there that was not there before, within the time limit.
    """
    before = node_observer.look()
    machine = machines.running(FRESH)
    node_observer.require_sight(before, machine.spec.namespace)
    machines.discard(FRESH)
    node_observer.wait_clean(before, run.timeouts.node_clean.start(), machine.process_name)
