from __future__ import annotations

import pytest

from conformance.kube.domain import attribute, domain_interfaces
from conformance.kube.manifest import Ref
from fixtures.machines import Machine


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("HOOK-006")
def test_alias_is_the_name_of_the_network(machine: Machine) -> None:
    """The interface's alias in the domain is ua- and the network's name.

    Preconditions:
    * A running VM, and leave to run virsh in its launcher pod.

    Steps:
    1. Read the aliases of the domain's interfaces.

    Expected:
    * There is one for every interface of the VM, called like its network.
    """
    found = [attribute(nic, "alias", "name") for nic in domain_interfaces(machine.run.cluster, Ref.of(machine.pod()))]
    wanted = {f"ua-{nic.name}" for nic in machine.spec.nics}
    assert wanted <= set(found), f"the domain has {found}"
