"""How much memory compute requests is KubeVirt's part; the check of it fails where KubeVirt counts otherwise."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fixtures.memoryrequests import MemoryRequests
from suites.pod.test_memory_overhead import test_overhead_is_counted_once as check

MIB = 1 << 20


def requests(once: int, twice: int) -> MemoryRequests:
    """VMs that request 400 MiB without the binding, whose overhead is 100 MiB."""
    sizes = {1: Decimal(once * MIB), 2: Decimal(twice * MIB)}
    return MemoryRequests(dict.fromkeys((1, 2), Decimal(400 * MIB)), sizes, Decimal(100 * MIB))


def test_overhead_that_is_counted_once() -> None:
    check(requests(500, 500))


@pytest.mark.parametrize(("once", "twice"), [(400, 400), (500, 600), (500, 400), (600, 600)])
def test_overhead_that_is_forgotten_or_counted_for_each_interface(once: int, twice: int) -> None:
    with pytest.raises(AssertionError, match="bytes more"):
        check(requests(once, twice))
