from __future__ import annotations

import pytest

from fixtures.memoryrequests import MemoryRequests


@pytest.mark.requirement("POD-004")
def test_overhead_is_counted_once(memory_requests: MemoryRequests) -> None:
    """The compute container requests the memory of the same VM without the binding, and the declared overhead once.

    Preconditions:
    * The binding is registered with computeResourceOverhead.

    Steps:
    1. Create a VM with one interface and one with two, with the binding and without it, and read what compute requests
       in their launcher pods.

    Expected:
    * With the binding it is more by the overhead, whether the VM has one interface or two.
    """
    more = {count: memory_requests.with_binding[count] - memory_requests.without[count] for count in (1, 2)}
    assert more == {1: memory_requests.overhead, 2: memory_requests.overhead}, f"bytes more, by interfaces: {more}"
