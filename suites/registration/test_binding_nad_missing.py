from __future__ import annotations

import pytest

from conformance.evidence.recorder import Evidence
from fixtures.latecomers import CONNECTED, FAULT, Latecomer, names
from fixtures.measure import Measure


@pytest.mark.requirement("REG-008")
def test_missing_definition_is_named_and_its_creation_helps(
    latecomer: Latecomer, evidence: Evidence, measure: Measure
) -> None:
    """While the binding's NetworkAttachmentDefinition is missing the pod says so; once it comes, the VMI goes on.

    Preconditions:
    * The binding is registered under a second name, with a NetworkAttachmentDefinition that does not exist.

    Steps:
    1. Create a VMI whose interface has that name, and wait for FailedCreatePodSandBox about its pod.
    2. Create the NetworkAttachmentDefinition, a copy of the binding's own.

    Expected:
    * The event names the NetworkAttachmentDefinition and its namespace, and the VMI does not run.
    * Afterwards its pod gets its networks: the VMI is Scheduled or Running.
    """
    evidence.note("complaints.txt", "\n".join(latecomer.complaints))
    phase = latecomer.waiting.phase
    assert phase not in CONNECTED, f"the VMI is {phase} though {latecomer.nad} does not exist"
    named = [message for message in latecomer.complaints if names(latecomer.nad, message)]
    assert named, f"no {FAULT} names {latecomer.nad.namespace}/{latecomer.nad.name}: {latecomer.complaints}"
    measure(latecomer.connected.measured("recovery", "from the creation of the definition to Scheduled"))
