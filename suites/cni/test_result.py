from __future__ import annotations

from collections.abc import Mapping

import pytest

from conformance.evidence.recorder import Evidence
from conformance.kube.outcome import Inconclusive
from fixtures.cniversions import VERSIONS, Attached


@pytest.mark.xdist_group("cni")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.requirement("CNI-002")
def test_result_is_of_the_version_asked_for(attached: Mapping[str, Attached], version: str, evidence: Evidence) -> None:
    """The plugin's standard output is a CNI result of the version asked for, and nothing else.

    Preconditions:
    * Access to the nodes.
    * Copies of the binding's NetworkAttachmentDefinition that ask for CNI 0.3.1 and 1.0.0.

    Steps:
    1. Create a VM for each copy, and wait until its pod has its networks.
    2. Read the result that its node keeps of the binding's network.

    Expected:
    * The pod gets its networks: the runtime could read the output as one JSON document.
    * The result is of the version asked for.
    """
    vm = attached[version]
    evidence.note("complaints.txt", "\n".join(vm.complaints))
    vm.connected()
    if isinstance(vm.record, Inconclusive):
        raise vm.record
    assert vm.record.version == version, f"asked for {version}, the plugin answered in {vm.record.version or '(none)'}"
