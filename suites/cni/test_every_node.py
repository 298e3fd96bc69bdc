from __future__ import annotations

import pytest

from fixtures.machines import Start


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CNI-007")
def test_vm_starts_on_every_node(starts_by_node: dict[str, Start]) -> None:
    """The plugin's executable is on every node that runs VMs.

    Steps:
    1. Start a VM on each of them.

    Expected:
    * Each becomes Running and Ready.
    """
    failed = {node: start.failure for node, start in starts_by_node.items() if start.failure is not None}
    assert not failed, "; ".join(f"no VM starts on {node}: {failure}" for node, failure in failed.items())
