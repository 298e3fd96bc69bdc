from __future__ import annotations

import pytest

from fixtures.clients import ClientPods
from fixtures.machines import Machine
from fixtures.reach import CLUSTER_NAME, OUTSIDE_NAME, outside_addresses, resolver_of


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("DHCP-003")
def test_guest_has_working_nameservers(machine: Machine, client_pods: ClientPods) -> None:
    """The guest's name servers are those of a pod, or the declared ones, and they work.

    Preconditions:
    * A running VM whose guest has its address.
    * Cluster DNS.

    Steps:
    1. Compare the guest's name servers with those of a pod in the same namespace.
    2. Resolve kubernetes.default.svc.cluster.local in the guest, and example.com where a pod can.

    Expected:
    * They are the same, or the declared ones.
    * The names have addresses.
    """
    neighbour = client_pods[machine.view().node]
    pod = resolver_of(machine.run.cluster, neighbour)
    declared = tuple(map(str, machine.run.binding.facts.nameservers))
    found = machine.boot_facts().nameservers
    assert set(found) == set(declared or pod.nameservers), f"guest: {found}, declared: {declared}, {pod}"
    outside = [OUTSIDE_NAME] if outside_addresses(machine.run.cluster, neighbour) else []
    for name in (CLUSTER_NAME, *outside):
        assert machine.guest.client().resolve(name), f"{name} does not resolve in the guest"
