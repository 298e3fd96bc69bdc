"""Registering through HCO, in either version of its API: our key in its object, and nothing in the KubeVirt CR."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.cluster.install import undo
from conformance.kube.cluster import Cluster, namespace_manifest
from conformance.kube.errors import KubeError, Unusable
from conformance.kube.ledger import Ledger
from conformance.kube.manifest import HYPERCONVERGED, HYPERCONVERGED_V1, KUBEVIRT, Kind, dig
from conformance.kube.registration import Registration, RegistrationTaken
from conformance.kube.registry import KUBEVIRT_PATH, find_registry
from conformance.kube.timeouts import Timeouts
from tests.unit.kube.apiserver import Server, api_server, kubevirt_manifest

KUBEVIRT_REF = KUBEVIRT.ref("kubevirt", "kubevirt")
TAP, MANAGED = {"domainAttachmentType": "tap"}, {"domainAttachmentType": "managedTap"}
PATHS = {HYPERCONVERGED: ("spec", "networkBinding"), HYPERCONVERGED_V1: ("spec", "networking", "networkBinding")}


def at(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for step in reversed(path):
        value = {step: value}
    return dict(value)


def write_kind(kind: Kind, to: Path) -> Path:
    """The CRD of a HyperConverged that is served in one version."""
    crd = yaml.safe_load((resources.files("conformance.sandbox.kubevirt") / "hco.yaml").read_text(encoding="utf-8"))
    (version,) = crd["spec"]["versions"]
    version["name"] = kind.api_version.rpartition("/")[2]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    bindings = spec["properties"].pop("networkBinding")
    for step in reversed(PATHS[kind][1:]):
        bindings = {"type": "object", "properties": {step: bindings}}
    spec["properties"] = bindings["properties"]
    to.write_text(yaml.safe_dump(crd))
    return to


@contextmanager
def played_operator(server: Server, kind: Kind) -> Iterator[None]:
    """What HCO does ten times a second: the bindings of its object become those of the KubeVirt CR."""
    cluster, stop = server.cluster(), threading.Event()
    owner = kind.ref("kubevirt-hyperconverged", "kubevirt")

    def play() -> None:
        while not stop.wait(0.1):
            with suppress(KubeError):
                wanted = dig(cluster.get(owner), *PATHS[kind], default={})
                there = dig(cluster.get(KUBEVIRT_REF), *KUBEVIRT_PATH, default={})
                if wanted != there:
                    gone = dict.fromkeys(there.keys() - wanted.keys())
                    cluster.patch(KUBEVIRT_REF, at(KUBEVIRT_PATH, {**wanted, **gone}))

    thread = threading.Thread(target=play)
    thread.start()
    yield
    stop.set()
    thread.join()
    cluster.close()


@pytest.fixture(scope="module", params=[HYPERCONVERGED, HYPERCONVERGED_V1], ids=["v1beta1", "v1"])
def owned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Kind]]:
    """A cluster whose KubeVirt CR belongs to a HyperConverged of one version, with another binding in it."""
    kind: Kind = request.param
    directory = tmp_path_factory.mktemp("hyperconverged")
    crds = sorted(map(str, Path(str(resources.files("conformance.sandbox.kubevirt") / "crds")).glob("*")))
    with api_server(directory, [*crds, str(write_kind(kind, directory / "hco.yaml"))]) as server:
        cluster = server.cluster()
        cluster.create(namespace_manifest("kubevirt", {}))
        meta = {"name": "kubevirt-hyperconverged", "namespace": "kubevirt"}
        body = at(PATHS[kind], {"theirs": TAP})
        made = cluster.create({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, **body})
        owner = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "name": meta["name"],
            "uid": made["metadata"]["uid"],
        }
        kubevirt = kubevirt_manifest()
        kubevirt["metadata"]["ownerReferences"] = [{**owner, "uid": made["metadata"]["uid"]}]
        cluster.create(kubevirt)
        cluster.close()
        with played_operator(server, kind):
            yield server, kind


@pytest.fixture
def cluster(owned: tuple[Server, Kind], ledger: Ledger) -> Iterator[Cluster]:
    connected = owned[0].cluster(ledger)
    yield connected
    connected.close()


@pytest.fixture
def kind(owned: tuple[Server, Kind]) -> Kind:
    return owned[1]


def test_the_registry_is_the_object_that_owns_the_kubevirt_cr(cluster: Cluster, kind: Kind) -> None:
    registry = find_registry(cluster)
    assert registry.by_hco
    assert registry.ref == kind.ref("kubevirt-hyperconverged", "kubevirt")
    assert registry.kubevirt == KUBEVIRT_REF
    assert registry.path == PATHS[kind]
    assert (registry.group, registry.resource) == ("hco.kubevirt.io", "hyperconvergeds")


def test_our_key_is_written_there_followed_into_the_cr_and_taken_back(cluster: Cluster, kind: Kind) -> None:
    registration = Registration(cluster, "ours")
    registration.apply(MANAGED)
    assert registration.current() == MANAGED, "returned before the CR had it"
    assert dig(cluster.get(registration.registry.ref), *PATHS[kind]) == {"theirs": TAP, "ours": MANAGED}
    assert registration.owners() == (registration.manager,)
    registration.apply(TAP)
    assert registration.current() == TAP
    registration.remove()
    assert dig(cluster.get(registration.registry.ref), *PATHS[kind]) == {"theirs": TAP}


def test_a_killed_runs_key_is_undone_there(cluster: Cluster, kind: Kind, ledger: Ledger) -> None:
    Registration(cluster, "orphan").apply(MANAGED)
    undone = undo(lambda _: cluster, Ledger(ledger.directory, "sweep"), Timeouts())
    assert [(record.how, record.ref.kind) for record in undone.undone] == [("deregister", kind)]
    assert dig(cluster.get(kind.ref("kubevirt-hyperconverged", "kubevirt")), *PATHS[kind]) == {"theirs": TAP}


def test_somebody_elses_key_is_refused_by_its_path(cluster: Cluster, kind: Kind) -> None:
    with pytest.raises(RegistrationTaken, match=".".join(PATHS[kind]) + r"\.theirs is set already"):
        Registration(cluster, "theirs").apply(MANAGED)


def test_an_owner_that_the_cluster_does_not_serve(tmp_path: Path) -> None:
    with api_server(tmp_path / "bare") as bare:
        cluster = bare.cluster()
        cluster.create(namespace_manifest("kubevirt", {}))
        kubevirt = kubevirt_manifest()
        kubevirt["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "hco-operator"}
        cluster.create(kubevirt)
        with pytest.raises(Unusable, match=r"managed by HCO, but the cluster does not serve hco\.kubevirt\.io"):
            find_registry(cluster)
        cluster.close()
