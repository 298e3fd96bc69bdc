from __future__ import annotations

import pytest

from conformance.hooks.messages import SUPPORTED_VERSIONS
from fixtures.sidecars import SidecarPod


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("UPG-004")
def test_sidecar_serves_in_either_layout(asked_sidecar: SidecarPod, relaid_sidecar: SidecarPod) -> None:
    """The sidecar serves whether all sidecars share their directory for sockets, as up to KubeVirt 1.5, or not.

    Preconditions:
    * The sidecar's container in two pods: as this KubeVirt starts it, and with the other layout of the directory.

    Steps:
    1. In each, connect to the socket where KubeVirt looks for it, and call Info.

    Expected:
    * Both answer, with the same hook points and a version that KubeVirt speaks.
    """
    info, _ = asked_sidecar.info()
    relaid, _ = relaid_sidecar.info()
    assert set(relaid.versions) & set(SUPPORTED_VERSIONS), f"in the other layout the sidecar speaks {relaid.versions}"
    assert sorted(relaid.hook_points, key=str) == sorted(info.hook_points, key=str)
