from __future__ import annotations

import pytest

from conformance.traffic.pod import ClientPod
from fixtures.machines import Machine
from fixtures.measure import Measure

SIZE = 64 * 1024


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CONN-002")
@pytest.mark.where("pod")
def test_vm_reaches_a_pod_by_tcp(machine: Machine, client_pod: ClientPod, measure: Measure) -> None:
    """The VM reaches a pod by TCP, on its own node and on another.

    Preconditions:
    * A running VM whose guest has its address.
    * An echo server in a pod on its node, and in one on another.

    Steps:
    1. Send 64 KiB from the guest to the server.

    Expected:
    * All of it comes back unchanged.
    """
    machine.boot_facts()
    with client_pod.serve("tcp") as server:
        echo = machine.guest.client().tcp_echo(server.host, server.port, size=SIZE)
    measure(echo)
    assert echo.intact, f"of {echo.sent} bytes to the pod on {client_pod.node}, {echo.received} came back: {echo.error}"
