from __future__ import annotations

import pytest

from conformance.hooks.messages import SUPPORTED_VERSIONS
from fixtures.hookdomain import nics, parsed
from fixtures.sidecars import Definition, SidecarPod


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("UPG-003")
def test_every_offered_version_is_served(asked_sidecar: SidecarPod, definition: Definition) -> None:
    """Each version of the hook API that the sidecar offers is one in which it does its work, whichever KubeVirt asks.

    Preconditions:
    * The sidecar's container, as KubeVirt starts it, in a pod of its own, and a running VM.

    Steps:
    1. Call Info.
    2. Call OnDefineDomain in each of the versions v1alpha1 to v1alpha3 that Info offers.

    Expected:
    * There is at least one, and the answers have the same interfaces.
    """
    info, _ = asked_sidecar.info()
    offered = [version for version in SUPPORTED_VERSIONS if version in info.versions]
    assert offered, f"the sidecar speaks {info.versions}"
    answers = {
        version: nics(parsed(asked_sidecar.define_domain(definition.domain, definition.vmi, version)))
        for version in offered
    }
    assert all(answer == answers[offered[0]] for answer in answers.values()), answers
