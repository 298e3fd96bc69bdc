from __future__ import annotations

import pytest

from conformance.kube.lifecycle import launcher_pods
from conformance.kube.manifest import Ref
from conformance.kube.vmi import VmiView
from conformance.plugin.run import Run
from fixtures.strangers import refusal_seen, unregistered_name


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
    assert unregistered_name(run) in refusal_seen(run, stranger)
    now = VmiView.of(run.cluster.get(stranger))
    assert now.phase == "Pending"
    assert launcher_pods(run.cluster, now) == ()
