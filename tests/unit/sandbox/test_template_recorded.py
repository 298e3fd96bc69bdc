"""The launcher pod the sandbox renders, against pods recorded from a real KubeVirt v1.9.0."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from conformance.sandbox.kubevirt import spec
from conformance.sandbox.kubevirt.facts import facts_for
from conformance.sandbox.kubevirt.template import RenderError, TemplateService

RECORDINGS = Path(__file__).parents[2] / "data" / "recordings"


class Recording:
    """One recorded scenario: its VMI, its launcher pods and the registrations of its cluster."""

    def __init__(self, name: str) -> None:
        events = json.loads((RECORDINGS / f"{name}.json").read_text())["events"]
        added = [(event["kind"], event["object"]) for event in events if event["type"] == "ADDED"]
        self.vmi = next(obj for kind, obj in added if kind == "VirtualMachineInstance")
        self.pods = [obj for kind, obj in added if kind == "Pod"]
        self.migrations = [obj for kind, obj in added if kind == "VirtualMachineInstanceMigration"]
        self.registered = spec.registrations(next(obj for kind, obj in added if kind == "KubeVirt"))


@pytest.fixture(params=["passt-migrate", "two-nics-passt", "devinfo"])
def recording(request: pytest.FixtureRequest) -> Recording:
    return Recording(request.param)


async def any_nad(namespace: str, name: str) -> dict[str, Any] | None:
    return {"metadata": {"namespace": namespace, "name": name}}


async def no_nad(namespace: str, name: str) -> dict[str, Any] | None:
    return None


def service(lookup: Any = any_nad) -> TemplateService:
    return TemplateService(facts_for("v1.9"), "registry.local/kubevirt/virt-launcher:v1.9.0", lookup)


def container(pod: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in pod["spec"]["containers"] if c["name"] == name)
    return found


def test_networks_annotation_is_the_recorded_one(recording: Recording) -> None:
    pod = asyncio.run(service().render(recording.vmi, recording.registered))
    networks = pod["metadata"]["annotations"].get("k8s.v1.cni.cncf.io/networks")
    assert networks == recording.pods[0]["metadata"]["annotations"].get("k8s.v1.cni.cncf.io/networks")


def test_sidecar_container_is_the_recorded_one(recording: Recording) -> None:
    pod = asyncio.run(service().render(recording.vmi, recording.registered))
    recorded = container(recording.pods[0], "hook-sidecar-0")
    rendered = container(pod, "hook-sidecar-0")
    rendered["volumeMounts"] = [m for m in rendered["volumeMounts"] if m["name"] == "hook-sidecar-sockets"]
    recorded["volumeMounts"] = [m for m in recorded["volumeMounts"] if m["name"] == "hook-sidecar-sockets"]
    assert rendered == {key: recorded[key] for key in rendered}


def test_compute_resources_and_rights_are_the_recorded_ones(recording: Recording) -> None:
    pod = asyncio.run(service().render(recording.vmi, recording.registered))
    recorded, rendered = container(recording.pods[0], "compute"), container(pod, "compute")
    for part in ("resources", "securityContext", "env"):
        assert rendered[part] == recorded[part], part
    assert rendered.get("ports") == recorded.get("ports")
    assert pod["spec"]["securityContext"] == recording.pods[0]["spec"]["securityContext"]
    hooks = rendered["command"].index("--hook-sidecars")
    recorded_hooks = recorded["command"].index("--hook-sidecars")
    assert rendered["command"][hooks + 1] == recorded["command"][recorded_hooks + 1]


def test_target_pod_stays_away_from_its_source() -> None:
    recording = Recording("passt-migrate")
    vmi = {**recording.vmi, "status": {"nodeName": "n2"}}
    recorded = recording.pods[1]
    disk = next(c["image"] for c in recorded["spec"]["containers"] if c["name"] == "volumed")
    source = {"status": {"containerStatuses": [{"name": "volumed", "imageID": disk}]}}
    pod = asyncio.run(
        service().render_target(vmi, recording.registered, recording.migrations[0], source, keep_names=False)
    )
    assert [c["image"] for c in pod["spec"]["containers"] if c["name"] == "volumed"] == [disk]
    assert [c["image"] for c in pod["spec"]["initContainers"] if c["name"] == "volumed-init"] == [disk]
    assert pod["spec"]["affinity"]["podAntiAffinity"] == recorded["spec"]["affinity"]["podAntiAffinity"]
    for name in ("kubevirt.io/migrationJobUID", "kubevirt.io/nodeName"):
        assert pod["metadata"]["labels"][name] == recorded["metadata"]["labels"][name]
    assert pod["metadata"]["annotations"]["kubevirt.io/migrationJobName"] == "m1"


def test_unregistered_binding_is_named() -> None:
    vmi = Recording("passt-migrate").vmi
    with pytest.raises(RenderError, match=r"^couldn't find configuration for network binding: passt$"):
        asyncio.run(service().render(vmi, {}))


def test_missing_network_nad_is_named() -> None:
    recording = Recording("two-nics-passt")
    with pytest.raises(RenderError, match=r"^failed to locate network attachment definition default/sec-bridge$"):
        asyncio.run(service(no_nad).render(recording.vmi, recording.registered))
