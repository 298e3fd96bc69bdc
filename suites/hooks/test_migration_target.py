from __future__ import annotations

import pytest

from fixtures.hookdomain import parsed
from fixtures.sidecars import Definition, SidecarPod


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("HOOK-013")
def test_hook_succeeds_on_a_migration_target(asked_sidecar: SidecarPod, definition: Definition) -> None:
    """OnDefineDomain succeeds on a migration target, where its output is not used.

    Preconditions:
    * The sidecar's container, as KubeVirt starts it, in a pod of its own, and a running VM.

    Steps:
    1. Call OnDefineDomain with the VM as a target's launcher gets it: on its way from one node to another.

    Expected:
    * It answers with a domain.
    """
    node = definition.vmi["status"]["nodeName"]
    state = {"migrationUid": "5c0a7f4e-0000-4000-8000-000000000001", "sourceNode": node, "targetNode": "another-node"}
    vmi = {**definition.vmi, "status": {**definition.vmi["status"], "migrationState": state}}
    parsed(asked_sidecar.define_domain(definition.domain, vmi))
