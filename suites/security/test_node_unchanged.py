from __future__ import annotations

import pytest

from conformance.evidence.recorder import Evidence
from conformance.kube.outcome import Inconclusive
from fixtures.rehearsals import Rehearsal


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("SEC-003")
def test_plugin_leaves_the_node_alone(rehearsal: Rehearsal, evidence: Evidence) -> None:
    """The binding's CNI plugin changes nothing about the node's network, neither for good nor while the pod is there.

    Preconditions:
    * Access to the nodes.
    * On the VM's node, network namespaces beside the node's own: of a pod, and of the node it is on, with a bridge to
      the pod and an uplink. Nobody but the plugin changes anything there, as another component would on the node.

    Steps:
    1. Call the plugin with ADD for every network that the binding may be on, then with DEL.
    2. After each call look at the node's links, addresses, routes, routing rules, traffic control, packet filters and
       sysctls.

    Expected:
    * They are always as they were before the first call.
    """
    changes = rehearsal.node_changes()
    evidence.note("changes.txt", "\n".join(changes))
    assert not changes, "; ".join(changes[:10])
    if rehearsal.failures():
        raise Inconclusive(f"needs a plugin that can be called; CNI-003 judges it: {'; '.join(rehearsal.failures())}")
