from __future__ import annotations

import pytest

from conformance.evidence.recorder import Evidence
from fixtures.plugincalls import Answers


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CNI-005")
def test_failing_add_says_why(orphan_answers: Answers, evidence: Evidence) -> None:
    """An ADD that cannot succeed fails, with a message, which Multus and the kubelet put into an event of the pod.

    Preconditions:
    * Access to the nodes.

    Steps:
    1. On the VM's node, in a network namespace of its own and with a view of the node that cannot be changed, call the
       plugin with ADD for a container whose network namespace does not exist.

    Expected:
    * It does not exit with 0, and its standard output is CNI's error object with a code and a message.
    """
    evidence.note("answers.txt", "\n".join(map(str, orphan_answers.answers)))
    for answer in orphan_answers.to("ADD"):
        assert answer.status != 0, f"ADD cannot have succeeded: {answer}"
        assert answer.error(), f"no CNI error object: {answer}"
