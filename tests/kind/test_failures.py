"""The failures that people meet with KubeVirt in kind: each is explained, with the fix, and leaves no cluster."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conformance.cluster.components import Components
from conformance.cluster.explain import KNOWN, explain
from conformance.cluster.kind import KindProvider
from conformance.cluster.kindconfig import KindOptions
from conformance.cluster.provider import ProviderError
from conformance.images.lock import Unresolved
from conformance.kube.manifest import EVENT
from conformance.kube.timeouts import Limit, Timeout, Timeouts
from tests.kind.conftest import ROOT, Workshop, command
from tests.kind.played import played
from tests.unit.kube.apiserver import Server


def provider(workshop: Workshop, *words: str) -> KindProvider:
    options = KindOptions.parse([f"bundle={workshop.bundle}", *words])
    return KindProvider(options, ROOT, workshop.path / "logs", machine=workshop.machine)


def failing(kind: KindProvider) -> str:
    with pytest.raises(ProviderError) as failure:
        kind.up(lambda _: None)
    return str(failure.value)


CREATION = {
    "inotify": "Failed to create inotify object: Too many open files\ntoo many open files",
    "name taken": 'node(s) already exist for a cluster with the name "binding-conformance"',
    "disk full": "write /var/lib/docker/tmp/x: no space left on device",
    "mount propagation": "path /dev is mounted on / but it is not a shared or slave mount",
    "no IPv6": "docker: Error response from daemon: IPv6 is disabled on this host",
    "node did not boot": 'could not find a log line that matches "Reached target .*Multi-User System.*"',
    "registry unreachable": 'failed to pull image "kindest/node": dial tcp: lookup registry-1.docker.io: no such host',
    "image missing": "manifest unknown: manifest unknown",
    "rootless": "running kind with rootless provider requires setting systemd property Delegate=yes",
    "engine not allowed": "permission denied while trying to connect to the daemon socket at unix:///var/run/docker.sock",
}


@pytest.mark.parametrize("name", CREATION)
def test_what_keeps_kind_from_making_a_cluster(workshop: Workshop, name: str) -> None:
    workshop.fail("kind create cluster", f"ERROR: failed to create cluster: {CREATION[name]}")
    text = failing(provider(workshop))
    known = next(k for k in KNOWN if k.name == name)
    assert known.meaning in text
    assert f"fix: {known.fix}" in text
    assert CREATION[name].splitlines()[0] in text, "what was said is not lost"
    calls = workshop.calls()
    assert calls[-2].startswith(f"kind export logs {workshop.path / 'logs'}")
    assert calls[-1].startswith("kind delete cluster")
    assert (workshop.path / "logs" / "kind-version.txt").exists()


MULTUS_TEXT = 'plugin type="multus-shim" name="multus-cni-network" failed (add): CNI request failed: no delegate'
DEPLOYMENT: dict[str, tuple[str, dict[str, Any], str]] = {
    "multus memory": ("multus", {"lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}, ""),
    "multus sandbox": ("multus", {"state": {"waiting": {"reason": "ContainerCreating"}}}, MULTUS_TEXT),
    "image missing": (
        "handler",
        {"state": {"waiting": {"reason": "ErrImagePull", "message": "registry:5000: not found"}}},
        "",
    ),
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits for components end after seconds."""
    patience = Timeout(6, Limit.PATIENCE, "a test's")
    table = replace(Timeouts(), component_ready=patience, nodes_ready=patience)
    monkeypatch.setattr("conformance.cluster.kind.Timeouts", lambda: table)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", DEPLOYMENT)
def test_what_keeps_the_components_from_running(workshop: Workshop, server: Server, name: str) -> None:
    broken, trouble, event = DEPLOYMENT[name]
    if event:
        cluster = server.cluster()
        for worker in ("worker", "worker2"):
            cluster.create(warning(f"kube-multus-ds-binding-conformance-{worker}", event))
        cluster.close()
    with played(server.kubeconfig, broken, trouble):
        text = failing(provider(workshop))
    known = next(k for k in KNOWN if k.name == name)
    assert known.meaning in text, text
    assert f"fix: {known.fix}" in text
    assert "wanted: DaemonSet" in text
    assert workshop.calls()[-1].startswith("kind delete cluster")


def warning(pod: str, message: str) -> dict[str, Any]:
    about = {"kind": "Pod", "name": pod, "namespace": "kube-system"}
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": f"{pod}.1", "namespace": "kube-system"},
        "involvedObject": about,
        "type": "Warning",
        "reason": "FailedCreatePodSandBox",
        "message": message,
    }


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("broken", "wanted"),
    [
        ("attach", "a new pod on every node is attached by Multus"),
        ("devices", "every node offers tun, kvm, vhost-net"),
    ],
)
def test_a_wait_that_ends_says_what_it_wanted(workshop: Workshop, server: Server, broken: str, wanted: str) -> None:
    with played(server.kubeconfig, broken):
        assert f"wanted: {wanted}" in failing(provider(workshop))


def test_an_interruption_takes_the_cluster_away(
    workshop: Workshop, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Components) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Components, "deploy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        provider(workshop).up(lambda _: None)
    assert workshop.calls()[-1].startswith("kind delete cluster")


def test_a_manifest_that_was_changed_is_not_applied(workshop: Workshop, server: Server) -> None:
    path = workshop.bundle / "manifests" / "multus-thin-v4.3.0.yaml"
    path.write_bytes(path.read_bytes() + b"# changed\n")
    with played(server.kubeconfig):
        text = failing(provider(workshop))
    assert re.search(r"multus-thin-v4\.3\.0\.yaml: SHA-256 \w+, the lock wants \w+", text)


def test_a_manifest_that_is_not_there_is_named(workshop: Workshop, server: Server) -> None:
    (workshop.bundle / "manifests" / "kubevirt-operator-v1.9.0.yaml").unlink()
    with played(server.kubeconfig):
        text = failing(provider(workshop))
    assert "kubevirt-operator-v1.9.0.yaml: No such file" in text
    assert "releases/download/v1.9.0/kubevirt-operator.yaml" in text


def test_required_digests_are_refused_by_name_before_anything_starts(workshop: Workshop) -> None:
    options = KindOptions.parse(["require-digests=yes"])
    with pytest.raises(Unresolved, match=r"quay\.io/kubevirt/virt-operator:v1\.9\.0[\s\S]*kubevirt-operator\.yaml"):
        KindProvider(options, ROOT, workshop.path / "logs", machine=workshop.machine)
    KindProvider(KindOptions.parse(["require-digests=yes", f"bundle={workshop.bundle}"]), ROOT, workshop.path / "logs")
    assert workshop.calls() == []


def test_what_is_not_locked_is_named_before_anything_is_made(workshop: Workshop) -> None:
    workshop.fail("kind create", "no")
    said: list[str] = []
    kind = KindProvider(KindOptions.parse([]), ROOT, workshop.path / "logs", machine=workshop.machine)
    with pytest.raises(ProviderError):
        kind.up(said.append)
    assert said[0].startswith("no digest is known of docker.io/library/python:3.13-alpine, ")
    assert "v1.9.0/kubevirt-operator.yaml: used as served today" in said[0]
    assert "images lock --resolve" in said[0]
    assert "virt-operator:v1.8" not in said[0], "another release's"


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_every_known_failure_says_meaning_fix_and_source(known: Any) -> None:
    assert known.meaning
    assert known.fix
    assert known.source
    assert re.compile(known.pattern)


LATER = {
    "tap device": "server error: lstat /dev/tap12: no such file or directory",
    "apparmor": "virt-handler: libvirtd: permission denied",
    "vhost-net": "critical network error: failed to set up vhost-net device",
    "same host": "internal error: Attempt to migrate guest to the same host 1234",
    "no virtualisation": "0/3 nodes are available: 2 Insufficient devices.kubevirt.io/kvm",
    "too slow": "0/3 nodes are available: 2 Insufficient memory.",
    "sandbox": 'FailedCreatePodSandBox: plugin type="x" failed',
    "engine not running": "Cannot connect to the Docker daemon at unix:///var/run/docker.sock",
}


@pytest.mark.parametrize("name", LATER)
def test_failures_that_show_later_are_known_by_their_words(name: str) -> None:
    found = explain(LATER[name])
    assert found is not None
    assert found.name == name


def test_what_nobody_has_written_down_stays_as_it_was_said(workshop: Workshop) -> None:
    workshop.fail("kind create cluster", "ERROR: the moon is in the wrong house")
    text = failing(provider(workshop))
    assert "the moon is in the wrong house" in text
    assert "see:" not in text


def test_a_run_ends_with_three_and_the_fix(
    workshop: Workshop, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    workshop.fail("docker info", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock")
    done = command("run", "managedtap", "--cluster", "kind", "--report-dir", str(tmp_path / "report"))
    said = capfd.readouterr().out
    assert done.exit_code == 3, said
    assert "container engine: docker: Cannot connect to the Docker daemon" in said
    assert "fix: start it (`systemctl start docker`)" in said


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("frob=1", "NAME one of name, engine"),
        ("engine=lxc", "not one of docker, podman"),
        ("multus=medium", "not one of thin, thick"),
        ("bundle=/nonexistent", "is no directory"),
        ("mirror=quay.io", "write mirror=HOST=URL"),
        ("name=A_b", "lower-case letters"),
    ],
)
def test_a_bad_option_ends_with_two_before_anything_starts(workshop: Workshop, word: str, complaint: str) -> None:
    done = command("run", "managedtap", "--cluster", "kind", "--kind", word)
    assert done.exit_code == 2, done.output
    assert complaint in " ".join(done.stderr.split())
    assert workshop.calls() == []


def test_a_release_that_is_not_locked_ends_with_two(workshop: Workshop) -> None:
    done = command("up", "--cluster", "kind", "--kubevirt-version", "v0.59.0")
    assert done.exit_code == 2
    assert "no kubevirt v0.59.0 is locked; there are v1.1.1" in " ".join(done.stderr.split())
