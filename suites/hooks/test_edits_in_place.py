from __future__ import annotations

import pytest

from conformance.kube.domain import attribute, domain_interfaces
from conformance.kube.manifest import Ref
from fixtures.machines import Machine
from fixtures.secondary import tap_names


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("HOOK-012")
def test_sidecar_edits_what_is_there(machine: Machine) -> None:
    """Beside a domainAttachmentType the sidecar edits KubeVirt's interface and keeps its target, MTU and MAC address.

    Preconditions:
    * A running VM, and leave to run virsh in its launcher pod.

    Steps:
    1. Read the domain's interfaces.

    Expected:
    * There is one for every interface of the VM, on the tap that KubeVirt gave it.
    * It has the MAC address of the spec, and an MTU.
    """
    nics = domain_interfaces(machine.run.cluster, Ref.of(machine.pod()))
    assert len(nics) == len(machine.spec.nics), f"the domain has {len(nics)} interfaces"
    assert attribute(nics[0], "target", "dev") in tap_names(machine.nic_spec)
    assert attribute(nics[0], "mac", "address") == machine.nic_spec.mac
    assert attribute(nics[0], "mtu", "size"), "the interface has lost its MTU"
