from __future__ import annotations

import pytest

from fixtures.hookdomain import as_read_back, nics, parsed, qemu_arguments, without_mac
from fixtures.sidecars import Definition, SidecarPod


@pytest.mark.xdist_group("guest")
@pytest.mark.parametrize("mac", ["spec-mac", "no-mac"])
@pytest.mark.requirement("HOOK-004")
def test_second_call_changes_nothing(asked_sidecar: SidecarPod, definition: Definition, mac: str) -> None:
    """OnDefineDomain, applied to its own output, leaves one interface with the same MAC and PCI address.

    Preconditions:
    * The sidecar's container, as KubeVirt starts it, in a pod of its own, and a running VM.

    Steps:
    1. Call OnDefineDomain with a domain as KubeVirt makes it.
    2. Call it with its answer, and with its answer as KubeVirt reads it back through its own schema.

    Expected:
    * Interfaces, their MAC and PCI addresses and the arguments for QEMU are those of the first answer.
    """
    vmi = definition.vmi if mac == "spec-mac" else without_mac(definition.vmi)
    once = asked_sidecar.define_domain(definition.domain, vmi)
    first = parsed(once)
    for again in (once, as_read_back(once)):
        second = parsed(asked_sidecar.define_domain(again, vmi))
        assert nics(second) == nics(first), "the second call changes the interfaces"
        assert qemu_arguments(second) == qemu_arguments(first), "the second call changes the arguments for QEMU"
