from __future__ import annotations

import pytest

from fixtures.machines import Start
from fixtures.measure import Measure


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("REG-001")
def test_vm_with_the_binding_is_running_and_ready(start: Start, measure: Measure) -> None:
    """A VM that uses the registered binding starts, with nothing else edited.

    Preconditions:
    * The binding is registered as its definition says.

    Steps:
    1. Create a VM whose interface on the pod network names the binding.
    2. Wait until its instance is Running and Ready.

    Expected:
    * It is, within the time limit.
    """
    machine = start.started()
    measure(start.measurement())
    assert machine.view().ready
