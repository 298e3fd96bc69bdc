from __future__ import annotations

import pytest

from conformance.evidence.recorder import Evidence
from fixtures.plugincalls import Answers


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CNI-004")
def test_delete_always_succeeds(orphan_answers: Answers, evidence: Evidence) -> None:
    """DEL succeeds after a failed ADD, again, and without a network namespace, and leaves nothing behind.

    Preconditions:
    * Access to the nodes.

    Steps:
    1. On the VM's node, in a network namespace of its own and with a view of the node that cannot be changed, call the
       plugin with ADD for a container whose network namespace does not exist.
    2. Call it with DEL for that container, twice, and once without the path of a network namespace.

    Expected:
    * Every DEL exits with 0.
    * No link is left where the plugin ran.
    """
    evidence.note("answers.txt", "\n".join(map(str, orphan_answers.answers)))
    failed = [str(answer) for answer in orphan_answers.to("DEL") if answer.status != 0]
    assert not failed, "; ".join(failed)
    assert orphan_answers.links == orphan_answers.links_before, f"left behind: {orphan_answers.links}"
