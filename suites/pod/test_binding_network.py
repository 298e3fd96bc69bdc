from __future__ import annotations

import pytest

from conformance.kube.networks import requested_networks
from fixtures.machines import Machine


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("POD-001")
def test_pod_asks_for_the_bindings_network(machine: Machine) -> None:
    """The launcher pod asks for the binding's NetworkAttachmentDefinition once for every interface that uses it.

    Preconditions:
    * A running VM with the binding.

    Steps:
    1. Read the annotation k8s.v1.cni.cncf.io/networks of its launcher pod.

    Expected:
    * It names the binding's NetworkAttachmentDefinition for every interface of the VM.
    * Each time cni-args.logicNetworkName is the name of the interface's network.
    """
    nad = machine.run.binding.nad
    assert nad is not None
    named = [element for element in requested_networks(machine.pod()) if element["name"] == nad.name]
    found = [element.get("cni-args", {}).get("logicNetworkName") for element in named]
    assert found == [nic.name for nic in machine.spec.nics], f"{nad} is asked for with networks {found}"
