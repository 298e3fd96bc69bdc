from __future__ import annotations

import pytest

from conformance.plugin.run import Run
from fixtures.candidates import absent_interface
from fixtures.refusals import assert_refused, refusal_of


@pytest.mark.requirement("HP-001")
def test_state_absent_is_refused(run: Run, namespace: str) -> None:
    """State absent on an interface with a binding plugin is refused with KubeVirt's text.

    Preconditions:
    * The binding is registered.

    Steps:
    1. Create a VMI, as a dry run, whose interface names the binding and has state absent.

    Expected:
    * It is refused as invalid: absent is for bridge binding only.
    """
    refusal = refusal_of(run.cluster, absent_interface(run, namespace))
    assert_refused(refusal, ('interface\'s state "absent" is supported only for bridge binding',))
