"""Installing a binding and undoing it, and the run directory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conformance.access.logins import Login, Logins
from conformance.cluster.install import Installation, InstallationFailed, undo
from conformance.cluster.kubeconfig import KubeconfigProvider
from conformance.cluster.provider import ProviderError
from conformance.cluster.rundir import RUN_LABEL, RunDirectory, all_runs, is_alive, start_time
from conformance.kube.cluster import Cluster
from conformance.kube.ledger import Ledger
from conformance.kube.manifest import CONFIG_MAP, DAEMON_SET, KUBEVIRT
from conformance.kube.registration import Registration
from conformance.kube.timeouts import Timeouts
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


def installation(cluster: Cluster, server: Server, binding: Binding, factor: float = 1.0) -> Installation:
    provider = KubeconfigProvider(server.kubeconfig)
    return Installation(cluster, provider, binding, "0a0b0c0d", Timeouts().scaled(factor))


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


def test_a_daemon_set_that_never_gets_ready_names_its_pods(
    cluster: Cluster, server: Server, binding: Binding, ledger: Ledger
) -> None:
    with pytest.raises(InstallationFailed, match="DaemonSet default/agent is ready"):
        installation(cluster, server, binding, 0.005).install(lambda _: None)
    undo(lambda _: cluster, ledger, Timeouts())
    assert Registration(cluster, "installed").current() is None


def test_a_cluster_without_a_ready_kubevirt_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="missing"):
        KubeconfigProvider(tmp_path / "missing").up(lambda _: None)


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
