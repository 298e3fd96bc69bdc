"""Launcher pods differ by version as the real ones did: one table a behaviour."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from conformance.sandbox.kubevirt import spec
from conformance.sandbox.kubevirt.facts import facts_for
from conformance.sandbox.kubevirt.networkinfo import annotation_of
from conformance.sandbox.kubevirt.template import TemplateService
from conformance.sandbox.launcher.podinterfaces import pod_interface_name
from tests.unit.sandbox.byversion import ALL, Object, since

REGISTERED: spec.Registrations = {
    "b": {
        "sidecarImage": "sidecar:1",
        "networkAttachmentDefinition": "default/nad",
        "downwardAPI": "device-info",
        "computeResourceOverhead": {"requests": {"memory": "33Mi"}},
    }
}


def instance(*bindings: str, **domain: Any) -> Object:
    """A VMI of 192 MiB with one interface a binding, the first on the pod network."""
    names = [f"n{index}" for index, _ in enumerate(bindings)]
    return {
        "metadata": {"name": "v", "namespace": "ns", "uid": "u"},
        "spec": {
            "domain": {
                "devices": {
                    "interfaces": [
                        {"name": name, "binding": {"name": b}} for name, b in zip(names, bindings, strict=True)
                    ]
                },
                "resources": {"requests": {"memory": "192Mi"}},
                **domain,
            },
            "networks": [{"name": name} | ({"multus": {"networkName": name}} if i else {"pod": {}})
                         for i, name in enumerate(names)],
        },
    }  # fmt: skip


def render(version: str, vmi: Object, registered: spec.Registrations = REGISTERED) -> Object:
    async def any_nad(namespace: str, name: str) -> Object:
        return {"metadata": {}}

    return asyncio.run(TemplateService(facts_for(version), "launcher:1", any_nad).render(vmi, registered))


def container(pod: Object, name: str) -> Object:
    found: Object = next(c for c in pod["spec"]["containers"] if c["name"] == name)
    return found


@pytest.mark.parametrize(
    ("version", "names"),
    since(
        ("v1.1", []),
        ("v1.6", ["CONTAINER_NAME"]),
        ("v1.9", ["CONTAINER_NAME", "NETWORK_BINDING_PLUGIN_NAME"]),
    ),
)
def test_a_sidecar_gets_the_environment_and_the_directory_of_the_version(version: str, names: list[str]) -> None:
    sidecar = container(render(version, instance("b")), "hook-sidecar-0")
    assert [entry["name"] for entry in sidecar["env"] if not entry["name"].startswith("XDG")] == names
    sub_path = {"subPath": "hook-sidecar-0"} if names else {}
    assert sidecar["volumeMounts"][0] == {
        "name": "hook-sidecar-sockets",
        "mountPath": "/var/run/kubevirt-hooks",
        **sub_path,
    }


@pytest.mark.parametrize(
    ("version", "kibibytes"),
    since(  # 192 MiB, 384 KiB of page tables, processes, one CPU and the I/O thread, the screen
        ("v1.1", (192 + 210 + 16 + 16) * 1024 + 384),
        ("v1.4", (192 + 215 + 16 + 16) * 1024 + 384),
        ("v1.5", (192 + 220 + 16 + 16) * 1024 + 384),
        ("v1.6", (192 + 220 + 16 + 32) * 1024 + 384),
    ),
)
def test_compute_asks_for_the_memory_of_the_version_and_each_plugin_once(version: str, kibibytes: int) -> None:
    bare = container(render(version, instance("b", "b"), {"b": {}}), "compute")["resources"]["requests"]
    assert bare == {
        "cpu": "100m",
        "devices.kubevirt.io/tun": "1",
        "ephemeral-storage": "50M",
        "memory": f"{kibibytes}Ki",
    }
    loaded = container(render(version, instance("b", "b")), "compute")["resources"]["requests"]
    assert loaded["memory"] == f"{kibibytes + 33 * 1024}Ki"


def test_the_recorded_memory_is_the_newest_versions() -> None:
    """Recorded on v1.9.0: 471424Ki for a VM of 192Mi, 505216Ki with an overhead of 33Mi."""
    assert (
        container(render("v1.9", instance("b"), {"b": {}}), "compute")["resources"]["requests"]["memory"] == "471424Ki"
    )
    assert container(render("v1.9", instance("b")), "compute")["resources"]["requests"]["memory"] == "505216Ki"


@pytest.mark.parametrize(
    ("version", "later"),
    since(
        ("v1.1", set()),
        ("v1.3", {"descheduler.alpha.kubernetes.io/request-evict-only"}),
        (
            "v1.8",
            {
                "descheduler.alpha.kubernetes.io/request-evict-only",
                "kubevirt.io/memory-overhead-bytes",
                "kubevirt.io/pci-topology-version",
            },
        ),
    ),
)
def test_the_pod_has_the_annotations_of_the_version(version: str, later: set[str]) -> None:
    found = render(version, instance("b", "b"))["metadata"]["annotations"]
    always = {
        "k8s.v1.cni.cncf.io/networks",
        "kubectl.kubernetes.io/default-container",
        "kubevirt.io/domain",
        "kubevirt.io/migrationTransportUnix",
    }
    assert set(found) == always | later
    first, network, second = json.loads(found["k8s.v1.cni.cncf.io/networks"])
    assert (first["cni-args"], second["cni-args"]) == ({"logicNetworkName": "n0"}, {"logicNetworkName": "n1"})
    assert network["interface"].startswith("pod")


@pytest.mark.parametrize("version", ALL)
def test_containers_have_the_same_rights_in_every_version(version: str) -> None:
    pod = render(version, instance("b"))
    assert pod["spec"]["securityContext"] == {
        "runAsUser": 107,
        "runAsGroup": 107,
        "runAsNonRoot": True,
        "fsGroup": 107,
    }
    sidecar, compute = container(pod, "hook-sidecar-0"), container(pod, "compute")
    assert sidecar["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert compute["securityContext"]["capabilities"] == {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}
    for found in (sidecar, compute):
        assert found["securityContext"]["allowPrivilegeEscalation"] is False
        assert found["securityContext"]["runAsNonRoot"] is True


@pytest.mark.parametrize(
    "domain",
    [
        {"resources": {"requests": {"memory": "192Mi", "cpu": "1"}, "limits": {"memory": "192Mi", "cpu": "1"}}},
        {"cpu": {"cores": 1, "dedicatedCpuPlacement": True}},
    ],
    ids=["guaranteed", "dedicated"],
)
def test_a_guaranteed_vm_limits_its_sidecar_and_asks_for_more(domain: Object) -> None:
    pod = render("v1.9", instance("b", **domain))
    limits = {"cpu": "200m", "memory": "64M"}
    assert container(pod, "hook-sidecar-0")["resources"] == {"limits": limits, "requests": limits}
    compute = container(pod, "compute")["resources"]
    assert compute["requests"]["memory"] == f"{505216 + 100 * 1024}Ki"
    assert compute["limits"]["memory"] == compute["requests"]["memory"]
    assert compute["limits"]["cpu"] == compute["requests"]["cpu"] == "1"
    assert container(render("v1.9", instance("b")), "hook-sidecar-0")["resources"] == {}


def test_device_info_mounts_the_pods_network_info() -> None:
    pod = render("v1.9", instance("b"))
    mount = {"name": "network-info-annotation", "mountPath": "/etc/podinfo"}
    for name in ("compute", "hook-sidecar-0"):
        assert mount in container(pod, name)["volumeMounts"]
    assert "network-info-annotation" in [volume["name"] for volume in pod["spec"]["volumes"]]
    bare = render("v1.9", instance("b"), {"b": {"sidecarImage": "sidecar:1"}})
    assert "network-info-annotation" not in json.dumps(bare)


DEVICE = {"type": "pci", "pci": {"pci-address": "0000:00:01.0"}}


@pytest.mark.parametrize(
    ("version", "with_device", "without"),
    [
        ("v1.3", {"deviceInfo": DEVICE}, None),
        ("v1.7", {"deviceInfo": DEVICE}, None),
        ("v1.8", {"deviceInfo": DEVICE, "mac": "02:00:00:00:00:01"}, {"mac": "02:00:00:00:00:01"}),
        (
            "v1.9",
            {"deviceInfo": DEVICE, "mac": "02:00:00:00:00:01", "mtu": 1400},
            {"mac": "02:00:00:00:00:01", "mtu": 1400},
        ),
    ],
)
def test_network_info_says_what_the_version_says(version: str, with_device: Object, without: Object | None) -> None:
    def info(**more: Any) -> Object | None:
        status = [{"interface": pod_interface("n1"), "mac": "02:00:00:00:00:01", "mtu": 1400, **more}]
        found = annotation_of(reported(status), instance("x", "b"), REGISTERED, facts_for(version))
        return None if found is None else json.loads(found)

    assert info(**{"device-info": DEVICE}) == {"interfaces": [{"network": "n1"} | with_device]}
    assert info() == (None if without is None else {"interfaces": [{"network": "n1"} | without]})


def pod_interface(network: str) -> str:
    return pod_interface_name({"name": network, "multus": {"networkName": network}})


def reported(status: list[Object]) -> Object:
    """A pod of which Multus has said this."""
    return {"metadata": {"annotations": {"k8s.v1.cni.cncf.io/network-status": json.dumps(status)}}}


def test_network_info_waits_for_multus_and_for_a_binding_that_asks() -> None:
    newest, vmi = facts_for("v1.9"), instance("x", "b")
    assert annotation_of({"metadata": {"annotations": {}}}, vmi, REGISTERED, newest) is None
    full = reported([{"interface": pod_interface("n1"), "mac": "m"}])
    assert annotation_of(full, vmi, {"x": {}, "b": {}}, newest) is None
