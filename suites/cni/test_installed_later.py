from __future__ import annotations

import pytest

from conformance.evidence.recorder import Evidence
from fixtures.latecomers import CONNECTED, FAULT
from fixtures.measure import Measure
from fixtures.presence import Installation


@pytest.mark.requirement("CNI-007")
def test_missing_plugin_is_named_and_its_installation_helps(
    installation: Installation, evidence: Evidence, measure: Measure
) -> None:
    """While the CNI plugin is missing, as on a node that was added, the pod says so; once it comes, the VM starts.

    Preconditions:
    * The binding is registered under a second name, with a copy of its NetworkAttachmentDefinition whose plugin is on
      no node.

    Steps:
    1. Create a VMI whose interface has that name, and wait for FailedCreatePodSandBox about its pod.
    2. Have the definition name the plugin that is there.

    Expected:
    * The event names the plugin, and the VMI does not run.
    * Afterwards its pod gets its networks: the VMI is Scheduled or Running.
    """
    evidence.note("complaints.txt", "\n".join(installation.complaints))
    phase = installation.waiting.phase
    assert phase not in CONNECTED, f"the VMI is {phase} though no node has {installation.plugin}"
    named = [message for message in installation.complaints if installation.plugin in message]
    assert named, f"no {FAULT} names {installation.plugin}: {installation.complaints}"
    measure(installation.connected.measured("recovery", "from the plugin's presence to Scheduled"))
