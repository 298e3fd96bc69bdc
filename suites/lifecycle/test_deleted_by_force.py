from __future__ import annotations

import pytest

from conformance.kube.manifest import Ref
from conformance.plugin.run import Run
from fixtures.machines import Pool
from fixtures.nodes import NodeObserver
from fixtures.session import FRESH


@pytest.mark.xdist_group("lifecycle")
@pytest.mark.requirement("LIFE-003")
def test_pod_deleted_by_force_leaves_nothing_on_the_nodes(
    run: Run, machines: Pool, node_observer: NodeObserver
) -> None:
    """A launcher pod that is deleted by force, without a grace period, leaves the nodes as they were all the same.

    Preconditions:
    * Access to the nodes.

    Steps:
    1. Record what is on the nodes.
    2. Create a VM, wait until it runs; delete its launcher pod with a grace period of 0 s, then the VM.
    3. Compare.

    Expected:
    * Nothing is there that was not there before, within the time limit.
    """
    before = node_observer.look()
    machine = machines.running(FRESH)
    node_observer.require_sight(before, machine.spec.namespace)
    run.cluster.delete(Ref.of(machine.pod()), grace_seconds=0)
    machines.discard(FRESH)
    node_observer.wait_clean(before, run.timeouts.node_clean.start(), machine.process_name)
