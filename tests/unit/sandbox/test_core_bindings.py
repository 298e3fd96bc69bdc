"""KubeVirt's own bindings in the control plane: whether they are admitted, migratable, and what a VMI's status says."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.sandbox.apiserver.admission import AdmissionDenied, AdmissionRequest, User
from conformance.sandbox.kubevirt import admission, spec
from conformance.sandbox.kubevirt.facts import facts_for
from conformance.sandbox.kubevirt.vmistatus import interface_status
from conformance.sandbox.launcher.links import DomainInterface
from conformance.sandbox.launcher.podinterfaces import PodInterface, PodInterfaces


def vmi(method: str, **metadata: object) -> dict[str, Any]:
    devices = {"interfaces": [{"name": "default", method: {}}]}
    body = {"domain": {"devices": devices}, "networks": [{"name": "default", "pod": {}}]}
    return {"metadata": {"name": "x", **metadata}, "spec": body}


def request(document: dict[str, Any], **developer: list[str]) -> AdmissionRequest:
    """The creation of a VMI where the KubeVirt CR has this developerConfiguration."""
    kubevirt = {"spec": {"configuration": {"developerConfiguration": developer}}}
    return AdmissionRequest(
        operation="CREATE",
        group="kubevirt.io",
        version="v1",
        resource="virtualmachineinstances",
        subresource="",
        namespace="default",
        name="x",
        object=document,
        old_object=None,
        dry_run=True,
        user=User("admin"),
        lookup=lambda *_: kubevirt,
    )


@pytest.mark.parametrize(
    ("version", "developer"),
    [("v1.8", {}), ("v1.8", {"featureGates": ["Other"]}), ("v1.9", {"disabledFeatureGates": ["PasstBinding"]})],
)
def test_core_passt_is_refused_while_its_gate_is_off(
    monkeypatch: pytest.MonkeyPatch, version: str, developer: dict[str, list[str]]
) -> None:
    monkeypatch.setattr(admission, "_FACTS", facts_for(version))
    with pytest.raises(AdmissionDenied, match="PasstBinding feature gate is not enabled"):
        admission.admit(request(vmi("passtBinding"), **developer))


@pytest.mark.parametrize(("version", "gates"), [("v1.8", ["PasstBinding"]), ("v1.9", [])])
def test_core_passt_is_admitted_while_its_gate_is_on(
    monkeypatch: pytest.MonkeyPatch, version: str, gates: list[str]
) -> None:
    monkeypatch.setattr(admission, "_FACTS", facts_for(version))
    admitted = admission.admit(request(vmi("passtBinding"), featureGates=gates))
    assert admitted is not None
    assert "passtBinding" in spec.interfaces(admitted)[0]


def test_which_core_bindings_migrate() -> None:
    assert [spec.is_migratable(vmi(m), {}) for m in ("masquerade", "passtBinding", "bridge")] == [True, True, False]
    assert spec.is_migratable(vmi("bridge", annotations={spec.BRIDGE_MIGRATION: ""}), {})


@pytest.mark.parametrize(
    ("method", "version", "addresses"),
    [
        ("bridge", "v1.8", ["10.244.1.5", "fd00::5"]),
        ("bridge", "v1.9", ["10.244.1.5"]),
        ("masquerade", "v1.9", ["10.244.1.5", "fd00::5"]),
    ],
)
def test_a_bridges_status_has_no_address_that_its_guest_is_not_told(
    method: str, version: str, addresses: list[str]
) -> None:
    record = PodInterface("default", "eth0", "bridge", True, addresses=("10.244.1.5", "fd00::5"))
    domain = [DomainInterface("ua-default", "02:00:00:00:00:01", "tap0", "up", "virtio", 1)]
    (entry,) = interface_status(
        vmi(method), domain, PodInterfaces({"default": record}), facts_for(version), frozenset()
    )
    assert entry["ipAddresses"] == addresses
