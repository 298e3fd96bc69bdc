from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from conformance.kube.networks import attached_networks
from fixtures.cniversions import VERSIONS, Attached
from fixtures.secondary import SECONDARY, hashed_interface

NUMBERED = re.compile(r"net\d+")


@pytest.mark.xdist_group("cni")
@pytest.mark.requirement("CNI-001")
def test_no_interface_is_numbered(attached: Mapping[str, Attached]) -> None:
    """The plugin reports no interface net<n>, by which KubeVirt would take the pod's others for numbered ones too.

    Preconditions:
    * A VM with the binding, and with a second interface of KubeVirt's own on the secondary network where there is one.

    Steps:
    1. Read the annotation k8s.v1.cni.cncf.io/network-status of its pod.
    2. Read the entry of the second interface in the VM's status.

    Expected:
    * No network has an interface called net and a number.
    * The second interface is known from Multus, under its hashed name.
    """
    vm = attached[VERSIONS[-1]].connected()
    reported = [network.interface for network in attached_networks(vm.pod)]
    assert not [name for name in reported if NUMBERED.fullmatch(name)], f"the pod's networks have {reported}"
    if vm.companion:
        entry, wanted = vm.view.interface(SECONDARY), hashed_interface(SECONDARY)
        assert entry is not None
        assert wanted in reported, f"the pod's networks have {reported}"
        assert entry.pod_interface == wanted, f"podInterfaceName is {entry.pod_interface or '(none)'}, not {wanted}"
        assert "multus-status" in entry.info_source, f"infoSource is {', '.join(entry.info_source)}"
