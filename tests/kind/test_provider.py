"""A cluster made, used, reused and removed: what is called, what is applied, and in which order it is waited for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.cluster.components import PROBE
from conformance.cluster.kind import KindProvider, sweep_clusters
from conformance.cluster.kindconfig import MARK, KindOptions, fingerprint
from conformance.cluster.provider import ProviderError
from conformance.kube.manifest import DAEMON_SET, DEPLOYMENT, KUBEVIRT, dig
from conformance.model import load_binding
from fixtures.images import LOCK
from tests.kind.conftest import ROOT, Workshop, cluster_server, make_workshop
from tests.kind.played import played
from tests.unit.kube.apiserver import Server

BINDINGS = LOCK.parent / "bindings"


def provider(workshop: Workshop, *words: str, detach: bool = False, **versions: str) -> KindProvider:
    options = KindOptions.parse([f"bundle={workshop.bundle}", *words], **versions)
    return KindProvider(options, ROOT, workshop.path / "logs", detach=detach, machine=workshop.machine)


def up(provider: KindProvider, server: Server) -> list[str]:
    said: list[str] = []
    with played(server.kubeconfig):
        provider.up(said.append)
    return said


@dataclass(frozen=True)
class Standing:
    """A cluster that was made with no options but a bundle: what was said and called, and what runs."""

    kind: KindProvider
    workshop: Workshop
    server: Server
    said: list[str]


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """Made once; nobody changes it."""
    directory = tmp_path_factory.mktemp("standing")
    with pytest.MonkeyPatch.context() as patch:
        workshop = make_workshop(directory, patch)
        with cluster_server(directory, workshop) as server:
            kind = provider(workshop)
            said = up(kind, server)
            yield Standing(kind, workshop, server, said)


def test_a_cluster_is_made_from_nothing_in_the_order_of_what_depends_on_what(standing: Standing) -> None:
    waits = [line for line in standing.said if line.startswith(("waiting", "applying"))]
    assert waits == [
        "waiting for the nodes",
        "waiting for Deployment kube-system/coredns",
        "applying multus-thin v4.3.0",
        "waiting for CustomResourceDefinition network-attachment-definitions.k8s.cni.cncf.io",
        "waiting for CustomResourceDefinition network-attachment-definitions.k8s.cni.cncf.io",
        "waiting for DaemonSet kube-system/kube-multus-ds",
        "waiting until Multus attaches new pods on every node",
        "applying kubevirt-operator v1.9.0",
        *[line for line in waits if "kubevirt.io" in line and "CustomResource" in line],
        "applying the KubeVirt CR",
        "waiting for Deployment kubevirt/virt-operator",
        "waiting for KubeVirt to be Available",
        "waiting for DaemonSet kubevirt/virt-handler",
        "waiting for devices.kubevirt.io/{tun,kvm,vhost-net} on every node",
    ]
    assert standing.kind.nodes() == ["binding-conformance-worker", "binding-conformance-worker2"]
    assert standing.kind.owned


def test_the_programs_are_called_as_recorded(standing: Standing) -> None:
    home, bundle = str(standing.kind.directory), str(standing.workshop.bundle)
    calls = [call.replace(home, "HOME").replace(bundle, "BUNDLE") for call in standing.workshop.calls()]
    tagged = [call for call in calls if " sh -ec " in call]
    assert [call for call in calls if call not in tagged] == [
        "docker info --format '{{json .}}'",
        "kind version",
        "docker network inspect kind",
        "docker info --format '{{json .}}'",
        "kind get clusters",
        "docker image inspect --format '{{.Id}}' docker.io/kindest/node:v1.36.1",
        "docker load --input BUNDLE/images.tar",
        "kind create cluster --name binding-conformance --config HOME/config.yaml --kubeconfig HOME/kubeconfig "
        "--retain --wait 0s",
        "kind load image-archive BUNDLE/images.tar --name binding-conformance",
        "kind get nodes --name binding-conformance",
        *(
            f"docker exec binding-conformance-{node} ctr --namespace=k8s.io images list --quiet"
            for node in ("control-plane", "worker", "worker2")
        ),
    ]
    pin = "tag --force quay.io/kubevirt/virt-operator:v1.9.0 quay.io/kubevirt/virt-operator@sha256:"
    assert "\n".join(calls).count(pin) == 3


def test_every_image_that_is_applied_is_the_locked_one(standing: Standing) -> None:
    cluster = standing.server.cluster()
    multus = cluster.get(DAEMON_SET.ref("kube-multus-ds", "kube-system"))
    assert image_of(multus).startswith("ghcr.io/k8snetworkplumbingwg/multus-cni:v4.3.0@sha256:")
    operator = cluster.get(DEPLOYMENT.ref("virt-operator", "kubevirt"))
    assert image_of(operator).startswith("quay.io/kubevirt/virt-operator:v1.9.0@sha256:")
    env = {e["name"]: e["value"] for e in dig(operator, "spec", "template", "spec", "containers", 0, "env")}
    assert env["VIRT_LAUNCHER_IMAGE"].startswith("quay.io/kubevirt/virt-launcher:v1.9.0@sha256:")
    assert env["KUBEVIRT_VERSION"] == "v1.9.0"
    assert cluster.find(PROBE) is None, "the probe is taken away"
    cluster.close()


def image_of(workload: dict[str, Any]) -> str:
    return str(dig(workload, "spec", "template", "spec", "containers", 0, "image"))


@pytest.mark.parametrize(
    ("version", "gates"),
    [("1.3", ["NetworkBindingPlugins", "HotplugNICs"]), ("v1.8", ["PasstBinding"]), ("", [])],
)
def test_feature_gates_and_emulation_follow_release_and_machine(
    workshop: Workshop, server: Server, version: str, gates: list[str]
) -> None:
    (workshop.machine.root / "dev/kvm").unlink()
    said = up(provider(workshop, kubevirt_version=version), server)
    assert "waiting for devices.kubevirt.io/{tun} on every node" in said
    cluster = server.cluster()
    developer = dig(
        cluster.get(KUBEVIRT.ref("kubevirt", "kubevirt")), "spec", "configuration", "developerConfiguration"
    )
    assert developer == {"featureGates": gates, "useEmulation": True}
    cluster.close()


def test_the_thick_daemon_gets_room(workshop: Workshop, server: Server) -> None:
    up(provider(workshop, "multus=thick"), server)
    cluster = server.cluster()
    multus = cluster.get(DAEMON_SET.ref("kube-multus-ds", "kube-system"))
    assert image_of(multus).startswith("ghcr.io/k8snetworkplumbingwg/multus-cni:v4.3.0-thick@")
    assert dig(multus, "spec", "template", "spec", "containers", 0, "resources", "limits") == {"memory": "512Mi"}
    cluster.close()


def test_the_configuration_that_kind_gets(workshop: Workshop, server: Server) -> None:
    kind = provider(workshop, "ip-family=dual", "mirror=quay.io=http://mirror:5000", "mirror=docker.io=https://hub/")
    up(kind, server)
    config = yaml.safe_load((workshop.state / "config.yaml").read_text())
    assert config["networking"]["ipFamily"] == "dual"
    assert [node["role"] for node in config["nodes"]] == ["control-plane", "worker", "worker"]
    certs = {"hostPath": str(kind.directory / "certs.d"), "containerPath": "/etc/containerd/certs.d", "readOnly": True}
    for node in config["nodes"]:
        assert node["image"] == "docker.io/kindest/node:v1.36.1"
        assert certs in node["extraMounts"]
    dev = {"hostPath": "/dev", "containerPath": "/dev", "propagation": "HostToContainer"}
    assert all(dev in node["extraMounts"] for node in config["nodes"] if node["role"] == "worker")
    assert (kind.directory / "certs.d/docker.io/hosts.toml").read_text() == (
        'server = "https://registry-1.docker.io"\n\n[host."https://hub"]\n  capabilities = ["pull", "resolve"]\n'
    )


def test_without_a_bundle_the_node_image_is_named_by_digest(workshop: Workshop, server: Server) -> None:
    options = KindOptions.parse([f"manifests={workshop.bundle / 'manifests'}"], kubernetes_version="1.35")
    # the lock of the bundle has the checksums of the stand-ins
    data = workshop.path / "data"
    (data / "fixtures").mkdir(parents=True)
    (data / "fixtures" / "images.lock").write_text((workshop.bundle / "images.lock").read_text())
    (data / "kind-config").symlink_to(ROOT / "kind-config")
    kind = KindProvider(options, data, workshop.path / "logs", machine=workshop.machine)
    up(kind, server)
    config = yaml.safe_load((workshop.state / "config.yaml").read_text())
    assert config["nodes"][0]["image"].startswith("docker.io/kindest/node:v1.35.5@sha256:ce977ae6")
    assert not [call for call in workshop.calls() if " load " in call], "the nodes pull for themselves"


def test_a_cluster_of_ours_that_runs_is_used_finished_and_left(workshop: Workshop, server: Server) -> None:
    up(provider(workshop, detach=True), server)
    second = provider(workshop)
    assert up(second, server) == ["using the kind cluster binding-conformance that runs"]
    assert not second.owned
    second.down()

    with pytest.raises(ProviderError, match="made with other options; remove it"):
        provider(workshop, kubevirt_version="1.8").up(lambda _: None)

    cluster = server.cluster()
    cluster.delete(KUBEVIRT.ref("kubevirt", "kubevirt"))
    cluster.close()
    assert "waiting for KubeVirt to be Available" in up(provider(workshop), server)

    assert not [call for call in workshop.calls() if "delete" in call]
    assert second.remove()
    assert not second.remove()


def test_a_cluster_of_somebody_else_is_left_alone(workshop: Workshop, server: Server) -> None:
    (workshop.state / "clusters").write_text("binding-conformance")
    cluster = server.cluster()
    cluster.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "theirs"}})
    cluster.close()
    for act in (lambda: provider(workshop).up(lambda _: None), lambda: provider(workshop).remove()):
        with pytest.raises(ProviderError, match=f"not ours .*{MARK}"):
            act()
    assert not [call for call in workshop.calls() if "delete" in call]


def test_the_mark_tells_clusters_apart_by_what_they_are_made_of() -> None:
    plain = KindOptions()
    same = [replace(plain, bundle=Path("/b")), replace(plain, engine="podman")]
    other = [
        replace(plain, multus="thick"),
        replace(plain, kubevirt_version="v1.8.2"),
        replace(plain, mirrors={"a": "b"}),
    ]
    assert {fingerprint(o) for o in same} == {fingerprint(plain)}
    assert len({fingerprint(o) for o in [plain, *other]}) == 4


def test_what_a_binding_brings_goes_into_the_nodes(workshop: Workshop, server: Server) -> None:
    kind = provider(workshop)
    up(kind, server)
    kind.load_artifacts(load_binding(BINDINGS / "managedtap.yaml"))
    name = "localhost/kubevirt-binding-conformance/node-dhcp:1"
    save, load = workshop.calls()[-2:]
    assert save.startswith("docker save --output ")
    assert save.endswith(f"/image.tar {name}")
    assert load == f"kind load image-archive {save.split()[3]} --name binding-conformance"
    text = (workshop.state / "Dockerfile").read_text()
    assert text.startswith("FROM docker.io/library/python:3.13-slim-bookworm@sha256:")
    assert text.endswith('COPY layer/ /\nENTRYPOINT ["/node-dhcp"]\n')

    kind.load_artifacts(load_binding(BINDINGS / "passt.yaml"))
    copied = [call for call in workshop.calls() if call.startswith("docker cp")]
    assert [call.split()[-1] for call in copied] == [
        f"binding-conformance-{node}:/opt/cni/bin/cni-passt-binding-plugin"
        for node in ("control-plane", "worker", "worker2")
    ]

    workshop.fail("docker exec binding-conformance-control-plane test", "")
    with pytest.raises(ProviderError, match=r"is a script for /usr/bin/python3, which the nodes of kind do not have"):
        kind.load_artifacts(load_binding(BINDINGS / "passt.yaml"))

    kind.down()
    assert workshop.calls()[-1].startswith("kind delete cluster --name binding-conformance")
    assert not kind.kubeconfig.exists()


def test_on_podman_nothing_asks_for_docker(workshop: Workshop, server: Server) -> None:
    workshop.podman_instead()
    kind = provider(workshop)
    assert "waiting for KubeVirt to be Available" in up(kind, server)
    kind.load_artifacts(load_binding(BINDINGS / "managedtap.yaml"))
    kind.export_logs(workshop.path / "logs")
    kind.down()
    calls = workshop.calls()
    programs = {call.split(" ")[0] for call in calls}
    assert programs == {"podman", "KIND_EXPERIMENTAL_PROVIDER=podman"}, "kind is told so each time it is called"
    told = [call.removeprefix("KIND_EXPERIMENTAL_PROVIDER=podman kind ") for call in calls if " kind " in call]
    assert [" ".join(call.split(" ")[:2]) for call in told] == [
        "version",
        "get clusters",
        "create cluster",
        "load image-archive",
        "get nodes",
        "load image-archive",
        "export logs",
        "delete cluster",
    ]
    assert "podman save --multi-image-archive --output" in "\n".join(calls)


def test_on_podman_a_killed_runs_cluster_is_swept_by_podman(workshop: Workshop, server: Server) -> None:
    workshop.podman_instead()
    kind = provider(workshop, "engine=podman")
    up(kind, server)
    owner = kind.directory / "owner.json"
    written = json.loads(owner.read_text())
    assert written["engine"] == "podman"
    owner.write_text(json.dumps({**written, "pid": 2**22 + 1}))  # no process has that number
    assert sweep_clusters()
    assert workshop.calls()[-1].startswith("KIND_EXPERIMENTAL_PROVIDER=podman kind delete cluster")


def test_sweep_removes_the_cluster_of_a_killed_run_and_no_other(workshop: Workshop, server: Server) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from conformance.cluster.kind import KindProvider\n"
        "from conformance.cluster.kindconfig import KindOptions\n"
        "from conformance.cluster.kindhost import Machine\n"
        "from conformance.cluster.components import Components\n"
        "Components.deploy = lambda self: os.kill(os.getpid(), signal.SIGKILL)\n"
        "options = KindOptions.parse([f'bundle={sys.argv[1]}'])\n"
        "machine = Machine(Path(sys.argv[2]), lambda _: 1 << 50)\n"
        "KindProvider(options, Path(sys.argv[3]), Path(sys.argv[4]), machine=machine).up(print)\n"
    )
    arguments = [str(workshop.bundle), str(workshop.machine.root), str(ROOT), str(workshop.path / "logs")]
    killed = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert (workshop.state / "clusters").read_text() == "binding-conformance"
    assert sweep_clusters() == ["kind cluster binding-conformance"]
    assert (workshop.state / "clusters").read_text() == ""
    assert sweep_clusters() == []


def test_sweep_leaves_a_cluster_that_up_made(workshop: Workshop, server: Server) -> None:
    kind = provider(workshop, detach=True)
    up(kind, server)
    owner = kind.directory / "owner.json"
    owner.write_text(json.dumps({**json.loads(owner.read_text()), "pid": os.getpid(), "started": 1}))
    assert sweep_clusters() == []
