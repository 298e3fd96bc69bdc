"""One cluster of somebody's for all tests of this directory, and what its administrator does for us."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.access.accounts import account_kubeconfig
from conformance.access.manifests import REGISTRAR, RUNNER
from tests.lacking import need_root
from tests.providers.somebody import BINDINGS, ROOT, Somebody, changes, somebody

TEAM = "team-a"
"""Their namespace for us."""

SLIRP = ROOT / "tests" / "data" / "guide" / "slirp-image.yaml"
"""The sidecar that KubeVirt's guide names."""


@pytest.fixture(scope="package")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Somebody]:
    need_root()
    with somebody(tmp_path_factory.mktemp("foreign"), ("managedtap", "passt", "macvtap", SLIRP)) as found:
        yield found


@pytest.fixture
def nothing_changes(owner: Somebody) -> Iterator[None]:
    """Whatever happens in between, the cluster is afterwards as it was."""
    before = owner.snapshot()
    yield
    assert changes(before, owner.snapshot()) == []


@pytest.fixture(scope="package")
def accounts(owner: Somebody) -> dict[str, Path]:
    """What an administrator does for us: the printed roles, the binding's manifests, and the accounts' kubeconfigs."""
    printed = owner.call("access", "--namespace", TEAM, "--kubeconfig", owner.kubeconfig)
    assert printed.returncode == 0, printed.stderr
    owner.apply_all(printed.stdout)
    owner.apply_all((BINDINGS / "manifests" / "node-dhcp.yaml").read_text())
    return {
        name: account_kubeconfig(owner.cluster, owner.kubeconfig, None, TEAM, name, owner.directory / name)
        for name in (REGISTRAR, RUNNER)
    }
