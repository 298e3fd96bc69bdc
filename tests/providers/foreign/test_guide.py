"""The flows of KubeVirt's network binding plugin guide, typed as it prints them, and the VM used afterwards."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml

from conformance.kube.cluster import namespace_manifest
from conformance.kube.manifest import CONFIG_MAP, NAMESPACE, POD, dig
from conformance.kube.networks import requested_networks
from conformance.kube.pods import pod_logs
from conformance.kube.registry import find_registry
from conformance.kube.timeouts import Deadline
from conformance.kube.wait import wait_gone, wait_until
from conformance.model import SkipReason
from tests.lacking import skip
from tests.providers.foreign.guide import (
    ADDONS,
    CR,
    FLOWS,
    GUIDE,
    READER,
    Flow,
    Reader,
    macvtap_deployed,
    require,
    wait_offered,
)
from tests.providers.somebody import THEIRS, Somebody, register


@pytest.fixture
def reader(owner: Somebody, tmp_path: Path) -> Iterator[Reader]:
    """A reader with kubectl and a namespace; afterwards the registrations are as before: the patches replace them."""
    program = shutil.which("kubectl")
    if program is None:
        skip(SkipReason.ENVIRONMENT_LACKS, "kubectl is not installed")

    def kubectl(*words: str) -> subprocess.CompletedProcess[str]:
        line = [program, f"--kubeconfig={owner.kubeconfig}", f"--cache-dir={tmp_path}", *words]
        return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)

    made = Reader(owner, kubectl)
    before = made.registered()
    owner.cluster.create(namespace_manifest(READER, {}))
    yield made
    owner.cluster.delete(NAMESPACE.ref(READER))
    wait_gone(owner.cluster, NAMESPACE.ref(READER), Deadline.patience(60))
    owner.cluster.patch(CR, [{"op": "remove", "path": "/spec/configuration/network"}], type="json")
    register(owner.cluster, find_registry(owner.cluster), THEIRS, before[THEIRS])


SLOW = ("macvtap", "slirp")


@pytest.mark.parametrize(
    "flow", [pytest.param(f, id=f.name, marks=[pytest.mark.slow] if f.name in SLOW else []) for f in FLOWS]
)
def test_a_flow_works_as_printed(accounts: dict[str, Path], reader: Reader, flow: Flow) -> None:
    with macvtap_deployed(reader, "macvtap-config") if flow.addons else nullcontext():
        if flow.resource:
            wait_offered(reader, flow.resource)
        flow.follow(reader)
        assert list(reader.registered()) == [flow.name], (
            "the patch adds the whole network: what was registered before is gone"
        )
        pod = reader.launcher_of(flow.vm)
        containers = dig(pod, "spec", "containers", default=[])
        images = [container["image"] for container in containers if container["name"].startswith("hook-sidecar")]
        assert images == ([flow.sidecar] if flow.sidecar else [])
        assert (
            tuple(f"{network['namespace']}/{network['name']}" for network in requested_networks(pod)) == flow.networks
        )
        limits = {name for container in containers for name in dig(container, "resources", "limits", default={})}
        assert not flow.resource or flow.resource in limits
        flow.works(reader)
        for namespace, name in flow.manifests:
            require(reader.kubectl("delete", "-n", namespace, "-f", str(GUIDE / f"{name}.yaml")))


def test_the_configuration_that_selects_an_interface_for_macvtap_has_a_comma_too_many(reader: Reader) -> None:
    """No device plugin starts with it. Without the comma it offers another resource than the guide's NAD asks for."""
    printed = (GUIDE / "macvtap-config-as-printed.yaml").read_text(encoding="utf-8")
    with pytest.raises(json.JSONDecodeError):
        json.loads(yaml.safe_load(printed)["data"]["DP_MACVTAP_CONF"])
    with macvtap_deployed(reader, "macvtap-config-as-printed"):
        assert "DP_MACVTAP_CONF is not JSON" in wait_failed_plugin(reader)
        mended = yaml.safe_load(printed.replace("},\n    ]", "}\n    ]"))
        reader.owner.cluster.patch(CONFIG_MAP.ref(mended["metadata"]["name"], ADDONS), {"data": mended["data"]})
        offered = wait_offered(reader, "macvtap.network.kubevirt.io/dataplane")
    asked_for = yaml.safe_load((GUIDE / "macvtap-network.yaml").read_text())["metadata"]["annotations"]
    assert asked_for["k8s.v1.cni.cncf.io/resourceName"] not in offered


def wait_failed_plugin(reader: Reader) -> str:
    """The log of a device plugin that has ended with an error."""
    cluster = reader.owner.cluster

    def restarted() -> str:
        for pod in cluster.list(POD, ADDONS).items:
            for status in dig(pod, "status", "containerStatuses", default=[]):
                if status["restartCount"]:
                    return str(pod["metadata"]["name"])
        return ""

    name = wait_until("a device plugin has failed", restarted, Deadline.patience(60), every=0.3)
    return pod_logs(cluster, ADDONS, name, "macvtap-cni")


def test_the_patch_for_passt_lacks_a_comma_as_printed(reader: Reader) -> None:
    """Nothing is registered by it; what the flow above applies has the comma, and is otherwise the same."""
    before = reader.owner.cluster.get(CR)["spec"]
    refused = reader.patch("passt-registration-as-printed.txt")
    assert refused.returncode != 0
    assert "unable to parse" in refused.stderr
    assert reader.owner.cluster.get(CR)["spec"] == before
    printed = (GUIDE / "passt-registration-as-printed.txt").read_text(encoding="utf-8")
    mended = (GUIDE / "passt-registration.json").read_text(encoding="utf-8")
    assert mended.replace('20231205_29a16d5c9",', '20231205_29a16d5c9"') == printed


def test_the_patch_for_the_feature_gate_needs_the_list_to_be_there(reader: Reader) -> None:
    cluster = reader.owner.cluster
    before = cluster.get(CR)["spec"]
    path = "/spec/configuration/developerConfiguration/featureGates"
    assert not dig(before, *path.split("/")[2:]), "from v1.5 on nobody needs the gate"
    assert reader.patch("feature-gate.json").returncode != 0
    cluster.patch(CR, [{"op": "add", "path": path, "value": []}], type="json")
    try:
        require(reader.patch("feature-gate.json"))
        assert dig(cluster.get(CR), *path.split("/")[1:]) == ["NetworkBindingPlugins"]
    finally:
        cluster.patch(CR, [{"op": "remove", "path": path}], type="json")
    assert cluster.get(CR)["spec"] == before
