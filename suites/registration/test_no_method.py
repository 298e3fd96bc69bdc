from __future__ import annotations

import pytest

from conformance.plugin.run import Run
from fixtures.candidates import bound_by
from fixtures.machines import NETWORK
from fixtures.refusals import assert_refused, expected, refusal_of


@pytest.mark.requirement("REG-005")
def test_interface_without_a_binding_is_refused(run: Run, namespace: str) -> None:
    """An interface with neither a binding plugin nor a core binding method is refused.

    Preconditions:
    * KubeVirt 1.9 or later.

    Steps:
    1. Create a VMI, as a dry run, whose interface has a name and nothing else.

    Expected:
    * It is refused as invalid, with the message of the KubeVirt release at hand.
    """
    refusal = refusal_of(run.cluster, bound_by(run, namespace))
    assert_refused(refusal, expected("no method", run.versions.kubevirt, NETWORK))
