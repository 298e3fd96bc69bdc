"""A cluster whose KubeVirt CR belongs to HCO: direct writes are reverted, registration goes through the owner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.access.accounts import account_kubeconfig
from conformance.access.manifests import REGISTRAR, RUNNER
from conformance.kube.cluster import Cluster
from conformance.kube.errors import Forbidden
from conformance.kube.manifest import HYPERCONVERGED, dig
from conformance.kube.registry import find_registry
from conformance.kube.timeouts import Deadline
from conformance.kube.wait import wait_until
from tests.lacking import need_root
from tests.providers.deployed import install
from tests.providers.somebody import Somebody, changes, somebody

TEAM = "team-a"
"""Their namespace for us."""

L2_BRIDGE = {"domainAttachmentType": "managedTap", "migration": {}}


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Somebody]:
    need_root()
    with somebody(tmp_path_factory.mktemp("hco"), hco="true") as found:
        yield found


def bindings(cluster: Cluster) -> dict[str, object]:
    return dict(dig(cluster.get(find_registry(cluster).kubevirt), "spec", "configuration", "network", "binding"))


def test_the_registry_is_found_by_the_api_alone(owner: Somebody) -> None:
    registry = find_registry(owner.cluster)
    assert registry.by_hco
    assert registry.ref == HYPERCONVERGED.ref("kubevirt-hyperconverged", "kubevirt-hyperconverged")
    assert registry.kubevirt.name == "kubevirt-kubevirt-hyperconverged"


def test_a_direct_patch_is_reverted(owner: Somebody) -> None:
    registry = find_registry(owner.cluster)
    before = owner.cluster.get(registry.kubevirt)["spec"]
    direct = {"configuration": {"network": {"binding": {"direct": {"domainAttachmentType": "tap"}}}}}
    owner.cluster.patch(registry.kubevirt, {"spec": direct})
    wait_until(
        "the patch is reverted",
        lambda: owner.cluster.get(registry.kubevirt)["spec"] == before,
        Deadline.patience(10),
        every=0.1,
    )
    assert bindings(owner.cluster) == {"l2bridge": L2_BRIDGE, "theirs": {"domainAttachmentType": "managedTap"}}


@pytest.fixture(scope="module")
def accounts(owner: Somebody) -> dict[str, Path]:
    """What an administrator does for us: the roles that are printed for this cluster, and the accounts' kubeconfigs."""
    printed = owner.call("access", "--namespace", TEAM, "--kubeconfig", owner.kubeconfig)
    assert printed.returncode == 0, printed.stderr
    owner.apply_all(printed.stdout)
    install(owner, "managedtap")
    return {
        name: account_kubeconfig(owner.cluster, owner.kubeconfig, None, TEAM, name, owner.directory / name)
        for name in (REGISTRAR, RUNNER)
    }


def test_the_registrar_may_write_to_the_hyperconverged_alone(owner: Somebody, accounts: dict[str, Path]) -> None:
    registry = find_registry(owner.cluster)
    value = {"spec": {"configuration": {"network": {"binding": {"direct": {"domainAttachmentType": "tap"}}}}}}
    registrar, runner = (Cluster.connect(accounts[name]) for name in (REGISTRAR, RUNNER))
    try:
        for account in (registrar, runner):
            with pytest.raises(Forbidden):
                account.patch(registry.kubevirt, value)
        with pytest.raises(Forbidden):
            runner.get(registry.ref)
        assert registrar.get(registry.ref)["metadata"]["name"] == registry.ref.name
    finally:
        registrar.close()
        runner.close()


def test_a_sound_binding_survives_reconciliation(owner: Somebody, accounts: dict[str, Path]) -> None:
    before = owner.snapshot()
    site = owner.site(
        namespaces=[TEAM], access={"registrar": REGISTRAR, "runner": RUNNER}, bindingManifests="installed"
    )
    words = owner.run_options("managedtap", "REG-001", "REG-016", kubeconfig=accounts[RUNNER])
    ran = owner.call(*words, "--site", site)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    judged = {requirement: verdict for requirement, (verdict, _) in owner.verdicts("managedtap").items()}
    assert judged == {"REG-001": "conformant", "REG-016": "conformant"}
    wait_until(
        "the cluster is as it was",
        lambda: changes(before, owner.snapshot()),
        Deadline.patience(10),
        until=lambda found: not found,
    )


def test_a_name_that_hco_overwrites_is_caught(owner: Somebody) -> None:
    """The mutant of REG-016, by the requirements about registration alone."""
    ran = owner.call(*owner.run_options("managedtap-hco-overwrites", "REG-001", "REG-007", "REG-016"))
    assert ran.returncode == 1, ran.stdout + ran.stderr
    judged = {requirement: verdict for requirement, (verdict, _) in owner.verdicts("managedtap-hco-overwrites").items()}
    assert judged.pop("REG-001") == "conformant"
    assert judged == {"REG-007": "non-conformant", "REG-016": "non-conformant"}
