from __future__ import annotations

import pytest

from conformance.hooks.messages import SUPPORTED_VERSIONS
from conformance.hooks.sidecar import INFO_SECONDS
from conformance.model import Measurement
from fixtures.measure import Measure
from fixtures.sidecars import SidecarPod


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("HOOK-001")
def test_info_is_answered_at_once(asked_sidecar: SidecarPod, measure: Measure) -> None:
    """Info is answered within 1 s of the first accepted connection, with a version that KubeVirt speaks.

    Preconditions:
    * The sidecar's container, as KubeVirt starts it, in a pod of its own.

    Steps:
    1. Connect to its socket as soon as it takes connections, and call Info.

    Expected:
    * The answer is there within 1 s and has a version of v1alpha1 to v1alpha3.
    """
    info, seconds = asked_sidecar.info()
    measure(Measurement("Info", seconds, "s", "from the accepted connection to the answer, over an exec stream"))
    assert set(info.versions) & set(SUPPORTED_VERSIONS), f"the sidecar speaks {info.versions}"
    assert seconds < INFO_SECONDS, f"KubeVirt gives up after 1 s; Info took {seconds:.2f} s"
