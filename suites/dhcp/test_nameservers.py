from __future__ import annotations

from itertools import product

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
    2. From the guest, ask each of them for kubernetes.default.svc.cluster.local, and for example.com where a pod can
       resolve it: a guest's own resolver may keep names under ``.local`` to itself.

    Expected:
    * They are the same, or the declared ones.
    * Each has an address for the names.
    """
    neighbour = client_pods[machine.view().node]
    pod = resolver_of(machine.run.cluster, neighbour)
    declared = tuple(map(str, machine.run.binding.facts.nameservers))
    found = machine.boot_facts().nameservers
    assert set(found) == set(declared or pod.nameservers), f"guest: {found}, declared: {declared}, {pod}"
    outside = [OUTSIDE_NAME] if outside_addresses(machine.run.cluster, neighbour) else []
    guest = machine.guest.client()
    for server, name in product(found, (CLUSTER_NAME, *outside)):
        assert guest.ask_nameserver(server, name), f"the guest's name server {server} has no address for {name}"
