from __future__ import annotations

import pytest

from conformance.kube.manifest import dig
from fixtures.machines import Start


@pytest.mark.xdist_group("secondary")
@pytest.mark.requirement("POD-003")
def test_interfaces_share_one_sidecar(twin: Start) -> None:
    """Several interfaces with one binding share one sidecar, which configures all of them.

    Preconditions:
    * A running VM with two interfaces of the binding.

    Steps:
    1. Count the hook sidecars of its launcher pod, and the guest's NICs.

    Expected:
    * There is one sidecar, and a NIC for every interface.
    """
    machine = twin.started()
    names = [container["name"] for container in dig(machine.pod(), "spec", "containers")]
    assert [name for name in names if name.startswith("hook-sidecar")] == ["hook-sidecar-0"]
    assert len(machine.guest.facts().nics) == len(machine.spec.nics)
