from __future__ import annotations

from ipaddress import IPv6Interface

import pytest

from conformance.kube.outcome import Inconclusive
from fixtures.clients import ClientPods, pod_on
from fixtures.measure import Measure
from fixtures.migrations import Migration
from fixtures.reach import wait_connects


@pytest.mark.xdist_group("migration")
@pytest.mark.requirement("V6-005")
@pytest.mark.where("pod")
def test_guest_keeps_ipv6_over_a_migration(migration: Migration, client_pods: ClientPods, measure: Measure) -> None:
    """After a migration the guest has the IPv6 address that it had, or the one that is declared, and connects by IPv6.

    Preconditions:
    * A migrated VM whose guest had a global IPv6 address.

    Steps:
    1. Where the declaration says within which time the guest has a new address, wait for that from the end of the
       migration; else look at its addresses.
    2. Connect from the guest to the IPv6 address of a client pod on the VM's node.

    Expected:
    * Nothing declared: every address from before is still there. Else: the guest has one in time, the new pod's where
      podip is declared.
    * It connects within the time limit.
    """
    machine = migration.machine
    machine.require_ipv6()
    before = machine.ipv6(migration.before)
    if not before:
        raise Inconclusive("needs a guest that had an IPv6 address; V6-001 judges why it had none")
    if migration.ipv6 is not None:
        measure(migration.ipv6.measured("new IPv6 address", "from the migration until it was there"))
    else:
        now = machine.ipv6(machine.guest.facts())
        assert set(before) <= set(now), f"the guest had {_words(before)} before the migration, and now {_words(now)}"
    with pod_on(client_pods, machine.view().node, same=True).serve("tcp", family=6) as server:
        measure(wait_connects(machine, server, machine.run.timeouts.migration_reachable.start()))


def _words(addresses: tuple[IPv6Interface, ...]) -> str:
    return ", ".join(map(str, addresses)) or "none"
