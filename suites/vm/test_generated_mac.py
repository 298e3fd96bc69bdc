from __future__ import annotations

import pytest

from conformance.kube.networks import attached_networks
from conformance.kube.outcome import Inconclusive
from fixtures.journeys import Journey, Stay
from fixtures.machines import NETWORK


@pytest.mark.xdist_group("journey")
@pytest.mark.requirement("VM-003")
def test_generated_mac_survives_a_reboot(stay: Stay) -> None:
    """Without a MAC address in the spec the guest's NIC has one that stays over a reboot of the guest.

    Preconditions:
    * A running VM whose interface has no MAC address in its spec.

    Steps:
    1. Read the MAC address of the guest's NIC, reboot the guest, and read it again.

    Expected:
    * It is the same.
    """
    before, after = (stay.machine.nic(facts).mac for facts in (stay.boot, stay.reboot.facts))
    assert after == before, f"the guest's NIC had {before}, after the reboot {after}"


@pytest.mark.xdist_group("journey")
@pytest.mark.requirement("VM-003")
@pytest.mark.where("attach")
def test_generated_mac_is_the_pods(stay: Stay) -> None:
    """Without a MAC address in the spec the guest's NIC has that of the pod's interface.

    Preconditions:
    * A running VM whose interface has no MAC address in its spec.

    Steps:
    1. Compare the MAC address of the guest's NIC with that of the pod's interface, as Multus reports it.

    Expected:
    * It is the same.
    """
    found, interface = stay.machine.nic(stay.boot).mac, stay.status(NETWORK).pod_interface
    wanted = [network.mac for network in attached_networks(stay.pod) if network.interface == interface]
    if not wanted:
        raise Inconclusive(f"Multus reports no interface {interface} of the pod; OBS-005 judges that")
    assert [found] == wanted, f"the guest has {found}, the pod's {interface} {wanted}"


@pytest.mark.xdist_group("journey")
@pytest.mark.requirement("VM-003")
@pytest.mark.where("mig")
def test_generated_mac_survives_migrations(journey: Journey) -> None:
    """Without a MAC address in the spec the guest's NIC keeps its own over migrations.

    Preconditions:
    * A running VM whose interface has no MAC address in its spec, migrated and rebooted several times.

    Steps:
    1. Read the MAC address of the guest's NIC after each migration and each reboot.

    Expected:
    * It is always the same.
    """
    machine, looks = journey.stay.machine, [journey.stay.boot]
    looks += [facts for trip in journey.made() for facts in (trip.arrival, trip.reboot.facts)]
    found = {machine.nic(facts).mac for facts in looks}
    assert len(found) == 1, f"the MAC address changes: {sorted(found)}"
