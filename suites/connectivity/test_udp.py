from __future__ import annotations

import pytest

from conformance.traffic.pod import ClientPod
from fixtures.machines import ECHO_PORT, Machine
from fixtures.measure import Measure


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CONN-007")
def test_udp_request_and_response(machine: Machine, client_pod: ClientPod, measure: Measure) -> None:
    """UDP works to the VM: large datagrams, and many flows.

    Preconditions:
    * A running VM whose guest has its address.
    * A UDP echo server in the guest.

    Steps:
    1. Send datagrams of 1 to 4000 bytes from eight source ports of a pod on the same node, then of one on another.

    Expected:
    * Each comes back unchanged, at the third attempt at the latest.
    """
    machine.boot_facts()
    with machine.guest.serve("udp", ECHO_PORT):
        echo = client_pod.udp_echo(machine.pod_address(), ECHO_PORT)
    measure(echo)
    assert echo.ok, f"of {echo.sent} datagrams from {client_pod.node}, lost (flow, size): {echo.lost}"
