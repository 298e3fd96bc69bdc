"""What becomes of a VM that cannot migrate is KubeVirt's part; the check of it fails where KubeVirt does it wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from conformance.kube.errors import ApiError, from_status
from conformance.kube.manifest import VMI, Manifest, Ref
from conformance.kube.outcome import NonConformant
from fixtures.measure import Measure
from fixtures.nomads import Nomad
from fixtures.sights import Sight
from suites.migration.test_not_migratable import test_vm_that_cannot_migrate_is_left_alone as check

REFUSAL = from_status("create", 400, "", "Cannot migrate VMI, Reason: InterfaceNotLiveMigratable, Message: cannot ...")
KEPT = "VMI vm is configured with an eviction strategy but is not live-migratable"


class Migrations:
    """An API server that answers the creation of a migration as the test wants."""

    def __init__(self, answer: ApiError | None) -> None:
        self.answer = answer
        self.deleted: list[Ref] = []

    def create(self, manifest: Manifest) -> Manifest:
        if self.answer is not None:
            raise self.answer
        return {**manifest, "metadata": {"name": "made", "namespace": "ns", "uid": "1"}}

    def delete(self, ref: Ref) -> None:
        self.deleted.append(ref)


@dataclass(frozen=True)
class Outcome:
    """What is seen of a VM on node ``a`` after an eviction of its pod."""

    code: int = 429
    message: str = KEPT
    node: str = "a"
    same_boot: bool = True
    connected: Sight = field(default_factory=lambda: Sight(0.1))


def judge(cluster: Migrations, seen: Outcome) -> None:
    """The check, with an API server and with what is seen after the eviction."""
    machine = SimpleNamespace(ref=VMI.ref("vm", "ns"), run=SimpleNamespace(cluster=cluster))
    before, after = SimpleNamespace(node="a"), SimpleNamespace(node=seen.node)
    story = SimpleNamespace(**{**vars(seen), "before": before, "after": after})
    nomad = SimpleNamespace(machine=machine, keep=lambda: story)
    check(cast(Nomad, nomad), cast(Measure, lambda _: None))


def test_a_vm_that_is_left_alone() -> None:
    cluster = Migrations(REFUSAL)
    judge(cluster, Outcome())
    assert cluster.deleted == []


def test_a_migration_that_is_admitted_is_taken_back() -> None:
    cluster = Migrations(None)
    with pytest.raises(AssertionError, match="was admitted"):
        judge(cluster, Outcome())
    assert [ref.name for ref in cluster.deleted] == ["made"]


def test_a_migration_that_is_refused_for_another_reason() -> None:
    other = from_status("create", 400, "", "Cannot migrate VMI, Reason: DisksNotLiveMigratable")
    with pytest.raises(AssertionError, match="DisksNotLiveMigratable"):
        judge(Migrations(other), Outcome())


@pytest.mark.parametrize(
    "seen",
    [
        Outcome(code=201, message=""),
        Outcome(message='Eviction triggered evacuation of VMI "ns/vm"'),
        Outcome(node="b"),
        Outcome(same_boot=False),
    ],
)
def test_a_vm_that_is_not_left_alone(seen: Outcome) -> None:
    with pytest.raises(AssertionError):
        judge(Migrations(REFUSAL), seen)


def test_a_vm_that_is_cut_off() -> None:
    with pytest.raises(NonConformant, match="no connection"):
        judge(Migrations(REFUSAL), Outcome(connected=Sight(1.0, NonConformant("no connection"))))
