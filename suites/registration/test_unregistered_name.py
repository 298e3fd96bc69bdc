from __future__ import annotations

import pytest

from conformance.kube.lifecycle import launcher_pods
from conformance.kube.manifest import Ref
from conformance.kube.timeouts import Deadline
from conformance.kube.vmi import VmiView
from conformance.kube.wait import wait_for
from conformance.plugin.run import Run
from fixtures.strangers import failure, left_pending, refused, unregistered_name


@pytest.mark.requirement("REG-002")
def test_vmi_with_an_unregistered_binding_gets_no_pod(run: Run, stranger: Ref) -> None:
    """A VMI that names a binding nobody registered gets no pod, and says why.

    Preconditions:
    * No binding of that name is registered.

    Steps:
    1. Create a VMI whose interface names it.
    2. Wait for its condition Synchronized.

    Expected:
    * Synchronized is False with reason FailedCreate, and the message names the binding.
    * The VMI stays Pending and has no pod.
    """
    deadline = Deadline.bound(run.timeouts.event_appears.seconds)
    seen = wait_for(run.cluster, stranger, "a refusal", refused, deadline, stop_if=left_pending)
    assert unregistered_name(run) in failure(seen)["message"]
    now = VmiView.of(run.cluster.get(stranger))
    assert now.phase == "Pending"
    assert launcher_pods(run.cluster, now) == ()
