from __future__ import annotations

import pytest

from fixtures.machines import Machine
from fixtures.rights import excess_rights


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("SEC-001")
def test_launcher_pod_has_no_more_rights_than_kubevirt_gives(machine: Machine) -> None:
    """Sidecar and compute run unprivileged, as user 107, with no capability but NET_BIND_SERVICE in compute.

    Preconditions:
    * A running VM with the binding.

    Steps:
    1. Read the security contexts and volumes of its launcher pod.

    Expected:
    * Both run as user 107, without privilege escalation, and are not privileged.
    * Neither adds a capability, but for NET_BIND_SERVICE in compute.
    * The pod uses neither the host's network, nor its processes, nor its directories.
    """
    found = excess_rights(machine.pod())
    assert not found, f"the launcher pod has too many rights: {'; '.join(found)}"
