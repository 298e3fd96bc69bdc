from __future__ import annotations

import pytest

from fixtures.clients import ClientPods
from fixtures.measure import Measure
from fixtures.migrations import Migration

SIZE = 64 * 1024


@pytest.mark.xdist_group("migration")
@pytest.mark.requirement("MIG-006")
def test_vm_is_reachable_both_ways(migration: Migration, client_pods: ClientPods, measure: Measure) -> None:
    """Within 30 s of the migration the VM is reachable at its new address and by its Service, and reaches others.

    Preconditions:
    * A migrated VM, with a Service in front of it since before.
    * A client pod on every node.

    Steps:
    1. Open an SSH connection from a pod on the old node to the address of the new pod.
    2. Wait until the EndpointSlices of the Service have the new pod's address and no other, and send data from that
       pod to its cluster address.
    3. Connect from the guest to an echo server in that pod.

    Expected:
    * All of it works within the time limit.
    """
    assert migration.reached is not None
    measure(migration.reached.measured("reached again", "from the migration until SSH from the old node worked"))
    if migration.followed is not None:
        measure(
            migration.followed.measured("Service followed", "from the migration until the guest answered behind it")
        )
    pod = client_pods[migration.view.node]
    with pod.serve("tcp") as server:
        echo = migration.machine.guest.client().tcp_echo(server.host, server.port, size=SIZE)
    measure(echo)
    assert echo.intact, f"of {echo.sent} bytes to the pod on {pod.node}, {echo.received} came back: {echo.error}"
