from __future__ import annotations

import pytest

from fixtures.machines import NETWORK, Machine
from fixtures.secondary import SECONDARY, Companion, hashed_interface


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("OBS-002")
def test_status_names_the_pod_interface(machine: Machine) -> None:
    """podInterfaceName is the pod's primary interface, or the hashed name of a secondary one.

    Preconditions:
    * A running VM.

    Steps:
    1. Read podInterfaceName in the status.

    Expected:
    * It is eth0 on the pod network, on a secondary network pod and 11 digits of the SHA-256 of the network's name.
    """
    entry = machine.view().interface(NETWORK)
    assert entry is not None
    wanted = hashed_interface(NETWORK) if machine.nic_spec.network else "eth0"
    assert entry.pod_interface == wanted, f"podInterfaceName is {entry.pod_interface or '(none)'}, not {wanted}"


@pytest.mark.xdist_group("secondary")
@pytest.mark.requirement("OBS-002")
@pytest.mark.where("sec")
def test_status_names_the_secondary_pod_interface(companion: Companion) -> None:
    """podInterfaceName of a secondary interface is its hashed name.

    Preconditions:
    * A running VM with a secondary interface of the binding.

    Steps:
    1. Read podInterfaceName in the status.

    Expected:
    * It is pod and 11 digits of the SHA-256 of the network's name.
    """
    entry, wanted = companion.secondary(), hashed_interface(SECONDARY)
    assert entry.pod_interface == wanted, f"podInterfaceName is {entry.pod_interface or '(none)'}, not {wanted}"
