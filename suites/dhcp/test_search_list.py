from __future__ import annotations

import pytest

from conformance.kube.outcome import Inconclusive
from fixtures.clients import ClientPods
from fixtures.machines import Machine
from fixtures.reach import resolver_of


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("DHCP-004")
def test_guest_has_the_search_list_of_a_pod(machine: Machine, client_pods: ClientPods) -> None:
    """The guest's search list has every domain of a pod's in the same namespace, or the declared ones.

    Preconditions:
    * A running VM whose guest has its address.

    Steps:
    1. Compare the guest's search list with that of a pod in the same namespace. Where the guest's DHCP client may keep
       what it is given to itself, take the search list of its lease.

    Expected:
    * None of those domains is missing.
    """
    facts, guest = machine.run.binding.facts, machine.boot_facts()
    pod = resolver_of(machine.run.cluster, client_pods[machine.view().node])
    wanted, found = facts.search_domains or pod.search, guest.search
    if wanted and not found and (client := machine.guest.dhcp(machine.nic(guest).name)).may_ignore_search:
        found = client.offered(machine.guest.console).search
        if not found:
            raise Inconclusive("neither guest nor lease has a search list, and the DHCP client may not ask for one")
    assert set(wanted) <= set(found), f"the guest searches {found}, a pod {wanted}"
