"""`deploy/` on somebody's cluster: Jobs register, judge in two shards, and merge, each under its own account."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from conformance.kube.manifest import dig
from conformance.kube.registry import find_registry
from conformance.model import SkipReason
from tests.lacking import need_root, skip
from tests.providers.deployed import install
from tests.providers.incluster import apply, copied, overlay, said, wait_complete, wait_ended
from tests.providers.session import verdicts
from tests.providers.somebody import ROOT, Somebody, somebody
from tests.providers.suiteimage import suite_image

BINDING = "managedtap"
REQUIREMENTS = ("REG-001", "DHCP-001")
"""Of two directories of checks: one for each shard."""


@pytest.fixture(scope="module")
def kubectl() -> str:
    program = shutil.which("kubectl")
    if program is None:
        skip(SkipReason.ENVIRONMENT_LACKS, "kubectl is not installed")
    return program


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Somebody]:
    need_root()
    directory = tmp_path_factory.mktemp("incluster")
    with somebody(directory, (BINDING, suite_image(directory))) as found:
        install(found, BINDING)
        yield found


def registered(owner: Somebody) -> set[str]:
    kubevirt = owner.cluster.get(find_registry(owner.cluster).kubevirt)
    return set(dig(kubevirt, "spec", "configuration", "network", "binding", default={}))


def test_jobs_register_judge_and_merge(owner: Somebody, kubectl: str) -> None:
    """What a vendor does by `deploy/README.md`; the merged report has what each shard came to."""
    theirs = registered(owner)

    apply(owner, kubectl, overlay(owner.directory / "overlay", BINDING, *REQUIREMENTS))
    wait_complete(owner, "register", 60)
    assert registered(owner) == theirs | {BINDING}
    wait_complete(owner, "suite", 240)

    apply(owner, kubectl, ROOT / "deploy" / "merge")
    wait_ended(owner, "merge", 60)
    told = said(owner.cluster, "merge")
    assert registered(owner) == theirs, told
    assert "is not registered by us any more" in told
    assert "requirements verified: 2" in told

    apply(owner, kubectl, ROOT / "deploy" / "reader")
    found = {}
    for name in ("shard-0", "shard-1", "merged"):
        report = copied(owner.cluster, f"/reports/{name}/report.yaml", owner.directory / name / "report.yaml")
        found[name] = verdicts(report.parent)
    assert found["merged"] == dict.fromkeys(REQUIREMENTS, "conformant"), said(owner.cluster, "suite")
    assert found["merged"] == found["shard-0"] | found["shard-1"]
    assert all(len(found[shard]) == 1 for shard in ("shard-0", "shard-1")), found
