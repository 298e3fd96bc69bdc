from __future__ import annotations

import pytest

from conformance.kube.lifecycle import launcher_pods
from conformance.kube.manifest import Ref
from conformance.kube.vmi import VmiView
from conformance.plugin.run import Run
from fixtures.strangers import absent_network, refusal_seen


@pytest.mark.requirement("REG-009")
def test_vmi_on_a_missing_network_gets_no_pod(run: Run, unconnected: Ref) -> None:
    """A VMI on a network whose NetworkAttachmentDefinition does not exist gets no pod, and says which one is missing.

    Preconditions:
    * The binding is registered; there is no NetworkAttachmentDefinition of that name.

    Steps:
    1. Create a VMI whose interface uses the binding on that network.
    2. Wait for its condition Synchronized.

    Expected:
    * Synchronized is False with reason FailedCreate, and the message says "failed to locate network attachment
      definition" with namespace and name.
    * The VMI stays Pending and has no pod.
    """
    message = refusal_seen(run, unconnected)
    assert f"failed to locate network attachment definition {absent_network(run)}" in message
    now = VmiView.of(run.cluster.get(unconnected))
    assert now.phase == "Pending"
    assert launcher_pods(run.cluster, now) == ()
