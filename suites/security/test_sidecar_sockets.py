from __future__ import annotations

import pytest

from conformance.evidence.recorder import Evidence
from fixtures.footprint import Footprint


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("SEC-006")
def test_sidecar_shows_its_socket_alone(footprint: Footprint, evidence: Evidence) -> None:
    """The sidecar's directory for sockets has its gRPC socket and no other, and it listens on no TCP port.

    Preconditions:
    * The sidecar's container in a pod of its own, beside a client that listens nowhere.

    Steps:
    1. Once it has answered Info, list the directory, and the TCP ports with a listener in the pod's network namespace.

    Expected:
    * The directory has that socket, and beside it sub-directories at most.
    * There is no such port.
    """
    evidence.note("footprint.txt", f"{footprint}\n")
    assert not footprint.others(), f"beside {footprint.socket} there is: {', '.join(footprint.others())}"
    assert not footprint.ports, f"the sidecar listens on TCP port {', '.join(map(str, footprint.ports))}"
