"""KubeVirt's admission of the sandbox with single facts of the release changed, for checks that have to notice it."""

from __future__ import annotations

import json
import os

from conformance.sandbox.apiserver.admission import AdmissionRequest
from conformance.sandbox.apiserver.errors import KubeObject
from conformance.sandbox.kubevirt import admission

VARIABLE = "ALTERED_FACTS"
"""A JSON object of facts, by the names that the table has."""

_changed = {**admission._FACTS.model_dump(), **json.loads(os.environ.get(VARIABLE, "{}"))}
vars(admission)["_FACTS"] = type(admission._FACTS).model_validate(_changed)


def review(request: AdmissionRequest) -> KubeObject | None:
    """What the sandbox's own function says, by those facts."""
    return admission.admit(request)
