from __future__ import annotations

import pytest

from conformance.kube.networks import requested_networks
from conformance.plugin.run import Run
from fixtures.latecomers import Latecomer
from fixtures.machines import Machine


@pytest.mark.requirement("REG-010")
def test_definition_by_name_alone_is_the_one_of_the_vmis_namespace(latecomer: Latecomer) -> None:
    """A NetworkAttachmentDefinition registered by its name alone is looked up in the VMI's namespace.

    Preconditions:
    * The binding is registered under a second name, with a NetworkAttachmentDefinition without a namespace.

    Steps:
    1. Create a VMI whose interface has that name, and the NetworkAttachmentDefinition in the VMI's namespace only.

    Expected:
    * The launcher pod asks for it in that namespace, and gets its networks.
    """
    asked = [element["namespace"] for element in latecomer.requested]
    assert asked == [latecomer.nad.namespace], f"the pod asks for {latecomer.nad.name} in namespaces {asked}"
    latecomer.connected.measured("recovery", "from the creation of the definition to Scheduled")


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("REG-010")
def test_definition_with_its_namespace_is_found_from_every_other(run: Run, machine: Machine) -> None:
    """A NetworkAttachmentDefinition registered with its namespace is found from other namespaces.

    Preconditions:
    * A running VM with the binding, in a namespace of the run's own. Where the binding itself is registered by name
      alone, only the namespace that follows from it is looked at.

    Steps:
    1. Read the annotation k8s.v1.cni.cncf.io/networks of its launcher pod.

    Expected:
    * It names the binding's NetworkAttachmentDefinition in the namespace of the registration.
    """
    nad = run.binding.nad
    assert nad is not None
    found = {e["namespace"] for e in requested_networks(machine.pod()) if e["name"] == nad.name}
    assert found == {nad.namespace or run.workspace}
