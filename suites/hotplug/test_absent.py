from __future__ import annotations

import pytest

from conformance.plugin.run import Run
from fixtures.strangers import absent_interface, refusal_of


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
    assert refusal is not None, "a VMI with state absent was admitted"
    assert refusal.code == 422
    assert 'interface\'s state "absent" is supported only for bridge binding' in str(refusal)
