from __future__ import annotations

import pytest

from conformance.kube.networks import requested_networks
from fixtures.machines import Start
from fixtures.secondary import SECONDARY, hashed_interface


@pytest.mark.xdist_group("secondary")
@pytest.mark.requirement("POD-002")
def test_bindings_network_follows_the_interfaces_own(twin: Start) -> None:
    """The binding's network comes right after the one of its interface, which has the hashed name.

    Preconditions:
    * A running VM with an interface of the binding on a secondary network.

    Steps:
    1. Read the annotation k8s.v1.cni.cncf.io/networks of its launcher pod.

    Expected:
    * The secondary network's element asks for pod and 11 digits of the SHA-256 of the network's name.
    * The binding's element for that network is the next one.
    """
    asked = requested_networks(twin.started().pod())
    interfaces = [element.get("interface") for element in asked]
    assert hashed_interface(SECONDARY) in interfaces, f"the pod asks for interfaces {interfaces}"
    following = asked[interfaces.index(hashed_interface(SECONDARY)) + 1 :][:1]
    assert [element.get("cni-args") for element in following] == [{"logicNetworkName": SECONDARY}]
