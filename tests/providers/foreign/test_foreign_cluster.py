"""The provider `kubeconfig` on a cluster that belongs to somebody: nothing of theirs changes by a byte."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from conformance.access.manifests import REGISTRAR, RUNNER
from conformance.kube.manifest import NAD, Kind
from tests.providers.deployed import SITE, deploy, deployed, install, register
from tests.providers.foreign.conftest import TEAM
from tests.providers.somebody import BINDINGS, RBAC, Somebody, changes


def test_two_accounts_and_one_namespace_are_enough(
    owner: Somebody, accounts: dict[str, Path], nothing_changes: None
) -> None:
    site = owner.site(
        namespaces=[TEAM],
        access={"registrar": REGISTRAR, "runner": RUNNER},
        bindingManifests="installed",
    )
    words = owner.run_options(
        "managedtap", "REG-001", "REG-002", "CONN-001", "MIG-003", "LIFE-001", kubeconfig=accounts[RUNNER]
    )
    ran = owner.call(*words, "--site", site)
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert owner.report_dir("managedtap").exists(), ran.stdout + ran.stderr
    found = owner.verdicts("managedtap")
    decided = {requirement: verdict for requirement, (verdict, _) in found.items()}
    assert decided.pop("LIFE-001") == "inconclusive"
    assert "no node access" in found["LIFE-001"][1]
    assert decided == dict.fromkeys(("REG-001", "REG-002", "CONN-001", "MIG-003"), "conformant")


def test_the_account_of_the_job_is_enough_for_the_checks_of_registration(owner: Somebody) -> None:
    """As `deploy/` has it: an administrator installs, the registrar registers, and a shard has the runner alone."""
    accounts = deploy(owner, deployed("access"))
    install(owner, "passt")
    register(owner, "register", "passt", accounts)
    before = owner.snapshot()
    try:
        words = owner.run_options("passt", "REG-003", "REG-008", "REG-010", kubeconfig=accounts[RUNNER])
        ran = owner.call(*words, "--site", SITE, "--registered")
        assert changes(before, owner.snapshot()) == [], "the registration that shards share stays"
    finally:
        register(owner, "unregister", "passt", accounts)
        owner.cluster.delete(NAD.ref("netbindingpasst", "default"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    decided = {requirement: verdict for requirement, (verdict, _) in owner.verdicts("passt").items()}
    assert decided == dict.fromkeys(("REG-003", "REG-008", "REG-010"), "conformant")


def test_a_quota_without_room_is_no_fault_of_the_binding(owner: Somebody, accounts: dict[str, Path]) -> None:
    quota = Kind("v1", "ResourceQuota").ref("tight", TEAM)
    head = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": quota.name, "namespace": TEAM}}
    site = owner.site(namespaces=[TEAM], access={"registrar": REGISTRAR}, bindingManifests="installed")
    owner.cluster.create({**head, "spec": {"hard": {"pods": "0"}}})
    try:
        words = owner.run_options("managedtap", "REG-001", "CONN-001", kubeconfig=accounts[RUNNER])
        ran = owner.call(*words, "--site", site)
    finally:
        owner.cluster.delete(quota)
    assert ran.returncode == 3, ran.stdout + ran.stderr
    found = owner.verdicts("managedtap")
    assert {requirement: verdict for requirement, (verdict, _) in found.items()} == {
        "REG-001": "inconclusive",
        "CONN-001": "inconclusive",
    }
    assert all("exceeded quota: tight, requested: pods=1" in message for _, message in found.values()), found


@pytest.mark.slow
def test_a_guest_that_no_registry_has_is_no_fault_of_the_binding(owner: Somebody, accounts: dict[str, Path]) -> None:
    image = "registry.example/guest:1"
    site = owner.site(
        namespaces=[TEAM],
        access={"registrar": REGISTRAR},
        bindingManifests="installed",
        guest={"image": image, "user": "fedora", "password": "fedora"},
        timeoutFactor=0.1,
    )
    ran = owner.call(*owner.run_options("managedtap", "REG-001", kubeconfig=accounts[RUNNER]), "--site", site)
    assert ran.returncode == 3, ran.stdout + ran.stderr
    (verdict, message) = owner.verdicts("managedtap")["REG-001"]
    assert verdict == "inconclusive"
    assert message.startswith(f"no guest: {image} is not pulled"), message


def test_a_lacking_verb_ends_the_run_before_it_makes_anything(owner: Somebody, accounts: dict[str, Path]) -> None:
    role = Kind(RBAC, "Role").ref(RUNNER, TEAM)
    before = owner.cluster.get(role)["rules"]
    rules = [rule for rule in before if rule["resources"] != ["pods/exec"]]
    site = owner.site(namespaces=[TEAM], access={"registrar": REGISTRAR}, bindingManifests="installed")
    owner.cluster.patch(role, {"rules": rules})
    untouched = owner.snapshot()
    try:
        ran = owner.call(*owner.run_options("managedtap", "REG-001", kubeconfig=accounts[RUNNER]), "--site", site)
        assert changes(untouched, owner.snapshot()) == []
    finally:
        owner.cluster.patch(role, {"rules": before})
    assert ran.returncode == 3
    assert "the runner account may not" in ran.stdout
    assert f"create pods/exec in namespace {TEAM} (to measure from client pods" in ran.stdout
    assert "binding-conformance access" in ran.stdout


def test_an_account_without_namespaces_is_told_so(owner: Somebody, accounts: dict[str, Path]) -> None:
    ran = owner.call(*owner.run_options("managedtap", "REG-001", kubeconfig=accounts[RUNNER]))
    assert ran.returncode == 3
    assert "may not create namespaces: name those it may use in spec.namespaces" in ran.stdout


def test_a_name_that_somebody_has_is_left_alone(owner: Somebody, nothing_changes: None) -> None:
    definition = yaml.safe_load((BINDINGS / "managedtap.yaml").read_text())
    definition["metadata"]["name"] = "theirs"
    definition["spec"].pop("manifests")
    definition["spec"].pop("artifacts")
    path = owner.directory / "theirs.yaml"
    path.write_text(yaml.safe_dump(definition))
    ran = owner.call(*owner.run_options(path, "REG-001"))
    assert ran.returncode == 3
    assert "binding.theirs is set already" in ran.stdout
    assert "by their-admin" in ran.stdout


def test_a_manifest_that_somebody_has_otherwise_is_left_alone(owner: Somebody) -> None:
    nad = yaml.safe_load((BINDINGS / "manifests" / "passt-nad.yaml").read_text())
    nad["spec"]["config"] = nad["spec"]["config"].replace("1.0.0", "0.4.0")
    made = owner.cluster.create(nad)
    before = owner.snapshot()
    ran = owner.call(*owner.run_options("passt", "REG-001"))
    assert changes(before, owner.snapshot()) == []
    assert ran.returncode == 3
    assert "differs from the definition's at spec.config" in ran.stdout
    owner.cluster.delete(Kind.of(made).ref("netbindingpasst", "default"))


def test_a_killed_run_is_swept(owner: Somebody, accounts: dict[str, Path], nothing_changes: None) -> None:
    words = owner.command(*owner.run_options("passt", "VM-001"))
    with subprocess.Popen(
        words, env=owner.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        assert run.stdout
        seen = next((line for line in run.stdout if "collected" in line), "")
        assert seen, "the run ended before its first check"
        os.killpg(run.pid, signal.SIGKILL)
    assert find_leftovers(owner)
    swept = owner.call("sweep")
    assert swept.returncode == 0, swept.stderr


def find_leftovers(owner: Somebody) -> list[str]:
    return [name for name in owner.snapshot() if "kbc-" in name]


def test_two_bindings_at_a_time(owner: Somebody, accounts: dict[str, Path], nothing_changes: None) -> None:
    """One finishes while the other still runs; neither takes anything from the other."""
    quick = owner.command(*owner.run_options("passt", "REG-001", "REG-007"))
    slow = owner.command(*owner.run_options("managedtap", "REG-001", "MIG-003", "REG-007"))
    runs = [
        subprocess.Popen(words, env=owner.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for words in (slow, quick)
    ]
    said = [run.communicate(timeout=240)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(said)
