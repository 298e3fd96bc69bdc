from __future__ import annotations

import pytest

from conformance.model import Measurement
from fixtures.measure import Measure
from fixtures.sidecars import GRACE_SECONDS, SidecarPod


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("HOOK-003")
def test_sidecar_ends_on_sigterm(ended_sidecar: SidecarPod, measure: Measure) -> None:
    """The sidecar exits on SIGTERM within the grace period.

    Preconditions:
    * The sidecar's container, as KubeVirt starts it, in a pod of its own, serving its socket.

    Steps:
    1. Delete the pod with a grace period of 10 s.

    Expected:
    * The pod is gone before that is over: nothing had to be killed.
    """
    ended_sidecar.info()
    seconds = ended_sidecar.delete()
    measure(Measurement("end on SIGTERM", seconds, "s", "from the deletion of the pod to its end"))
    assert seconds < GRACE_SECONDS, f"the pod needed {seconds:.1f} s of {GRACE_SECONDS} s: the sidecar was killed"
