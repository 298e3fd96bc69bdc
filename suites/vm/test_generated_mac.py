from __future__ import annotations

import pytest

from conformance.kube.networks import attached_networks
from conformance.model import Capability
from fixtures.journeys import Journey
from fixtures.machines import NETWORK


@pytest.mark.xdist_group("journey")
@pytest.mark.requirement("VM-003")
def test_generated_mac_stays(travels: Journey) -> None:
    """Without a MAC address in the spec the guest's is the pod interface's, or else one that stays.

    Preconditions:
    * A VM whose interface has no MAC address in its spec, rebooted, and migrated where the binding migrates.

    Steps:
    1. Read the MAC address of the guest's NIC at every stop.
    2. With a domainAttachmentType, compare it with that of the pod interface at boot, as Multus reports it.

    Expected:
    * It is the same at every stop.
    * With a domainAttachmentType it is the pod interface's.
    """
    machine = travels.machine
    found = {stop: machine.nic(facts).mac for stop, facts in travels.looks()}
    assert len(set(found.values())) == 1, f"the MAC address changes: {found}"
    if {Capability.ATTACH_TAP, Capability.ATTACH_MANAGED_TAP} & machine.run.binding.capabilities:
        interface = travels.status_at_boot(NETWORK).pod_interface
        wanted = [network.mac for network in attached_networks(travels.pod_at_boot) if network.interface == interface]
        assert [found["boot"]] == wanted, f"the guest has {found['boot']}, the pod's {interface} {wanted}"
