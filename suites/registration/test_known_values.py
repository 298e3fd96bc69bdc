from __future__ import annotations

import pytest

from conformance.kube.registration import Registration
from conformance.model import registration_problems
from conformance.plugin.run import Run


@pytest.mark.requirement("REG-007")
def test_registration_has_only_known_values(run: Run) -> None:
    """The registration has only values that KubeVirt knows: it checks none of them itself.

    Preconditions:
    * The binding is registered.

    Steps:
    1. Read the registration from the KubeVirt resource.

    Expected:
    * It is what the definition says.
    * domainAttachmentType, migration.method, downwardAPI and the references in it mean something to KubeVirt.
    """
    wanted = run.binding.registration
    assert wanted is not None
    registered = Registration(run.cluster, run.binding.name).current()
    assert registered == wanted.to_dict()
    problems = registration_problems(wanted)
    assert not problems, "; ".join(map(str, problems))
