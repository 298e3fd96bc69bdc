from __future__ import annotations

import pytest

from fixtures.machines import ECHO_PORT, Machine
from fixtures.measure import Measure

SIZE = 64 * 1024


@pytest.mark.usefixtures("pod_network")
@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CONN-002")
def test_vm_reaches_a_vm_by_tcp(machine: Machine, peer: Machine, measure: Measure) -> None:
    """The VM reaches another VM on another node by TCP.

    Preconditions:
    * Two running VMs with the binding, on two nodes, whose guests have their addresses.
    * An echo server in one of them.

    Steps:
    1. Send 64 KiB from the other one to the server: at the address of its pod, on a secondary network at its own.

    Expected:
    * All of it comes back unchanged.
    """
    machine.boot_facts()
    with peer.guest.serve("tcp", ECHO_PORT):
        echo = machine.guest.client().tcp_echo(peer.peer_address(), ECHO_PORT, size=SIZE)
    measure(echo)
    assert echo.intact, f"of {echo.sent} bytes to {peer.ref}, {echo.received} came back: {echo.error}"
