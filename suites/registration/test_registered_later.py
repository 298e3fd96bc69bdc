from __future__ import annotations

import time

import pytest

from conformance.kube.lifecycle import launcher_pods
from conformance.kube.manifest import Ref
from conformance.kube.registration import Registration
from conformance.kube.vmi import VmiView
from conformance.kube.wait import wait_for
from conformance.model import Measurement
from conformance.plugin.run import Run
from fixtures.measure import Measure
from fixtures.strangers import refusal_seen, unblocked, unregistered_name


@pytest.mark.requirement("REG-003")
def test_registering_unblocks_a_vmi_that_waits(run: Run, stranger: Ref, measure: Measure) -> None:
    """A VMI that waits because nobody registered its binding goes on once somebody does.

    Preconditions:
    * No binding of that name is registered, and KubeVirt has said so in the VMI's condition Synchronized.

    Steps:
    1. Register the name, as the definition registers the binding.

    Expected:
    * The same VMI gets its pod, and the condition is gone.
    """
    refusal_seen(run, stranger)
    assert run.binding.registration is not None
    with Registration(run.registrar, unregistered_name(run)).applied(run.binding.registration.to_dict()):
        registered = time.monotonic()
        seen = wait_for(run.cluster, stranger, "the VMI leaves Pending", unblocked, run.timeouts.unblocked.start())
        measure(Measurement("unblocked", time.monotonic() - registered, "s", "from the registration to Scheduling"))
        assert seen is not None
        assert launcher_pods(run.cluster, VmiView.of(seen)), "the VMI left Pending without a pod"
