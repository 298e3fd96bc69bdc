"""Registering touches our own key only, is refused where the name is taken, and is undone from the ledger."""

from __future__ import annotations

import pytest

from conformance.cluster.install import undo
from conformance.kube.cluster import Cluster
from conformance.kube.ledger import Ledger
from conformance.kube.manifest import KUBEVIRT, dig
from conformance.kube.outcome import EnvironmentFault
from conformance.kube.registration import Registration, RegistrationTaken
from conformance.kube.timeouts import Timeouts
from tests.unit.kube.apiserver import Server

KUBEVIRT_REF = KUBEVIRT.ref("kubevirt", "kubevirt")
TAP = {"domainAttachmentType": "tap"}


def configuration(cluster: Cluster) -> dict[str, object]:
    return dict(dig(cluster.get(KUBEVIRT_REF), "spec", "configuration"))


def test_only_our_key_changes_and_the_block_restores(cluster: Cluster) -> None:
    before = configuration(cluster)
    with Registration(cluster, "one").applied(TAP), Registration(cluster, "two").applied({"migration": {}}):
        bindings = dig(configuration(cluster), "network", "binding")
        assert bindings == {"one": TAP, "two": {"migration": {}}}
        assert configuration(cluster)["developerConfiguration"] == before["developerConfiguration"]
        with Registration(cluster, "one").applied({"domainAttachmentType": "managedTap"}):
            assert Registration(cluster, "one").current() == {"domainAttachmentType": "managedTap"}
        assert Registration(cluster, "one").current() == TAP
    assert not dig(configuration(cluster), "network", "binding")
    assert configuration(cluster)["developerConfiguration"] == before["developerConfiguration"]


def test_a_field_we_drop_disappears(cluster: Cluster) -> None:
    registration = Registration(cluster, "shrinking")
    registration.apply({**TAP, "migration": {"method": "link-refresh"}})
    registration.apply(TAP)
    assert registration.current() == TAP
    registration.remove()
    assert registration.current() is None


def test_somebody_elses_registration_is_refused(cluster: Cluster) -> None:
    cluster.patch(KUBEVIRT_REF, {"spec": {"configuration": {"network": {"binding": {"theirs": TAP}}}}})
    with pytest.raises(RegistrationTaken, match=r"spec\.configuration\.network\.binding\.theirs") as taken:
        Registration(cluster, "theirs").apply({"migration": {}})
    assert isinstance(taken.value, EnvironmentFault)
    assert Registration(cluster, "theirs").current() == TAP
    cluster.patch(KUBEVIRT_REF, {"spec": {"configuration": {"network": {"binding": {"theirs": None}}}}})


def test_another_run_of_ours_is_told_from_this_one(
    server: Server, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = server.cluster(Ledger(tmp_path_factory.mktemp("other")))
    with Registration(other, "shared").applied(TAP), pytest.raises(RegistrationTaken, match="sweep"):
        Registration(cluster, "shared").apply(TAP)
    other.close()


def test_a_killed_runs_registration_is_undone_from_its_ledger(cluster: Cluster, ledger: Ledger) -> None:
    Registration(cluster, "orphan").apply(TAP)
    undone = undo(lambda _: cluster, Ledger(ledger.directory, "sweep"), Timeouts())
    assert [record.how for record in undone.undone] == ["deregister"]
    assert Registration(cluster, "orphan").current() is None
    assert not ledger.open_records()
