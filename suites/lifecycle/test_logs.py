from __future__ import annotations

import pytest

from fixtures.sidecarlogs import SidecarLog


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("LIFE-005")
def test_sidecar_logs_the_network_and_no_secret(sidecar_log: SidecarLog) -> None:
    """The sidecar's log names the network that it serves, and nothing that cloud-init tells the guest is in it.

    The pod's name is where the log is found. A CNI plugin is told no secret; what its failures say is CNI-005's.

    Preconditions:
    * A running VM with the binding, whose user data hold an SSH host key.

    Steps:
    1. Read the log of the sidecar's container.

    Expected:
    * It has the name of the VM's interface, or that of the pod's interface behind it.
    * Neither the user data, as the VMI has them, nor a line of the key is there.
    """
    assert sidecar_log.names_network(), f"the sidecar's log has none of {', '.join(sidecar_log.names)}"
    assert not sidecar_log.secrets(), f"the sidecar's log has {', '.join(sidecar_log.secrets())}"
