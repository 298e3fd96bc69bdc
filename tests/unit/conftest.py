"""What the unit tests of several packages share: an API server with stream backend, and clusters connected to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.kube.cluster import Cluster, namespace_manifest
from conformance.kube.ledger import Ledger
from tests.unit.kube.apiserver import Server, api_server, kubevirt_manifest, pod_manifest
from tests.unit.kube.backend import Backend, stream_backend


def pytest_addoption(parser: pytest.Parser) -> None:
    what = "CustomResourceDefinitions of KubeVirt, HCO and Multus, to hold the suite's objects against"
    parser.addoption("--crds", metavar="DIRECTORY", help=what)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An API server that knows KubeVirt's kinds and has a KubeVirt CR."""
    with api_server(tmp_path_factory.mktemp("api")) as running:
        cluster = running.cluster()
        cluster.create(namespace_manifest("kubevirt", {}))
        cluster.create(kubevirt_manifest())
        cluster.create(pod_manifest("pod"))
        cluster.close()
        yield running


@pytest.fixture(scope="session")
def backend(server: Server) -> Iterator[Backend]:
    """What answers the stream subresources."""
    with stream_backend(server.backend) as running:
        yield running


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def cluster(server: Server, ledger: Ledger) -> Iterator[Cluster]:
    """A connection with a ledger of its own."""
    connected = server.cluster(ledger)
    yield connected
    connected.close()


def pytest_configure(config: pytest.Config) -> None:
    """The suites' markers, for tests that call a check: the plugin, which registers them, rests here."""
    for marker in ("requirement(id)", "where(term)"):
        config.addinivalue_line("markers", f"{marker}: see conformance.plugin")
