"""The two accounts have exactly what the table says, and the preflight misses every single verb that is taken away."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from conformance.access.accounts import account_kubeconfig
from conformance.access.manifests import REGISTRAR, RUNNER, access_manifests
from conformance.access.review import RightsLacking, lacking, require
from conformance.access.rights import Account, Right, Single, load_rights, rights_of, singles
from conformance.cli.granting import manifests_for
from conformance.kube.cluster import Cluster, namespace_manifest
from conformance.kube.manifest import KUBEVIRT, Kind
from conformance.kube.registry import Registry
from tests.unit.kube.apiserver import Server

RBAC = "rbac.authorization.k8s.io/v1"
KUBEVIRT_REF = KUBEVIRT.ref("kubevirt", "kubevirt")
REGISTRY = Registry(KUBEVIRT_REF, KUBEVIRT_REF)
GRANTED = [right for right in load_rights() if right.account != "everybody" and right.group != "hco.kubevirt.io"]
VERBS = [(right, verb) for right in GRANTED for verb in right.verbs]


@dataclass(frozen=True)
class Granted:
    """The accounts on a cluster, and who granted them."""

    admin: Cluster
    registrar: Cluster
    runner: Cluster
    namespace: str

    def wanted(self) -> dict[Account, tuple[Single, ...]]:
        accounts: tuple[Account, ...] = ("registrar", "runner", "observer")
        return {a: tuple(singles(rights_of(a, REGISTRY), REGISTRY, [self.namespace])) for a in accounts}

    def missing(self) -> list[Single]:
        """What the preflight of all accounts finds missing."""
        wanted = self.wanted()
        found = lacking(self.registrar, wanted["registrar"])
        return [*found, *lacking(self.runner, (*wanted["runner"], *wanted["observer"]))]


@pytest.fixture(scope="module")
def granted(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Granted]:
    admin, namespace = server.cluster(), "granted"
    admin.create(namespace_manifest(namespace, {}))
    for manifest in access_manifests(REGISTRY, [namespace], home=namespace, node_access=True):
        admin.apply(manifest)
    directory = tmp_path_factory.mktemp("accounts")
    files = [
        account_kubeconfig(admin, server.kubeconfig, None, namespace, name, directory / name)
        for name in (REGISTRAR, RUNNER)
    ]
    registrar, runner = map(Cluster.connect, files)
    yield Granted(admin, registrar, runner, namespace)
    for cluster in (admin, registrar, runner):
        cluster.close()


ROLES = (
    Kind(RBAC, "Role").ref(f"{REGISTRAR}:granted", REGISTRY.ref.namespace),
    Kind(RBAC, "Role").ref(RUNNER, "granted"),
    Kind(RBAC, "ClusterRole").ref(f"{RUNNER}:granted"),
)


@contextmanager
def without(admin: Cluster, right: Right, verb: str) -> Iterator[None]:
    """The roles without one verb, wherever it is granted: what is granted cluster-wide holds in a namespace too."""
    before = {ref: admin.get(ref)["rules"] for ref in ROLES}
    for ref in ROLES:
        rules = copy.deepcopy(before[ref])
        for rule in rules:
            if (rule["apiGroups"], rule["resources"]) == ([right.group], list(right.resources)):
                rule["verbs"] = [kept for kept in rule["verbs"] if kept != verb]
        admin.patch(ref, {"rules": [rule for rule in rules if rule["verbs"]]})
    yield
    for ref in ROLES:
        admin.patch(ref, {"rules": before[ref]})


def test_the_accounts_have_all_they_need(granted: Granted) -> None:
    assert granted.missing() == []


@pytest.mark.parametrize(("right", "verb"), VERBS, ids=[f"{r.resources[0]}-{verb}" for r, verb in VERBS])
def test_a_verb_taken_away_is_missed_in_words(granted: Granted, right: Right, verb: str) -> None:
    with without(granted.admin, right, verb):
        missing = granted.missing()
    assert {(single.verb, single.resource) for single in missing} == {(verb, r) for r in right.resources}
    assert any(right.why in str(single) for single in missing)


def test_what_lacks_is_said_in_words(granted: Granted) -> None:
    single = Single("create", "", "pods/exec", "elsewhere", "", "measure from client pods")
    with pytest.raises(RightsLacking) as raised:
        require(granted.runner, "runner", [single], "ask for it")
    assert str(raised.value).splitlines() == [
        "the runner account may not",
        "  create pods/exec in namespace elsewhere (to measure from client pods)",
        "  fix: ask for it",
    ]


def test_the_accounts_may_nothing_else(granted: Granted) -> None:
    others = [
        Single("patch", "kubevirt.io", "kubevirts", "kubevirt", "kubevirt", ""),
        Single("create", "", "namespaces", "", "", ""),
        Single("get", "", "secrets", granted.namespace, "", ""),
        Single("list", "", "pods", "kubevirt", "", ""),
    ]
    # with node access the runner may list pods everywhere, and nothing besides
    assert lacking(granted.runner, others) == tuple(others[:3])
    assert lacking(granted.registrar, others) == tuple(others[1:])
    other_cr = Single("patch", "kubevirt.io", "kubevirts", "kubevirt", "another", "")
    assert lacking(granted.registrar, [other_cr]) == (other_cr,)


def test_the_printed_manifests_are_those_that_are_granted() -> None:
    printed = list(yaml.safe_load_all(manifests_for(["a", "b"], None, "", node_access=False)))
    made = list(access_manifests(REGISTRY, ["a", "b"], home="a", node_access=False))
    assert printed[2:] == made
    assert [entry["metadata"]["name"] for entry in printed[:2]] == ["a", "b"]
    assert not any("daemonsets" in rule["resources"] for entry in made for rule in entry.get("rules", []))


def test_what_is_printed_for_two_teams_of_one_cluster_stays_apart() -> None:
    """The second team's must not take the first one's away by bearing its names."""
    named: list[set[tuple[str, str, str]]] = []
    for team in ("a", "b"):
        made = access_manifests(REGISTRY, [team], home=team, node_access=False)
        named.append({(m["kind"], m["metadata"].get("namespace", ""), m["metadata"]["name"]) for m in made})
    assert not named[0] & named[1]


def test_a_kubeconfig_of_an_account_is_private(granted: Granted, server: Server, tmp_path: Path) -> None:
    path = account_kubeconfig(granted.admin, server.kubeconfig, None, granted.namespace, RUNNER, tmp_path / "k")
    assert path.stat().st_mode & 0o777 == 0o600
