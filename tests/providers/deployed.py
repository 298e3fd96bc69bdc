"""The suite on somebody's cluster as `deploy/README.md` says: its accounts, and what its Jobs call."""

from __future__ import annotations

from pathlib import Path

import yaml

from conformance.access.accounts import account_kubeconfig
from conformance.access.manifests import REGISTRAR, RUNNER
from conformance.kube.manifest import Manifest
from tests.providers.somebody import BINDINGS, ROOT, Somebody

BASE = ROOT / "deploy" / "base"
SITE = BASE / "site.yaml"
HOME = "binding-conformance"


def deployed(name: str) -> list[Manifest]:
    """The objects of one file of `deploy/base`."""
    return list(yaml.safe_load_all((BASE / f"{name}.yaml").read_text(encoding="utf-8")))


def deploy(owner: Somebody, access: list[Manifest]) -> dict[str, Path]:
    """An administrator applies namespaces and accounts; the accounts' kubeconfigs by name."""
    owner.apply_all(yaml.safe_dump_all([*deployed("namespaces"), *access]))
    return {
        name: account_kubeconfig(
            owner.cluster, owner.kubeconfig, None, HOME, name, owner.directory / f"deployed-{name}"
        )
        for name in (REGISTRAR, RUNNER)
    }


def install(owner: Somebody, binding: str) -> None:
    """An administrator applies what the definition lists under manifests."""
    for path in yaml.safe_load((BINDINGS / f"{binding}.yaml").read_text())["spec"].get("manifests", []):
        owner.apply_all((BINDINGS / path).read_text())


def register(owner: Somebody, action: str, binding: str | Path, accounts: dict[str, Path]) -> None:
    """What the Jobs `register` and `unregister` call."""
    done = owner.call(action, binding, "--kubeconfig", accounts[REGISTRAR])
    assert done.returncode == 0, done.stdout + done.stderr


def suite_options(accounts: dict[str, Path]) -> list[object]:
    """The words of the Job `suite`, but for its shard."""
    return ["--cluster", "kubeconfig", "--kubeconfig", accounts[RUNNER], "--site", SITE, "--registered"]
