from __future__ import annotations

import pytest

from conformance.plugin.run import Run
from fixtures.candidates import bound_by
from fixtures.refusals import assert_refused, expected, refusal_of
from fixtures.strangers import absent_network


@pytest.mark.parametrize("method", ["slirp", "macvtap", "passt"])
@pytest.mark.requirement("REG-014")
def test_discontinued_core_method_is_refused(run: Run, namespace: str, method: str) -> None:
    """The core binding methods that have left KubeVirt are refused.

    Preconditions:
    * KubeVirt 1.3 or later.

    Steps:
    1. Create a VMI, as a dry run, whose interface has the method, on the kind of network that it was for: Multus for
       macvtap, the pod network for the others.

    Expected:
    * It is refused as invalid, with the message of the KubeVirt release at hand.
    """
    network = absent_network(run) if method == "macvtap" else ""
    refusal = refusal_of(run.cluster, bound_by(run, namespace, method, network=network))
    assert_refused(refusal, expected(method, run.versions.kubevirt))
