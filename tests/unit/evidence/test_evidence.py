"""The bundle of a failing check: what is in it, what is kept out of it, and that nothing stops it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from conformance.evidence.collector import MISSING, Bundle
from conformance.evidence.recorder import Evidence
from conformance.evidence.redaction import REMOVED, redact_object, redact_text
from conformance.guest.guest import Guest
from conformance.guest.image import GuestImage
from conformance.guest.keys import GuestKeys
from conformance.kube.cluster import Cluster
from conformance.kube.manifest import CONFIG_MAP, POD, Ref
from conformance.kube.timeouts import Timeouts
from conformance.kube.vmi import NicSpec, VmiSpec
from tests.unit.kube.apiserver import pod_manifest
from tests.unit.kube.backend import Backend


def test_a_bundle_has_objects_pods_logs_and_says_what_is_missing(
    cluster: Cluster, backend: Backend, tmp_path: Path
) -> None:
    keys = GuestKeys.generate()
    spec = VmiSpec("shown", "default", (NicSpec(binding="b"),), "i", keys.user_data())
    vmi = cluster.create(spec.vmi())
    pod = pod_manifest("virt-launcher-shown-1")
    pod["metadata"]["labels"] = {"kubevirt.io": "virt-launcher", "kubevirt.io/created-by": vmi["metadata"]["uid"]}
    made = Ref.of(cluster.create(pod))
    evidence = Evidence()
    evidence.about(Ref.of(vmi), CONFIG_MAP.ref("not-there", "default"))
    evidence.note("note.txt", f"key: {keys.host.private}")
    files = Bundle(cluster, tmp_path, "VM-001").collect(evidence, "Traceback: x")
    names = {Path(path).name for path in files}
    assert {"failure.txt", "note.txt", "timeline-default.txt", "kubevirt.yaml", MISSING} <= names
    assert "pod-virt-launcher-shown-1-c.log" in names
    assert all(path.startswith("evidence/VM-001/") for path in files)
    assert (
        "configmap-not-there.yaml: conformance.kube.errors.NotFound"
        in (tmp_path / "evidence/VM-001" / MISSING).read_text()
    )
    everything = "".join((tmp_path / path).read_text() for path in files)
    assert "PRIVATE KEY" not in everything
    shown = yaml.safe_load((tmp_path / "evidence/VM-001/virtualmachineinstance-shown.yaml").read_text())
    assert shown["spec"]["volumes"][1]["cloudInitNoCloud"]["userDataBase64"] == REMOVED
    cluster.delete(Ref.of(vmi))
    cluster.delete(made, grace_seconds=0)


def test_a_guest_that_cannot_be_reached_does_not_stop_it(cluster: Cluster, backend: Backend, tmp_path: Path) -> None:
    wrong = GuestImage("i", "nobody", "nothing")
    quick = Timeouts().scaled(0.01)
    evidence = Evidence()
    evidence.guest(Guest(cluster, "default", "no-login", image=wrong, keys=GuestKeys.generate(), timeouts=quick))
    files = Bundle(cluster, tmp_path, "VM-001", "[other node]").collect(evidence, "failure")
    directory = tmp_path / "evidence" / "VM-001" / "other-node"
    assert "guest-no-login-facts.yaml" in (directory / MISSING).read_text()
    assert "login:" in (directory / "guest-no-login-console.txt").read_text()
    assert files[0] == "evidence/VM-001/other-node/failure.txt"


def test_the_bundle_survives_a_cluster_that_is_gone(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise OSError("connection refused")

    monkeypatch.setattr(cluster, "get", gone)
    monkeypatch.setattr(cluster, "list", gone)
    evidence = Evidence()
    evidence.about(POD.ref("a", "default"))
    files = Bundle(cluster, tmp_path, "VM-001").collect(evidence, "failure")
    assert [Path(path).name for path in files] == ["failure.txt", MISSING]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----", "abc"),
        ("cut off -----BEGIN PRIVATE KEY-----\nabcdef", "abcdef"),
        ("Authorization: Bearer abc.def", "abc.def"),
        ("token: eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJl.c2ln", "eyJpc3MiOiJrdWJl"),
        ('{"password": "hunter2"}', "hunter2"),
        ("PASSWORD=hunter2 make", "hunter2"),
    ],
)
def test_secrets_are_removed_from_texts(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redact_text(text)
    assert REMOVED in redact_text(text)


def test_objects_keep_all_but_the_secrets() -> None:
    secret = {"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "YQ=="}, "stringData": {"b": "c"}}
    assert redact_object(secret) == {
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"a": REMOVED},
        "stringData": {"b": REMOVED},
    }
    assert redact_object({"a": [1, {"token": "x", "port": 22}], "b": None}) == {
        "a": [1, {"token": REMOVED, "port": 22}],
        "b": None,
    }
