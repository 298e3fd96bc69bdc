from __future__ import annotations

import pytest

from conformance.hooks.messages import SHUTDOWN
from fixtures.sidecars import GRACE_SECONDS, SidecarPod


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("HOOK-002")
def test_sidecar_ends_when_told(ended_sidecar: SidecarPod) -> None:
    """The sidecar subscribes to Shutdown, which v1alpha3 has, and exits with status 0 when it is called.

    Preconditions:
    * The sidecar's container, as KubeVirt starts it, in a pod of its own.

    Steps:
    1. Ask for its subscriptions.
    2. Call Shutdown.

    Expected:
    * Shutdown is among them, in v1alpha3.
    * The process ends with status 0.
    """
    info, _ = ended_sidecar.info()
    assert SHUTDOWN in [point.name for point in info.hook_points], f"it subscribes to {info.hook_points}"
    assert "v1alpha3" in info.versions, f"Shutdown came with v1alpha3; the sidecar speaks {info.versions}"
    ended_sidecar.connect().shutdown()
    status = ended_sidecar.wait_exit(GRACE_SECONDS)
    assert status == 0, "the sidecar goes on running" if status is None else f"it exits with status {status}"
