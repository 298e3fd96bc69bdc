"""The rights that `deploy/` gives are those that whole runs use: none lacks, none is idle.

The runs are those of an administrator who follows `deploy/README.md` on an audited cluster: the definition's manifests
are applied, the registrar registers, the runner judges, the registrar takes the registration back. Checks that look at
nodes run too, with the rights that `binding-conformance access --node-access` adds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from conformance.access.manifests import access_manifests
from conformance.cluster.readiness import READY
from conformance.kube.manifest import CRD, KUBEVIRT, Kind, Manifest, Ref
from conformance.kube.registry import Registry
from conformance.site import load_site
from tests.lacking import need_root
from tests.providers.audited import Used, granted_rights, open_to_everybody, used_rights
from tests.providers.deployed import BASE, HOME, SITE, deploy, deployed, install, register, suite_options
from tests.providers.session import judge
from tests.providers.somebody import Somebody, somebody

JUDGED = {"managedtap": "default/segment", "passt": "", "macvtap": ""}
"""Bindings, and the network for secondary interfaces where no definition names it: the runner may not look for one."""


def access() -> list[Manifest]:
    """What `deploy/` gives, and what checks that look at nodes need besides."""
    registry = Registry(KUBEVIRT.ref("kubevirt", "kubevirt"), KUBEVIRT.ref("kubevirt", "kubevirt"))
    observing = access_manifests(registry, load_site(SITE).namespaces, home=HOME, node_access=True)
    every = [*deployed("access"), *observing]
    return list({(m["kind"], m["metadata"].get("namespace"), m["metadata"]["name"]): m for m in every}.values())


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[Used]]:
    """What the two accounts asked the API server for and got."""
    need_root()
    directory = tmp_path_factory.mktemp("audited")
    log = directory / "audit.log"
    with somebody(directory, tuple(JUDGED), **{"audit-log-path": str(log)}) as owner:
        accounts = deploy(owner, access())
        judge_without_dhcp(owner, accounts)
        for binding, network in JUDGED.items():
            install(owner, binding)
            register(owner, "register", binding, accounts)
            words = ("--node-access", "--guest", "reacting", *(("--secondary-network", network) if network else ()))
            ran = judge(binding, directory, *suite_options(accounts), *words)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            register(owner, "unregister", binding, accounts)
        for kind in READY:
            judge_without(owner, kind, accounts)
        yield used_rights(log)


def judge_without_dhcp(owner: Somebody, accounts: dict[str, Path]) -> None:
    """A network without a DHCP server, where a check fails and its evidence is collected."""
    definition = BASE / "binding.yaml"
    register(owner, "register", definition, accounts)
    words = ("--requirement", "DHCP-001", "--timeout-factor", "0.5")
    ran = judge(definition, owner.directory, *suite_options(accounts), *words)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    register(owner, "unregister", definition, accounts)


def judge_without(owner: Somebody, kind: Kind, accounts: dict[str, Path]) -> None:
    """A definition with something of this kind, which the administrator has forgotten to apply."""
    forgotten = owner.directory / "forgotten.yaml"
    metadata = {"name": "forgotten", **({} if kind == CRD else {"namespace": HOME})}
    manifest = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
    forgotten.write_text(yaml.safe_dump(manifest))
    definition = yaml.safe_load((BASE / "binding.yaml").read_text())
    definition["spec"]["manifests"] = [forgotten.name]
    path = owner.directory / f"without-{kind.kind}.yaml"
    path.write_text(yaml.safe_dump(definition))
    words = ("--requirement", "REG-001", "--timeout-factor", "0.02")
    ran = judge(path, owner.directory, *suite_options(accounts), *words)
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert f"{Ref.of(manifest)} is ready" in ran.stdout + ran.stderr


@pytest.mark.slow
def test_nothing_is_asked_for_that_is_not_granted(used: set[Used]) -> None:
    missing = [one for one in used - granted_rights(access()) if one[1:] not in open_to_everybody()]
    assert sorted(map(str, missing)) == [], "used and not granted"


@pytest.mark.slow
def test_nothing_is_granted_that_no_check_uses(used: set[Used]) -> None:
    assert sorted(map(str, granted_rights(access()) - used)) == [], "granted and used by no run"
