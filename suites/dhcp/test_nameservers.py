from __future__ import annotations

import pytest

from fixtures.clients import ClientPods
from fixtures.machines import Machine
from fixtures.reach import resolver_of

CLUSTER_NAME = "kubernetes.default.svc.cluster.local"


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("DHCP-003")
def test_guest_has_working_nameservers(machine: Machine, client_pods: ClientPods) -> None:
    """The guest's name servers are those of a pod, or the declared ones, and they work.

    Preconditions:
    * A running VM whose guest has its address.
    * Cluster DNS.

    Steps:
    1. Compare the guest's name servers with those of a pod in the same namespace.
    2. Resolve kubernetes.default.svc.cluster.local in the guest.

    Expected:
    * They are the same, or the declared ones.
    * The name has an address.
    """
    pod = resolver_of(machine.run.cluster, client_pods[machine.view().node])
    declared = tuple(map(str, machine.run.binding.facts.nameservers))
    found = machine.boot_facts().nameservers
    assert set(found) == set(declared or pod.nameservers), f"guest: {found}, declared: {declared}, {pod}"
    assert machine.guest.client().resolve(CLUSTER_NAME), f"{CLUSTER_NAME} does not resolve in the guest"
