from __future__ import annotations

import pytest

from conformance.kube.outcome import Inconclusive
from conformance.kube.wait import wait_until
from fixtures.machines import NETWORK, Machine


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("V6-003")
@pytest.mark.where("pod")
def test_status_has_both_families(machine: Machine) -> None:
    """On a dual-stack cluster the VM's status has an address of each family, the primary one first.

    Preconditions:
    * A running VM whose pod has an address of each family.

    Steps:
    1. Wait until the status has an address of each family too.

    Expected:
    * It gets them within the time limit.
    * The first is of the same family as the first of the pod.
    """
    wanted = [_family(address) for address in machine.pod_addresses()]
    if sorted(wanted) != [4, 6]:
        raise Inconclusive(f"needs a dual-stack cluster, its pods have {machine.pod_addresses()}")

    def addresses() -> tuple[str, ...]:
        entry = machine.view().interface(NETWORK)
        return entry.addresses if entry else ()

    seen = wait_until(
        f"an address of each family in the status of {machine.ref}",
        addresses,
        machine.run.timeouts.status_addresses.start(),
        until=lambda found: {_family(address) for address in found} == {4, 6},
    )
    assert _family(seen[0]) == wanted[0], f"{seen[0]} comes first in the status, and in the pod IPv{wanted[0]}"


def _family(address: str) -> int:
    return 6 if ":" in address else 4
