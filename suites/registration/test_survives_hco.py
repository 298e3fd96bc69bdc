"""Registrations on a cluster whose KubeVirt CR belongs to the HyperConverged Cluster Operator."""

from __future__ import annotations

import pytest

from conformance.kube.registration import Registration
from conformance.plugin.run import Run
from fixtures.reconciliation import hco_reconciles


@pytest.mark.requirement("REG-016")
def test_registration_survives_reconciliation(run: Run) -> None:
    """The operator keeps what was registered through it.

    Preconditions:
    * The HyperConverged Cluster Operator owns the KubeVirt CR; the binding is registered in the HyperConverged.

    Steps:
    1. Make the operator write the KubeVirt CR again, by registering another name.

    Expected:
    * KubeVirt still finds the binding as the definition registers it, before, during and after.
    """
    assert run.binding.registration is not None
    registered = run.binding.registration.to_dict()
    registration = Registration(run.registrar, run.binding.name)
    assert registration.current() == registered
    with hco_reconciles(run, registered):
        assert registration.current() == registered
    assert registration.current() == registered
