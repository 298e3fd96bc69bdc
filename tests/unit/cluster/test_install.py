"""Installing a binding and undoing it, and the run directory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.access.logins import Login, Logins
from conformance.cluster.install import Installation, InstallationFailed, undo
from conformance.cluster.kubeconfig import KubeconfigProvider
from conformance.cluster.provider import ProviderError
from conformance.cluster.rundir import RUN_LABEL, RunDirectory, all_runs, is_alive, start_time
from conformance.images.lock import LockedImage, Part
from conformance.kube.cluster import Cluster
from conformance.kube.ledger import Ledger
from conformance.kube.manifest import CONFIG_MAP, DAEMON_SET, KUBEVIRT, Manifest, dig
from conformance.kube.registration import Registration
from conformance.kube.timeouts import Timeouts
from conformance.kube.wait import wait_gone
from conformance.model import Binding, load_binding
from tests.unit.kube.apiserver import Server, set_status

DEFINITION = """
apiVersion: binding-conformance/v1alpha1
kind: BindingDefinition
metadata: {name: installed}
spec:
  implementation: {organization: example, project: sample, version: "1"}
  registration: {domainAttachmentType: tap}
  capabilities: [pod]
  manifests: [objects.yaml]
"""
OBJECTS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: default}
data: {a: b}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: default}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: c, image: an-image}]}
"""


@pytest.fixture
def binding(tmp_path: Path) -> Binding:
    (tmp_path / "definition.yaml").write_text(DEFINITION)
    (tmp_path / "objects.yaml").write_text(OBJECTS)
    return load_binding(tmp_path / "definition.yaml")


SETTINGS = CONFIG_MAP.ref("settings", "default")
AGENT = DAEMON_SET.ref("agent", "default")


def installation(
    cluster: Cluster,
    server: Server,
    binding: Binding,
    factor: float = 1.0,
    run_id: str = "0a0b0c0d",
    registered: bool = False,
) -> Installation:
    provider = KubeconfigProvider(server.kubeconfig)
    return Installation(cluster, provider, binding, run_id, Timeouts().scaled(factor), registered=registered)


def test_manifests_then_readiness_then_registration_and_all_undone(
    cluster: Cluster, server: Server, binding: Binding, ledger: Ledger
) -> None:
    ready = {"desiredNumberScheduled": 2, "numberReady": 2, "observedGeneration": 1}
    agent = DAEMON_SET.ref("agent", "default")
    said: list[str] = []

    def progress(text: str) -> None:
        said.append(text)
        if text == f"waiting for {agent}":
            threading.Timer(0.2, lambda: set_status(cluster, agent, ready)).start()

    installed = installation(cluster, server, binding)
    installed.install(progress)
    installed.register(cluster, progress)
    assert said[1:] == [
        "applying ConfigMap default/settings",
        f"applying {agent}",
        f"waiting for {agent}",
        "registering installed",
    ]
    assert cluster.get(CONFIG_MAP.ref("settings", "default"))["metadata"]["labels"] == {RUN_LABEL: "0a0b0c0d"}
    assert Registration(cluster, "installed").current() == {"domainAttachmentType": "tap"}
    undone = undo(lambda _: cluster, ledger, Timeouts())
    assert [record.ref.kind for record in undone.undone] == [KUBEVIRT, DAEMON_SET, CONFIG_MAP]
    assert cluster.find(agent) is None
    assert Registration(cluster, "installed").current() is None


KUBEVIRT_REF = KUBEVIRT.ref("kubevirt", "kubevirt")


@pytest.fixture
def observing(administrator: Cluster) -> Iterator[int]:
    """The generation that virt-operator says to have seen: the present one, and it sees no later one by itself."""
    generation = int(administrator.get(KUBEVIRT_REF)["metadata"]["generation"])
    set_status(administrator, KUBEVIRT_REF, {"observedGeneration": generation})
    yield generation
    set_status(administrator, KUBEVIRT_REF, {"observedGeneration": None})


def test_a_registration_is_waited_for_until_virt_operator_has_seen_it(
    cluster: Cluster, server: Server, binding: Binding, ledger: Ledger, observing: int
) -> None:
    said: list[str] = []

    def progress(text: str) -> None:
        said.append(text)
        if text.startswith("waiting for virt-operator"):
            threading.Timer(
                0.2, lambda: set_status(cluster, KUBEVIRT_REF, {"observedGeneration": observing + 1})
            ).start()

    installation(cluster, server, binding).register(cluster, progress)
    assert said[1:] == [f"waiting for virt-operator to see generation {observing + 1} of {KUBEVIRT_REF}"]
    assert dig(cluster.get(KUBEVIRT_REF), "status", "observedGeneration") == observing + 1
    undo(lambda _: cluster, ledger, Timeouts())


def test_a_registration_that_virt_operator_never_sees_is_a_fault_of_the_environment(
    cluster: Cluster, server: Server, binding: Binding, ledger: Ledger, observing: int
) -> None:
    with pytest.raises(InstallationFailed, match=rf"sees generation {observing + 1} of (.|\n)*virt-operator runs"):
        installation(cluster, server, binding, 0.005).register(cluster, lambda _: None)
    undo(lambda _: cluster, ledger, Timeouts())
    assert Registration(cluster, "installed").current() is None


def test_a_daemon_set_that_never_gets_ready_names_its_pods(
    cluster: Cluster, server: Server, binding: Binding, ledger: Ledger
) -> None:
    with pytest.raises(InstallationFailed, match="DaemonSet default/agent is ready"):
        installation(cluster, server, binding, 0.005).install(lambda _: None)
    undo(lambda _: cluster, ledger, Timeouts())
    assert Registration(cluster, "installed").current() is None


@pytest.fixture
def administrator(server: Server) -> Iterator[Cluster]:
    """Somebody who makes things that no run takes away."""
    connected = server.cluster()
    yield connected
    for ref in (AGENT, SETTINGS):
        connected.delete(ref)
        wait_gone(connected, ref, Timeouts().deletion.start())
    connected.close()


def applied(by: Cluster, binding: Binding, *, data: dict[str, str] | None = None, run: str = "") -> None:
    """The definition's manifests, applied by somebody else, and their pods ready."""
    for manifest in binding.manifests:
        made: Manifest = {
            **manifest,
            "metadata": {**dig(manifest, "metadata"), "labels": {RUN_LABEL: run} if run else {}},
        }
        by.apply({**made, "data": data} if data and "data" in made else made)
    ready = {"desiredNumberScheduled": 2, "numberReady": 2, "observedGeneration": 1}
    set_status(by, AGENT, ready)


def test_runs_at_the_same_time_share_what_was_there_before_them(
    cluster: Cluster, administrator: Cluster, server: Server, binding: Binding, ledger: Ledger, tmp_path: Path
) -> None:
    applied(administrator, binding)
    first, second = Ledger(tmp_path / "first"), Ledger(tmp_path / "second")
    with Registration(cluster, "installed").applied({"domainAttachmentType": "tap"}):
        for run_id, own in (("00000001", first), ("00000002", second)):
            connected = server.cluster(own)
            run = installation(connected, server, binding, run_id=run_id, registered=True)
            run.install(lambda _: None)
            run.register(connected, lambda _: None)
            connected.close()
        undo(lambda _: cluster, first, Timeouts())
        assert cluster.find(AGENT)
        assert cluster.find(SETTINGS)
        assert Registration(cluster, "installed").current()
        assert not second.open_records(), "nor is there anything for the second to take away"


def test_what_another_run_has_made_is_refused_though_it_is_the_same(
    cluster: Cluster, administrator: Cluster, server: Server, binding: Binding
) -> None:
    applied(administrator, binding, run="00000001")
    with pytest.raises(InstallationFailed) as refused:
        installation(cluster, server, binding, run_id="00000002", registered=True).install(lambda _: None)
    assert "ConfigMap default/settings belongs to run 00000001, which removes it at its end" in str(refused.value)
    assert f"apply the manifests of {binding.source} beforehand" in str(refused.value)


def test_what_somebody_has_otherwise_is_refused_and_stays(
    cluster: Cluster, administrator: Cluster, server: Server, binding: Binding
) -> None:
    applied(administrator, binding, data={"a": "c"})
    with pytest.raises(InstallationFailed, match=r"ConfigMap default/settings is there already, .* differs .* data\.a"):
        installation(cluster, server, binding).install(lambda _: None)
    assert cluster.get(SETTINGS)["data"] == {"a": "c"}


def test_a_cluster_without_a_ready_kubevirt_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="missing"):
        KubeconfigProvider(tmp_path / "missing").up(lambda _: None)


def test_a_cluster_is_told_which_images_have_no_digest(server: Server) -> None:
    said: list[str] = []
    image = LockedImage("registry.example/guest", "1", "unresolved", "guests", Part.GUEST)
    KubeconfigProvider(server.kubeconfig, images=[image]).up(said.append)
    assert said[1].startswith("no digest is known of registry.example/guest:1: ")


def test_a_run_is_told_from_a_dead_one_and_from_a_reused_pid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    directory = RunDirectory.create()
    assert directory.info() is None
    info = directory.describe("kubeconfig", Logins.same(Login("k")), tmp_path / "b.yaml")
    assert is_alive(info)
    found = list(all_runs())
    assert [run.info() for run in found] == [info]
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert start_time(ended.pid) == 0
    assert start_time(os.getpid()) > 0
    assert directory.keys() == directory.keys()
    assert (directory.path / "keys" / "client").stat().st_mode & 0o777 == 0o600
    directory.remove()
    assert not list(all_runs())
