from __future__ import annotations

import pytest

from conformance.evidence.recorder import Evidence
from fixtures.rehearsals import Rehearsal


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CNI-003")
def test_plugin_keeps_to_the_interface_it_is_asked_for(rehearsal: Rehearsal, evidence: Evidence) -> None:
    """The plugin finds its interface by logicNetworkName, and leaves the pod's others alone.

    Preconditions:
    * Access to the nodes.
    * On the VM's node, network namespaces beside the node's own: of a pod with eth0 and two interfaces of secondary
      networks, and of the node it is on.

    Steps:
    1. Call the plugin with ADD for every network that the binding may be on, one after the other: the pod network,
       and both secondary networks.
    2. Call it with DEL for each of them.

    Expected:
    * Every call exits with 0.
    * None changes anything about the interface of another network, or about what a call for another network made.
    """
    evidence.note("answers.txt", "\n".join(str(turn.answer) for turn in rehearsal.turns))
    assert not rehearsal.failures(), "; ".join(rehearsal.failures())
    assert not rehearsal.trespasses(), "; ".join(rehearsal.trespasses())
