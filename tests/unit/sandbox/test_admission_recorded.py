"""The sandbox's admission against 93 answers recorded from a real KubeVirt v1.9.0."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conformance.sandbox.apiserver.admission import AdmissionDenied, AdmissionRequest, User
from conformance.sandbox.kubevirt.admission import admit

RECORDED = Path(__file__).parents[2] / "data" / "recordings" / "admission-v1.9.0.json"
PLURALS = {
    "VirtualMachine": "virtualmachines",
    "VirtualMachineInstance": "virtualmachineinstances",
    "VirtualMachineInstanceMigration": "virtualmachineinstancemigrations",
}
# Decided by parts of KubeVirt that have nothing to do with a binding, or by the API server's schema.
OUT_OF_SCOPE = {
    "unknown field in binding (fieldValidation Strict)": "the API server's strict decoding",
    "bootOrder 0": "boot order of devices",
}


def cases() -> list[dict[str, Any]]:
    recorded = json.loads(RECORDED.read_text())["cases"]
    return [case for case in recorded if case["kind"] in PLURALS and case["case"] not in OUT_OF_SCOPE]


def manifest(case: dict[str, Any]) -> dict[str, Any]:
    patch = case["manifest patch"].get("spec", {})
    if case["kind"] == "VirtualMachineInstanceMigration":
        spec: dict[str, Any] = patch
    else:
        devices = {key: value for key, value in patch.items() if key != "networks"}
        spec = {"domain": {"devices": devices}, "networks": patch.get("networks", [])}
    if case["kind"] == "VirtualMachine":
        spec = {"runStrategy": "Halted", "template": {"spec": spec}}
    return {"apiVersion": "kubevirt.io/v1", "kind": case["kind"], "metadata": {"name": "x"}, "spec": spec}


def review(case: dict[str, Any]) -> AdmissionRequest:
    return AdmissionRequest(
        operation="CREATE",
        group="kubevirt.io",
        version="v1",
        resource=PLURALS[case["kind"]],
        subresource="",
        namespace="default",
        name="x",
        object=manifest(case),
        old_object=None,
        dry_run=True,
        user=User("admin"),
        lookup=lambda *_: None,
    )


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["case"])
def test_answer_is_the_recorded_one(case: dict[str, Any]) -> None:
    """Accepted where KubeVirt accepts; refused with its code, message and causes."""
    if case["accepted"]:
        admitted = admit(review(case))
        assert admitted is not None
        wanted = {key: value for key, value in (case.get("defaulted") or {}).items() if value is not None}
        spec = admitted["spec"]
        seen = {
            "interfaces": spec.get("domain", {}).get("devices", {}).get("interfaces"),
            "networks": spec.get("networks"),
        }
        assert wanted == {key: seen[key] for key in wanted}
        return
    with pytest.raises(AdmissionDenied) as denied:
        admit(review(case))
    assert (denied.value.code, denied.value.message) == (case["code"], case["message"])
    recorded = [(c["reason"], c["message"], c["field"]) for c in case.get("causes") or []]
    assert [tuple(cause) for cause in denied.value.causes] == recorded


def test_a_gate_that_is_no_longer_needed_is_warned_of_in_the_recorded_words() -> None:
    recorded = json.loads(RECORDED.read_text())["cases"]
    case = next(c for c in recorded if c["case"] == "feature gate NetworkBindingPlugins listed")
    spec = {"configuration": {"developerConfiguration": {"featureGates": ["NetworkBindingPlugins"]}}}
    request = replace(
        review(cases()[0]), resource="kubevirts", operation="UPDATE", object={"metadata": {}, "spec": spec}
    )
    admit(request)
    assert request.warnings[0].replace('"', '\\"') in case["warning"]


def test_every_case_is_replayed_or_explained() -> None:
    """The list of exceptions names only recorded cases, and stays short."""
    names = {case["case"] for case in json.loads(RECORDED.read_text())["cases"]}
    assert set(OUT_OF_SCOPE) <= names
    assert len(cases()) == 61
