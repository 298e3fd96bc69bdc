from __future__ import annotations

import pytest

from fixtures.hookdomain import changes, parsed
from fixtures.sidecars import Definition, SidecarPod


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("HOOK-005")
def test_hook_keeps_to_its_own_interface(asked_sidecar: SidecarPod, definition: Definition) -> None:
    """The returned domain differs from the given one in nothing but the binding's interface and what it needs.

    Preconditions:
    * The sidecar's container, as KubeVirt starts it, in a pod of its own, and a running VM.

    Steps:
    1. Call OnDefineDomain with a domain that also has another interface, disks and metadata.

    Expected:
    * All of that is in the answer unchanged, whatever its order; only the interface, shared memory and arguments for
      QEMU are new.
    """
    answer = parsed(asked_sidecar.define_domain(definition.domain, definition.vmi))
    found = changes(parsed(definition.domain), answer, definition.own)
    assert not found, "; ".join(found)
