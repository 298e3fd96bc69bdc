from __future__ import annotations

import pytest

from conformance.model import Capability
from fixtures.machines import Machine


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("MIG-001")
def test_vm_is_migratable_as_declared(machine: Machine) -> None:
    """The VM is live-migratable exactly where the binding is registered, or declared, with migration.

    Preconditions:
    * A running VM on the pod network.

    Steps:
    1. Read its condition LiveMigratable.

    Expected:
    * It is True for a binding with migration and False for one without.
    """
    promised = Capability.MIGRATION in machine.run.binding.capabilities
    view = machine.view()
    assert view.migratable == promised, f"LiveMigratable is {view.migratable}, the binding promises {promised}"
