"""The policy that lets a run's own pods talk: only in a namespace that is closed, and for nobody else."""

from __future__ import annotations

from pathlib import Path

from conformance.cluster.openness import open_traffic
from conformance.cluster.rundir import RUN_LABEL, RunDirectory
from conformance.kube.cluster import namespace_manifest
from conformance.kube.manifest import NETWORK_POLICY
from tests.unit.kube.apiserver import Server

DENY = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_only_a_closed_namespace_is_opened_and_only_for_the_run(server: Server, tmp_path: Path) -> None:
    cluster, run = server.cluster(), RunDirectory(tmp_path / "0123abcd")
    said: list[str] = []
    for name in ("open", "closed"):
        cluster.create(namespace_manifest(name, {}))
    head = {"apiVersion": NETWORK_POLICY.api_version, "kind": NETWORK_POLICY.kind}
    theirs = cluster.create({**head, "metadata": {"name": "deny", "namespace": "closed"}, "spec": DENY})
    for _ in range(2):
        open_traffic(cluster, ["open", "closed"], run, said.append)
    assert cluster.list(NETWORK_POLICY, "open").items == ()
    found = {policy["metadata"]["name"]: policy for policy in cluster.list(NETWORK_POLICY, "closed").items}
    mine = found.pop("kbc-0123abcd-traffic")
    assert found == {"deny": theirs}
    assert mine["spec"]["podSelector"] == {"matchLabels": {RUN_LABEL: "0123abcd"}}
    assert (mine["spec"]["ingress"], mine["spec"]["egress"]) == ([{}], [{}])
    assert said == ["letting the run's pods talk in closed, which has the NetworkPolicies deny"]
    cluster.close()
