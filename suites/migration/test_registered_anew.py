from __future__ import annotations

import pytest

from fixtures.measure import Measure
from fixtures.reregistered import Reregistration


@pytest.mark.xdist_group("nomad")
@pytest.mark.requirement("MIG-020")
def test_migration_under_another_registration_loses_no_vm(reregistration: Reregistration, measure: Measure) -> None:
    """A migration after the registration has changed to an image that is not there works or fails plainly.

    Preconditions:
    * The binding is registered under a second name; a running VM that has it, whose guest has its address.

    Steps:
    1. Register it with a sidecar image that cannot be pulled, and migrate the VM.
    2. Once that has ended, or the target pod has said what it lacks, take the migration back; connect from the guest.
    3. Register it as before, migrate the VM to another node, and connect from the guest.

    Expected:
    * What becomes of the migration is told: by its end, or by the pod that names the image.
    * The guest connects both times, and the second migration succeeds.
    """
    assert reregistration.told, "nothing is said of the migration, which goes on for ever"
    measure(reregistration.connected.measured("connected", "TCP from the guest after the first migration"))
    measure(reregistration.again.measured("again", "from the creation of the second VMIM to TCP from the guest"))
