"""The flows of KubeVirt's network binding plugin guide, typed as it prints them (tests/data/guide)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conformance.kube.cluster import namespace_manifest
from conformance.kube.lifecycle import launcher_pods, wait_running
from conformance.kube.manifest import KUBEVIRT, NAMESPACE, VMI, Manifest, dig
from conformance.kube.networks import requested_networks
from conformance.kube.registry import find_registry
from conformance.kube.timeouts import Deadline
from conformance.kube.vmi import VmiView
from conformance.kube.wait import wait_gone, wait_until
from conformance.model import SkipReason
from conformance.traffic.pod import ClientPod, client_pod_manifest
from fixtures.images import client_image
from tests.lacking import skip
from tests.providers.somebody import ROOT, THEIRS, Somebody, register

GUIDE = ROOT / "tests" / "data" / "guide"
READER = "reader"
"""The namespace of somebody who reads the guide."""

CR = KUBEVIRT.ref("kubevirt", "kubevirt")
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Flow:
    """One binding's: ``manifests`` by the namespace that they are for; what its launcher pods must then have. Where the
    nodes have what the VM takes, it ``boots``, with the interface of that name on the pod network.
    """

    name: str
    manifests: tuple[tuple[str, str], ...] = ()
    sidecar: str = ""
    networks: tuple[str, ...] = ()
    resource: str = ""
    boots: str = ""


FLOWS = (
    Flow(
        "passt",
        (("default", "passt-network"),),
        sidecar="quay.io/kubevirt/network-passt-binding:20231205_29a16d5c9",
        networks=("default/netbindingpasst",),
        boots="passtnet",
    ),
    Flow(
        "macvtap",
        ((READER, "macvtap-config"), (READER, "macvtap-network")),
        networks=(f"{READER}/macvtapnetwork",),
        resource="macvtap.network.kubevirt.io/eth0",
    ),
    Flow("slirp", sidecar="quay.io/kubevirt/network-slirp-binding:v1.1.0"),
    Flow("managedtap", boots="tapnet"),
)


@pytest.fixture
def kubectl(owner: Somebody, tmp_path: Path) -> Kubectl:
    """Runs kubectl on their cluster."""
    program = shutil.which("kubectl")
    if program is None:
        skip(SkipReason.ENVIRONMENT_LACKS, "kubectl is not installed")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        line = [program, f"--kubeconfig={owner.kubeconfig}", f"--cache-dir={tmp_path}", *words]
        return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture
def reader(owner: Somebody) -> Iterator[str]:
    """A namespace of the reader's; afterwards the registrations are as they were, which the guide's patches replace."""
    before = registered(owner)
    owner.cluster.create(namespace_manifest(READER, {}))
    yield READER
    owner.cluster.delete(NAMESPACE.ref(READER))
    wait_gone(owner.cluster, NAMESPACE.ref(READER), Deadline.patience(60))
    owner.cluster.patch(CR, [{"op": "remove", "path": "/spec/configuration/network"}], type="json")
    register(owner.cluster, find_registry(owner.cluster), THEIRS, before[THEIRS])


def registered(owner: Somebody) -> dict[str, Manifest]:
    return dict(dig(owner.cluster.get(CR), "spec", "configuration", "network", "binding", default={}))


def patch(kubectl: Kubectl, name: str) -> subprocess.CompletedProcess[str]:
    """The guide's command line, with one of its patches."""
    text = (GUIDE / name).read_text(encoding="utf-8")
    return kubectl("patch", "kubevirts", "-n", "kubevirt", "kubevirt", "--type=json", f"-p={text}")


def follow(kubectl: Kubectl, flow: Flow) -> None:
    """Everything up to the VM, as the guide has it."""
    steps = [*flow.manifests, (READER, f"{flow.name}-vm")]
    for namespace, name in steps[:-1]:
        require(kubectl("apply", "-n", namespace, "-f", str(GUIDE / f"{name}.yaml")))
    require(patch(kubectl, f"{flow.name}-registration.json"))
    namespace, name = steps[-1]
    require(kubectl("apply", "-n", namespace, "-f", str(GUIDE / f"{name}.yaml")))


def require(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_a_flow_works_as_printed(
    owner: Somebody, accounts: dict[str, Path], kubectl: Kubectl, reader: str, flow: Flow
) -> None:
    follow(kubectl, flow)
    assert list(registered(owner)) == [flow.name], (
        "the patch adds the whole network: what was registered before is gone"
    )
    pod = launcher_of(owner, flow)
    containers = dig(pod, "spec", "containers", default=[])
    images = [container["image"] for container in containers if container["name"].startswith("hook-sidecar")]
    assert images == ([flow.sidecar] if flow.sidecar else [])
    assert tuple(f"{network['namespace']}/{network['name']}" for network in requested_networks(pod)) == flow.networks
    limits = {name for container in containers for name in dig(container, "resources", "limits", default={})}
    assert not flow.resource or flow.resource in limits
    if flow.boots:
        wait_answer(owner, flow)
    for namespace, name in flow.manifests:
        require(kubectl("delete", "-n", namespace, "-f", str(GUIDE / f"{name}.yaml")))


def launcher_of(owner: Somebody, flow: Flow) -> Manifest:
    """The launcher pod of the flow's VM, once there is one."""
    ref = VMI.ref(f"vm-net-binding-{flow.name}", READER)

    def pods() -> tuple[Manifest, ...]:
        found = owner.cluster.find(ref)
        return launcher_pods(owner.cluster, VmiView.of(found)) if found else ()

    return wait_until(f"{ref} has a launcher pod", pods, Deadline.patience(30), every=0.2)[0]


def wait_answer(owner: Somebody, flow: Flow) -> None:
    """The guest speaks at the address that the pod network gave: only by DHCP can it have that (nobody logs in)."""
    ref = VMI.ref(f"vm-net-binding-{flow.name}", READER)
    address = wait_running(owner.cluster, ref, Deadline.patience(120)).address(flow.boots)
    client = ClientPod.start(
        owner.cluster, client_pod_manifest("client", READER, client_image()), Deadline.patience(60)
    )
    wait_until(
        f"the guest of {ref} answers at {address}",
        lambda: client.tcp_connect(address, 22, banner=True).banner,
        Deadline.patience(90),
        until=lambda banner: banner.startswith("SSH-"),
    )


def test_the_patch_for_passt_lacks_a_comma_as_printed(owner: Somebody, kubectl: Kubectl) -> None:
    """Nothing is registered by it; what the flow above applies has the comma, and is otherwise the same."""
    before = owner.cluster.get(CR)["spec"]
    refused = patch(kubectl, "passt-registration-as-printed.txt")
    assert refused.returncode != 0
    assert "unable to parse" in refused.stderr
    assert owner.cluster.get(CR)["spec"] == before
    printed = (GUIDE / "passt-registration-as-printed.txt").read_text(encoding="utf-8")
    mended = (GUIDE / "passt-registration.json").read_text(encoding="utf-8")
    assert mended.replace('20231205_29a16d5c9",', '20231205_29a16d5c9"') == printed


def test_the_patch_for_the_feature_gate_needs_the_list_to_be_there(owner: Somebody, kubectl: Kubectl) -> None:
    before = owner.cluster.get(CR)["spec"]
    path = "/spec/configuration/developerConfiguration/featureGates"
    assert not dig(before, *path.split("/")[2:]), "from v1.5 on nobody needs the gate"
    assert patch(kubectl, "feature-gate.json").returncode != 0
    owner.cluster.patch(CR, [{"op": "add", "path": path, "value": []}], type="json")
    try:
        require(patch(kubectl, "feature-gate.json"))
        assert dig(owner.cluster.get(CR), *path.split("/")[1:]) == ["NetworkBindingPlugins"]
    finally:
        owner.cluster.patch(CR, [{"op": "remove", "path": path}], type="json")
    assert owner.cluster.get(CR)["spec"] == before
