"""The typed verbs against a real API server."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.errors import AlreadyExists, Conflict, ConnectionLost, KindUnknown, NotFound, Rejected, Unusable
from conformance.kube.ledger import Ledger
from conformance.kube.manifest import CONFIG_MAP, Kind, Manifest, Ref
from conformance.kube.outcome import EnvironmentFault
from conformance.kube.undoing import undo_all


def config_map(name: str, **data: str) -> Manifest:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def test_create_get_and_delete_by_uid(cluster: Cluster) -> None:
    made = Ref.of(cluster.create(config_map("by-uid", x="1")))
    assert made.uid
    assert cluster.get(made.any_uid())["data"] == {"x": "1"}
    assert not cluster.delete(Ref(made.kind, made.name, made.namespace, "another-uid"))
    assert cluster.find(made) is not None
    assert cluster.delete(made)
    assert cluster.find(made) is None
    assert not cluster.delete(made)


def test_a_namesake_is_another_object(cluster: Cluster) -> None:
    first = Ref.of(cluster.create(config_map("namesake")))
    cluster.delete(first)
    second = Ref.of(cluster.create(config_map("namesake")))
    with pytest.raises(NotFound, match="namesake"):
        cluster.get(first)
    cluster.delete(second)


def test_errors_carry_the_servers_words(cluster: Cluster) -> None:
    ref = Ref.of(cluster.create(config_map("twice")))
    with pytest.raises(AlreadyExists) as twice:
        cluster.create(config_map("twice"))
    assert (twice.value.code, twice.value.reason) == (409, "AlreadyExists")
    with pytest.raises(Rejected) as invalid:
        cluster.create(config_map("No_Name"))
    assert invalid.value.code == 422
    assert [cause.field for cause in invalid.value.causes] == ["metadata.name"]
    with pytest.raises(KindUnknown, match=r"example\.org/v1 Thing"):
        cluster.list(Kind("example.org/v1", "Thing"))
    cluster.delete(ref)


def test_apply_conflicts_with_another_manager(cluster: Cluster) -> None:
    ref = Ref.of(cluster.apply(config_map("applied", y="1"), manager="one"))
    with pytest.raises(Conflict, match="one"):
        cluster.apply(config_map("applied", y="2"), manager="two")
    assert cluster.apply(config_map("applied", y="2"), manager="two", force=True)["data"] == {"y": "2"}
    cluster.delete(ref)


def test_unusable_kubeconfigs_and_servers_are_environment_faults(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="missing"):
        Cluster.connect(tmp_path / "missing")
    dead = tmp_path / "dead"
    dead.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:9'}}]\n"
        "users: [{name: u, user: {token: t}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
    )
    with pytest.raises(ConnectionLost) as lost:
        Cluster.connect(dead)
    assert isinstance(lost.value, EnvironmentFault)


def test_versions_and_patches(cluster: Cluster) -> None:
    assert cluster.versions().kubernetes.startswith("v1.")
    ref = Ref.of(cluster.create(config_map("patched", a="1", b="2")))
    assert cluster.patch(ref, {"data": {"b": None}})["data"] == {"a": "1"}
    patch = [{"op": "replace", "path": "/data/a", "value": "3"}]
    assert cluster.patch(ref, patch, type="json")["data"] == {"a": "3"}
    cluster.delete(ref)


def test_ledger_survives_the_process_and_is_undone_in_reverse(cluster: Cluster, ledger: Ledger) -> None:
    refs = [Ref.of(cluster.create(config_map(f"ledger-{n}"))) for n in range(3)]
    with pytest.raises(Rejected):
        cluster.create(config_map("Refused_Name"))
    read_again = Ledger(ledger.directory, "sweeper")
    assert [record.ref for record in read_again.open_records()] == refs[::-1]
    undone = undo_all(read_again, lambda _: cluster, {}, lambda ref: None)
    assert [record.ref for record in undone.undone] == refs[::-1]
    assert not undone.failed
    assert not ledger.open_records()
    assert CONFIG_MAP.ref("ledger-0", "default") not in [Ref.of(i) for i in cluster.list(CONFIG_MAP, "default").items]


def test_a_half_written_line_of_a_killed_process_is_passed_over(cluster: Cluster, ledger: Ledger) -> None:
    ref = Ref.of(cluster.create(config_map("half")))
    with (ledger.directory / "main.jsonl").open("a") as file:
        file.write('{"op": "undone", "id": "ma')
    assert [record.ref for record in ledger.open_records()] == [ref]
    cluster.delete(ref)


def test_what_cannot_be_undone_stays_recorded(cluster: Cluster, ledger: Ledger) -> None:
    ref = Ref.of(cluster.create(config_map("stuck")))
    with ledger.making(ref, "unheard-of"):
        pass
    undone = undo_all(ledger, lambda _: cluster, {}, lambda _: None)
    assert [why for _, why in undone.failed] == ["nobody knows how to undo 'unheard-of'"]
    assert [record.how for record in ledger.open_records()] == ["unheard-of"]
