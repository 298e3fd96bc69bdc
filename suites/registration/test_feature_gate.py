from __future__ import annotations

import pytest

from conformance.kube.registry import find_kubevirt, gate_enabled
from conformance.plugin.run import Run
from fixtures.candidates import bound_by
from fixtures.refusals import assert_refused, expected, refusal_of

GATE = "NetworkBindingPlugins"


@pytest.mark.requirement("REG-006")
def test_feature_gate_decides_where_it_has_to(run: Run, namespace: str) -> None:
    """The binding is refused where its gate is off, and from KubeVirt 1.5 on the gate decides nothing.

    Whether the gate is listed is the cluster's: it is looked at and never changed.

    Preconditions:
    * The binding is registered.

    Steps:
    1. Read whether the KubeVirt resource lists the gate NetworkBindingPlugins.
    2. Create a VMI, as a dry run, whose interface names the binding.

    Expected:
    * KubeVirt 1.1 to 1.4: it is refused while the gate is not listed, and admitted while it is.
    * From 1.5 on: it is admitted, whether the gate is listed or not.
    """
    needed = expected("gate off", run.versions.kubevirt)
    refusal = refusal_of(run.cluster, bound_by(run, namespace, "binding"))
    if needed and not gate_enabled(find_kubevirt(run.cluster), GATE):
        assert_refused(refusal, needed)
    else:
        assert refusal is None, f"it was refused: {refusal}"
