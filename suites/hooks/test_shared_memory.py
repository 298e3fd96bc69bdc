from __future__ import annotations

import pytest

from fixtures.hookdomain import memory_parts, parsed, reads_memory, shares_memory, with_memory_backing
from fixtures.sidecars import Definition, SidecarPod

KINDS = {
    "huge-pages": '<hugepages><page size="2" unit="M"></page></hugepages>',
    "shared-memfd": '<source type="memfd"></source><access mode="shared"></access>',
}


@pytest.mark.xdist_group("guest")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.requirement("HOOK-011")
def test_memory_of_its_own_kind_is_shared(asked_sidecar: SidecarPod, definition: Definition, kind: str) -> None:
    """A VM whose memory is of a kind of its own keeps that, and a backend that works in it can reach it.

    Preconditions:
    * The sidecar's container, as KubeVirt starts it, in a pod of its own, and a running VM.

    Steps:
    1. Call OnDefineDomain with a domain that has memoryBacking: huge pages, and shared memory as with virtiofs.

    Expected:
    * What memoryBacking said before is in the answer; with a vhost-user interface there, the memory is shared.
    """
    given = with_memory_backing(definition.domain, KINDS[kind])
    answer = parsed(asked_sidecar.define_domain(given, definition.vmi))
    kept = memory_parts(answer)
    assert set(memory_parts(parsed(given))) <= set(kept), f"memoryBacking has {kept}"
    assert shares_memory(answer) or not reads_memory(answer), f"the guest's memory is private to QEMU: {kept}"
