from __future__ import annotations

import pytest

from conformance.plugin.run import Run
from fixtures.candidates import bound_by
from fixtures.machines import NETWORK
from fixtures.refusals import assert_refused, expected, refusal_of


@pytest.mark.parametrize("method", ["masquerade", "bridge"])
@pytest.mark.requirement("REG-004")
def test_binding_beside_a_core_method_is_refused(run: Run, namespace: str, method: str) -> None:
    """An interface with the binding and a core binding method is refused, with the words of the release.

    Preconditions:
    * The binding is registered.

    Steps:
    1. Create a VMI, as a dry run, whose interface names the binding and has a core method too.

    Expected:
    * It is refused as invalid, with the message of the KubeVirt release at hand.
    """
    refusal = refusal_of(run.cluster, bound_by(run, namespace, "binding", method))
    assert_refused(refusal, expected("two methods", run.versions.kubevirt, NETWORK))
