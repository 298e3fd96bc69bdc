"""A real API server process for tests, and what a kubelet would do to a pod's status."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from conformance.kube.cluster import Cluster
from conformance.kube.ledger import Ledger
from conformance.kube.manifest import KUBEVIRT, POD, Manifest, Ref


@dataclass(frozen=True)
class Server:
    """A running API server: its directory holds ``admin.kubeconfig``; streams go to the UNIX socket ``backend``."""

    directory: Path

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "admin.kubeconfig"

    @property
    def backend(self) -> Path:
        return self.directory / "backend.sock"

    def cluster(self, ledger: Ledger | None = None) -> Cluster:
        return Cluster.connect(self.kubeconfig, ledger=ledger)


@contextmanager
def api_server(directory: Path, crds: Sequence[str] | None = None) -> Iterator[Server]:
    """The server with KubeVirt's and Multus' kinds unless others are given, for as long as the block lasts."""
    server = Server(directory)
    if crds is None:
        kinds = Path(str(resources.files("conformance.sandbox.kubevirt"))) / "crds"
        crds = sorted(str(path) for path in kinds.glob("*"))
    command = [sys.executable, "-m", "conformance.sandbox.apiserver", "--directory", str(directory)]
    process = subprocess.Popen(
        [*command, "--backend", str(server.backend), "--crds", *crds],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready ")
        yield server
    finally:
        process.communicate(timeout=15)


def kubevirt_manifest() -> Manifest:
    """A KubeVirt CR that somebody else manages a part of."""
    return {
        "apiVersion": KUBEVIRT.api_version,
        "kind": KUBEVIRT.kind,
        "metadata": {"name": "kubevirt", "namespace": "kubevirt"},
        "spec": {"configuration": {"developerConfiguration": {"useEmulation": True}}},
    }


def pod_manifest(name: str) -> Manifest:
    """A pod with one container, ``c``."""
    container = {"name": "c", "image": "an-image"}
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": POD.api_version, "kind": POD.kind, "metadata": meta, "spec": {"containers": [container]}}


def set_status(cluster: Cluster, ref: Ref, status: Manifest) -> None:
    """What a controller does: write the status (a VMI has no status subresource)."""
    cluster.patch(ref, {"status": status}, subresource="" if ref.kind.kind == "VirtualMachineInstance" else "status")
