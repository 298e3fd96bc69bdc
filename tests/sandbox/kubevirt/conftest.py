"""One sandbox with a migratable binding for the tests of KubeVirt's semantics."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.lifecycle import delete_vmi, wait_running
from conformance.kube.manifest import VMI, Ref
from conformance.kube.registration import Registration
from conformance.kube.timeouts import Deadline
from conformance.kube.vmi import NicSpec, VmiSpec
from conformance.sandbox import daemon
from tests.lacking import need_root

SECONDS = 90.0
DISK = "quay.io/kubevirt/fedora-with-test-tooling-container-disk:v1.6.0"


@pytest.fixture(scope="package")
def sandbox() -> Iterator[daemon.RunningSandbox]:
    need_root()
    options = daemon.Options(state_dir=Path(f"/run/kbc-k{os.getpid()}"))
    with daemon.start(options, lambda _stage, _fraction: None) as running:
        yield running


@pytest.fixture(scope="package")
def cluster(sandbox: daemon.RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    connected = Cluster.connect(sandbox.kubeconfig, cache_file=tmp_path_factory.mktemp("api") / "discovery")
    Registration(connected, "tapped").apply({"domainAttachmentType": "managedTap", "migration": {}})
    Registration(connected, "fixed").apply({"domainAttachmentType": "managedTap"})
    yield connected
    connected.close()


@pytest.fixture(scope="module")
def vmi(cluster: Cluster) -> Iterator[Ref]:
    """A running VMI that can be migrated and asks for it when its node is to be emptied."""
    spec = VmiSpec("v", "default", (NicSpec("default", "tapped"),), DISK, "#cloud-config\n", grace_seconds=0)
    manifest = spec.vmi()
    manifest["spec"]["evictionStrategy"] = "LiveMigrate"
    cluster.create(manifest)
    ref = VMI.ref("v", "default")
    wait_running(cluster, ref, Deadline.patience(SECONDS))
    yield ref
    delete_vmi(cluster, ref, Deadline.patience(SECONDS))
