from __future__ import annotations

from dataclasses import replace

import pytest

from conformance.hooks.sidecar import CALLBACK_SECONDS
from conformance.kube.manifest import dig
from conformance.kube.outcome import Inconclusive
from conformance.kube.timeouts import Limit
from conformance.kube.wait import wait_for
from conformance.model import Measurement
from fixtures.machines import Start
from fixtures.measure import Measure
from fixtures.sidecars import Definition, SidecarPod


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("HOOK-007")
def test_hook_answers_in_time(
    asked_sidecar: SidecarPod, first_definition: Definition, start: Start, measure: Measure
) -> None:
    """OnDefineDomain returns within 60 s, and an error of it appears with its text in a condition of the VMI.

    Preconditions:
    * The sidecar's container, as KubeVirt starts it, in a pod of its own, and a VM, running or not.

    Steps:
    1. Call OnDefineDomain with a domain as KubeVirt makes it.
    2. Where it answers with an error, read the conditions of the VMI.

    Expected:
    * It answers within 60 s.
    * An error has a text, and a condition of the VMI has it in its message.
    """
    refusal, seconds = asked_sidecar.refusal(first_definition.domain, first_definition.vmi)
    measure(Measurement("OnDefineDomain", seconds, "s", "from the call to the answer, over an exec stream"))
    assert seconds < CALLBACK_SECONDS, f"KubeVirt gives up after {CALLBACK_SECONDS:.0f} s: {refusal or 'too late'}"
    if refusal is None:
        return
    if start.failure is None:
        raise Inconclusive(f"it refuses the domain of a running VM; HOOK-005 judges that: {refusal}")
    assert refusal.text, f"the error has no text: {refusal}"
    bound = replace(start.machine.run.timeouts.event_appears, limit=Limit.BOUND)
    wait_for(
        asked_sidecar.cluster,
        start.machine.ref,
        f"a condition with {refusal.text!r}",
        lambda vmi: any(
            refusal.text in entry.get("message", "") for entry in dig(vmi or {}, "status", "conditions", default=[])
        ),
        bound.start(),
    )
