"""What a pod is told of its secondary network is held against what Multus reports, by KubeVirt's release."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import cast

import pytest

from conformance.kube.errors import BoundExceeded
from conformance.kube.manifest import Manifest
from conformance.kube.networks import NETWORK_STATUS
from conformance.kube.outcome import Inconclusive
from conformance.kube.timeouts import Timeouts
from fixtures import networkinfo
from fixtures.machines import Machine
from fixtures.measure import Measure
from fixtures.networkinfo import NetworkInfo
from fixtures.secondary import SECONDARY, hashed_interface
from suites.pod import test_device_info

DEVICE = {"type": "pci", "version": "1.0.0", "pci": {"pci-address": "0000:05:00.1"}}
REPORT: Manifest = {"interface": hashed_interface(SECONDARY), "mac": "02:00:00:00:00:01", "mtu": 1500}
MOUNT = {"name": "network-info-annotation", "mountPath": "/etc/podinfo"}
ENTRY = {"network": SECONDARY, "mac": "02:00:00:00:00:01", "mtu": 1500}


def info(report: Manifest, release: str = "v1.9.0", sidecar_mounts: tuple[Manifest, ...] = (MOUNT,)) -> NetworkInfo:
    containers = [
        {"name": "compute", "volumeMounts": [MOUNT]},
        {"name": "hook-sidecar-0", "volumeMounts": [*sidecar_mounts]},
        {"name": "volumecontainerdisk"},
    ]
    annotations = {NETWORK_STATUS: json.dumps([{"interface": "eth0", "mac": "02:00:00:00:00:09"}, report])}
    pod = {"metadata": {"annotations": annotations, "name": "p", "namespace": "n"}, "spec": {"containers": containers}}
    run = SimpleNamespace(versions=SimpleNamespace(kubevirt=release), timeouts=Timeouts().scaled(0.01), cluster=None)
    return NetworkInfo(cast(Machine, SimpleNamespace(pod=lambda: pod, run=run, ref="VM n/v")))


@pytest.mark.parametrize(
    ("release", "told"),
    [
        ("v1.9.0", {"mac": REPORT["mac"], "mtu": 1500, "deviceInfo": DEVICE}),
        ("v1.8.0", {"mac": REPORT["mac"], "deviceInfo": DEVICE}),
        ("v1.7.1", {"deviceInfo": DEVICE}),
    ],
)
def test_what_each_release_tells(release: str, told: Manifest) -> None:
    assert info({**REPORT, "device-info": DEVICE}, release).expected() == {"network": SECONDARY, **told}


def test_no_verdict_where_nothing_is_to_be_told() -> None:
    with pytest.raises(Inconclusive, match="with a device only"):
        info(REPORT, "v1.7.1").expected()
    with pytest.raises(Inconclusive, match="OBS-005"):
        info({**REPORT, "interface": "net1"}).expected()


def judge(seen: NetworkInfo, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge the pod, whose file has this text."""
    answer = SimpleNamespace(ok=True, text=lambda: text)
    monkeypatch.setattr(networkinfo, "pod_exec", lambda *_: answer)
    test_device_info.test_target_pod_is_told_of_the_network(seen)
    test_device_info.test_pod_is_told_of_the_network(seen, cast(Measure, lambda _: None))


def test_a_pod_that_is_told_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    judge(info(REPORT), json.dumps({"interfaces": [ENTRY]}), monkeypatch)


@pytest.mark.parametrize("text", ["", json.dumps({"interfaces": [{**ENTRY, "mac": "02:00:00:00:00:09"}]})])
def test_one_that_is_told_nothing_or_something_else_is_caught(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BoundExceeded, match=SECONDARY):
        judge(info(REPORT), text, monkeypatch)


def test_a_sidecar_without_the_file_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="hook-sidecar-0"):
        judge(info(REPORT, sidecar_mounts=()), "", monkeypatch)
