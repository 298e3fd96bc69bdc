from __future__ import annotations

import pytest

from conformance.model import Measurement
from fixtures.measure import Measure
from fixtures.networkinfo import NetworkInfo


@pytest.mark.xdist_group("secondary")
@pytest.mark.requirement("POD-006")
def test_pod_is_told_of_the_network(network_info: NetworkInfo, measure: Measure) -> None:
    """The binding's sidecar finds its network in /etc/podinfo/network-info, with what Multus reports of it.

    Preconditions:
    * A running VM with an interface of the binding on a secondary network.

    Steps:
    1. See whether compute and every sidecar of its pod have the directory.
    2. Wait until the file lists the network.

    Expected:
    * They have.
    * Its entry has what Multus reports: the device, from 1.8 on the MAC address, from 1.9 on the MTU.
    """
    assert not network_info.missing_mounts(), f"not mounted in {', '.join(network_info.missing_mounts())}"
    deadline = network_info.machine.run.timeouts.network_info.start()
    network_info.wait_told(deadline)
    measure(
        Measurement("network-info", deadline.elapsed(), "s", "from when it was first looked at until it was complete")
    )


@pytest.mark.xdist_group("secondary")
@pytest.mark.requirement("POD-006")
@pytest.mark.where("mig")
def test_target_pod_is_told_of_the_network(moved_network_info: NetworkInfo) -> None:
    """In the pod that a VM has migrated to the sidecar finds the same.

    Preconditions:
    * A VM with an interface of the binding on a secondary network, which has migrated.

    Steps:
    1. See whether compute and every sidecar of its pod have the directory, and wait until the file lists the network.

    Expected:
    * They have, and it does, with what Multus reports in this pod.
    """
    assert not moved_network_info.missing_mounts(), f"not mounted in {', '.join(moved_network_info.missing_mounts())}"
    moved_network_info.wait_told(moved_network_info.machine.run.timeouts.network_info.start())
