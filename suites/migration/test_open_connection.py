from __future__ import annotations

import pytest

from conformance.kube.wait import wait_until
from conformance.model import Capability, Measurement
from fixtures.measure import Measure
from fixtures.migrations import Migration
from fixtures.nomads import Nomad


@pytest.mark.xdist_group("migration")
@pytest.mark.requirement("MIG-007")
@pytest.mark.where("pod")
def test_open_connection_survives_or_ends(migration: Migration, measure: Measure) -> None:
    """An open TCP connection survives the migration with sticky; else it ends in plain sight, and a new one works.

    Preconditions:
    * A VM migrated while a pod on the old node kept a connection to it busy, whose kernel gives it up, without sticky,
      when nothing is acknowledged for 5 s.

    Steps:
    1. Wait until the guest answers over that connection again, or the connection has ended.
    2. Open an SSH connection from the same pod to the address of the new pod.

    Expected:
    * With sticky the guest answers again. Without, either happens: nobody acknowledges what nobody answers.
    * The new connection works.
    * Everything within 30 s of the migration.
    """
    held, start = migration.watched().held(), migration.watched().held().answers()
    sticky = Capability.STICKY in migration.machine.run.binding.capabilities
    deadline = migration.deadline(migration.machine.run.timeouts.migration_reachable)
    wait_until(
        "the open connection goes on" + ("" if sticky else ", or ends"),
        lambda: (held.answers() > start, held.ended()),
        deadline,
        until=lambda seen: seen[0] or bool(seen[1]),
        saw=lambda seen: "no answer, and no end" if not any(seen) else f"ended by {seen[1]}",
        every=0.2,
    )
    assert held.answers() > start or not sticky, f"the connection did not survive: {held.ended()}"
    measure(Measurement("connection", deadline.elapsed(), "s", f"from the migration; ended by: {held.ended() or '-'}"))
    assert migration.reached is not None
    measure(migration.reached.measured("new connection", "from the migration until SSH from the old node worked"))


@pytest.mark.xdist_group("nomad")
@pytest.mark.requirement("MIG-007")
@pytest.mark.where("!pod")
def test_open_connection_survives_on_a_secondary_network(travelling_nomad: Nomad, measure: Measure) -> None:
    """On a secondary network, where the VM keeps its address, an open TCP connection survives the migration.

    Preconditions:
    * A running VM whose guest has its address, a second node, and another VM on the network.

    Steps:
    1. Open a connection from the other VM to an echo server in the guest, keep it busy, and migrate the VM.
    2. Wait until the guest answers over that connection again.

    Expected:
    * It does, within 30 s of the migration.
    """
    measure(travelling_nomad.move_while_talking().measured("connection", "from the migration until it went on"))
