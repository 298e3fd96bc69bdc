from __future__ import annotations

import pytest

from conformance.evidence.recorder import Evidence
from fixtures.plugincalls import Answers


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CNI-006")
def test_check_succeeds(check_answers: Answers, evidence: Evidence) -> None:
    """CHECK succeeds for the pod of a running VM.

    Preconditions:
    * Access to the nodes, and a running VM.

    Steps:
    1. On the VM's node, with a view of the node that cannot be changed, call the plugin with CHECK as a runtime would:
       with the configuration and the result that the node keeps of the binding's network in the VM's pod.

    Expected:
    * It exits with 0.
    """
    evidence.note("answers.txt", "\n".join(map(str, check_answers.answers)))
    failed = [str(answer) for answer in check_answers.answers if answer.status != 0]
    assert not failed, "; ".join(failed)
