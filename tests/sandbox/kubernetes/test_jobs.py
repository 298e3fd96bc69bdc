"""An indexed Job: its pods know their index, share a claim, and speak to the API by the token that is mounted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.manifest import POD, Kind, Manifest, Ref, dig, is_true
from conformance.kube.pods import pod_logs
from conformance.kube.timeouts import Deadline
from conformance.kube.wait import wait_for, wait_gone
from fixtures.images import client_image
from tests.sandbox.kubernetes.conftest import NAMESPACE_NAME

JOB = Kind("batch/v1", "Job")
CLAIM = Kind("v1", "PersistentVolumeClaim")
SCRIPT = """
import os, pathlib, ssl, sys, urllib.error, urllib.request
account = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
host = os.environ["KUBERNETES_SERVICE_HOST"] + ":" + os.environ["KUBERNETES_SERVICE_PORT"]
namespace = (account / "namespace").read_text()
request = urllib.request.Request(f"https://{host}/api/v1/namespaces/{namespace}/secrets")
request.add_header("Authorization", "Bearer " + (account / "token").read_text())
try:
    urllib.request.urlopen(request, timeout=10, context=ssl.create_default_context(cafile=account / "ca.crt"))
except urllib.error.HTTPError as refusal:
    print(refusal.read().decode())
try:
    pathlib.Path("/somewhere").touch()
except OSError as error:
    print(error.strerror)
index = os.environ["JOB_COMPLETION_INDEX"]
pathlib.Path(f"/shared/{index}").write_text(sys.argv[1])
sys.exit(int(index) == 1)
"""


@pytest.fixture
def job(cluster: Cluster) -> Iterator[Manifest]:
    """A Job whose second index fails, and does so for good; afterwards nothing of it is there."""
    claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    place = {"namespace": NAMESPACE_NAME, "name": "j"}
    cluster.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": place, "spec": claim})
    container = {
        "name": "c",
        "image": client_image(),
        "command": ["python3", "-c", SCRIPT, "index $(JOB_COMPLETION_INDEX)"],
        "securityContext": {"runAsUser": 10001, "readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    }
    volumes = [{"name": "shared", "persistentVolumeClaim": {"claimName": "j"}}]
    pod = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    spec = {"completionMode": "Indexed", "completions": 2, "parallelism": 2, "backoffLimitPerIndex": 0}
    made = cluster.create(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": place, "spec": {**spec, "template": {"spec": pod}}}
    )
    yield made
    cluster.delete(Ref.of(made))
    cluster.delete(CLAIM.ref("j", NAMESPACE_NAME))
    for entry in cluster.list(POD, NAMESPACE_NAME, labels="job-name=j").items:
        wait_gone(cluster, Ref.of(entry), Deadline.patience(30))


def test_an_indexed_job_runs_to_its_verdict(cluster: Cluster, job: Manifest) -> None:
    ref = Ref.of(job)
    ended = wait_for(
        cluster,
        ref,
        f"{ref} has failed",
        lambda seen: seen is not None and is_true(seen, "Failed"),
        Deadline.patience(60),
    )
    status = dig(ended or {}, "status", default={})
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0", "1")
    assert {c["reason"] for c in status["conditions"]} == {"FailedIndexes"}
    pods = cluster.list(POD, NAMESPACE_NAME, labels="job-name=j").items
    assert len(pods) == 2
    for pod in pods:
        said = pod_logs(cluster, NAMESPACE_NAME, pod["metadata"]["name"], "c")
        who = f"system:serviceaccount:{NAMESPACE_NAME}:default"
        assert f'User \\"{who}\\" cannot list resource \\"secrets\\"' in said, said
        assert "Read-only file system" in said
