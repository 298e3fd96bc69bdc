"""What a binding with `downwardAPI: device-info` is told, and where."""

from __future__ import annotations

import json

from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt import networkinfo
from conformance.sandbox.kubevirt.facts import facts_for

REGISTERED = {"told": {"downwardAPI": "device-info", "sidecarImage": "s"}, "plain": {"sidecarImage": "p"}}
REPORT = {"name": "x", "interface": "podd388a6c6411", "mac": "02:00:00:00:00:01", "device-info": {"type": "pci"}}


def _vmi(*bindings: str) -> Object:
    names = ["default", "sec1"][: len(bindings)]
    sources: list[Object] = [{"pod": {}}, {"multus": {"networkName": "n"}}]
    interfaces = [{"name": n, "binding": {"name": b}} for n, b in zip(names, bindings, strict=True)]
    networks = [{"name": n} | source for n, source in zip(names, sources, strict=False)]
    return {"spec": {"domain": {"devices": {"interfaces": interfaces}}, "networks": networks}}


def _pod(status: list[Object] | None = None) -> Object:
    told = {"k8s.v1.cni.cncf.io/network-status": json.dumps(status)} if status is not None else {}
    containers: list[Object] = [
        {"name": n, "volumeMounts": []} for n in ("compute", "hook-sidecar-0", "hook-sidecar-1")
    ]
    return {"metadata": {"annotations": told}, "spec": {"volumes": [], "containers": containers}}


def test_only_compute_and_the_binding_that_asked_get_the_volume() -> None:
    pod = _pod()
    networkinfo.add_volume(pod, _vmi("plain", "told"), REGISTERED)
    assert [volume["name"] for volume in pod["spec"]["volumes"]] == ["network-info-annotation"]
    mounted = {c["name"]: [m["mountPath"] for m in c["volumeMounts"]] for c in pod["spec"]["containers"]}
    assert mounted == {"compute": ["/etc/podinfo"], "hook-sidecar-0": [], "hook-sidecar-1": ["/etc/podinfo"]}


def test_no_volume_where_nobody_asked() -> None:
    pod = _pod()
    networkinfo.add_volume(pod, _vmi("plain"), REGISTERED)
    assert pod["spec"]["volumes"] == []


def test_the_annotation_waits_for_multus_and_names_the_network() -> None:
    vmi, newest = _vmi("plain", "told"), facts_for("v1.9")
    assert networkinfo.annotation_of(_pod(), vmi, REGISTERED, newest) is None
    told = networkinfo.annotation_of(_pod([REPORT]), vmi, REGISTERED, newest)
    expected = {"network": "sec1", "deviceInfo": {"type": "pci"}, "mac": "02:00:00:00:00:01"}
    assert json.loads(told or "") == {"interfaces": [expected]}


def test_older_versions_tell_the_device_alone() -> None:
    told = networkinfo.annotation_of(_pod([REPORT]), _vmi("plain", "told"), REGISTERED, facts_for("v1.7"))
    assert json.loads(told or "") == {"interfaces": [{"network": "sec1", "deviceInfo": {"type": "pci"}}]}
