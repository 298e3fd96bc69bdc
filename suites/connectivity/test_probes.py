from __future__ import annotations

import pytest

from conformance.model import Measurement
from fixtures.machines import Machine, Pool
from fixtures.measure import Measure
from fixtures.shapes import PROBE_SECONDS, PROBED, probed

PERIODS = 4
# Connections that the guest has accepted so far: PassiveOpens of the kernel's TCP counters.
ACCEPTED = "awk '/^Tcp: [0-9]/ {print $7}' /proc/net/snmp"


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CONN-013")
def test_probes_reach_the_guest(machine: Machine, machines: Pool, measure: Measure) -> None:
    """A TCP readiness probe and a TCP liveness probe of the VM connect to its guest.

    Preconditions:
    * A VM with the binding starts and gets its address.

    Steps:
    1. Create a VM with a readiness and a liveness probe of its SSH port, every 2 s.
    2. Count the connections that its guest accepts in four periods.

    Expected:
    * The VM becomes Ready, and stays so.
    * The guest accepts more connections than one of the two probes makes.
    """
    machine.boot_facts()
    asked = machines.start(PROBED, node=0, shape=probed).started()
    counted = asked.guest.run(f"{ACCEPTED}; sleep {PERIODS * PROBE_SECONDS}; {ACCEPTED}", check=True).stdout.split()
    accepted = int(counted[1]) - int(counted[0])
    measure(Measurement("connections by probes", accepted, "1", f"accepted by the guest in {PERIODS} periods"))
    assert accepted > PERIODS + 1, f"two probes made {accepted} connections in {PERIODS} periods"
    assert asked.view().ready, "the VM is not ready any more"
