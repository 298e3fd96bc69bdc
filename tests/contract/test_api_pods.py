"""Pods: defaults, graceful deletion, binding, eviction."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.contract.harness import STRATEGIC_MERGE_PATCH, Api, Body, Sandbox

pytestmark = pytest.mark.since(kubernetes="1.26")


@pytest.fixture
def pods(namespace: str) -> str:
    """The collection."""
    return f"/api/v1/namespaces/{namespace}/pods"


def pod_body(name: str, **spec: Any) -> Body:
    """A pod of one container that wants no token."""
    containers = [{"name": "main", "image": "example.com/image:1"}]
    return {
        "metadata": {"name": name},
        "spec": {"automountServiceAccountToken": False, "containers": containers, **spec},
    }


@pytest.fixture
def pod(api: Api, pods: str, name: str) -> str:
    """The path of a pod that is not bound to a node."""
    api.post(pods, pod_body(name)).expect(201)
    return f"{pods}/{name}"


@pytest.fixture
def bound_pod(api: Api, sandbox: Sandbox, pods: str, name: str) -> str:
    """The path of a pod on a node that no kubelet watches (in the sandbox only)."""
    api.post(pods, pod_body(name, nodeName="node-x", terminationGracePeriodSeconds=7)).expect(201)
    return f"{pods}/{name}"


def test_pod_gets_defaults(api: Api, pod: str) -> None:
    found = api.get(pod).expect(200)
    spec = found["spec"]
    assert (spec["restartPolicy"], spec["terminationGracePeriodSeconds"]) == ("Always", 30)
    assert spec["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    assert (found["status"]["phase"], found["status"]["qosClass"]) == ("Pending", "BestEffort")


def test_pod_without_containers_is_invalid(api: Api, pods: str, name: str) -> None:
    refusal = api.post(pods, pod_body(name, containers=[])).refused(422, "Invalid")
    assert refusal["details"]["causes"][0]["field"].startswith("spec.containers")


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": "x"},
        {"containers": ["x"]},
        {"initContainers": 5},
        {"containers": [{"name": "main", "resources": {"limits": 5}}]},
        {"volumes": {}},
    ],
)
def test_garbage_in_a_pod_is_refused(api: Api, pods: str, name: str, spec: Body) -> None:
    assert api.post(pods, pod_body(name, **spec)).status in (400, 422)


def test_odd_status_does_not_hide_the_table(api: Api, sandbox: Sandbox, pod: str, pods: str, name: str) -> None:
    api.patch(f"{pod}/status", {"status": {"containerStatuses": [5]}}).expect(200)
    table = api.get(pods, accept="application/json;as=Table;v=v1;g=meta.k8s.io").expect(200)
    assert name in [row["cells"][0] for row in table["rows"]]


def test_strategic_patch_merges_containers_by_name(api: Api, pod: str) -> None:
    change = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "main", "image": "other:2"}]}}
    patched = api.patch(pod, change, STRATEGIC_MERGE_PATCH).expect(200)
    assert [(entry["name"], entry["image"]) for entry in patched["spec"]["containers"]] == [("main", "other:2")]


def test_pod_spec_is_otherwise_immutable(api: Api, pod: str) -> None:
    refusal = api.patch(pod, {"spec": {"hostname": "other"}}).refused(422, "Invalid")
    assert "pod updates may not change fields other than" in refusal["message"]


def test_pods_are_selected_by_node_and_phase(api: Api, bound_pod: str, pods: str, name: str) -> None:
    for selector in ("spec.nodeName=node-x,status.phase=Pending", "spec.nodeName!=,status.phase!=Running"):
        listed = api.get(pods, [("fieldSelector", selector)]).expect(200)
        assert name in [item["metadata"]["name"] for item in listed["items"]]


def test_unbound_pod_is_deleted_at_once(api: Api, pod: str) -> None:
    assert api.delete(pod).expect(200)["kind"] == "Pod"
    assert api.get(pod).status == 404


def test_bound_pod_waits_for_its_kubelet(api: Api, bound_pod: str) -> None:
    answer = api.delete(bound_pod).expect(200)["metadata"]
    assert answer["deletionGracePeriodSeconds"] == 7
    ends = datetime.strptime(answer["deletionTimestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert 4 < (ends - datetime.now(UTC)).total_seconds() <= 8
    assert api.get(bound_pod).status == 200
    api.delete(bound_pod, {"gracePeriodSeconds": 0}).expect(200)
    assert api.get(bound_pod).status == 404


def test_grace_period_can_only_be_shortened(api: Api, bound_pod: str) -> None:
    api.delete(bound_pod).expect(200)
    longer = api.delete(bound_pod, {"gracePeriodSeconds": 60}).expect(200)["metadata"]
    assert longer["deletionGracePeriodSeconds"] == 7
    shorter = api.delete(bound_pod, {"gracePeriodSeconds": 2}).expect(200)["metadata"]
    assert shorter["deletionGracePeriodSeconds"] == 2
    assert shorter["deletionTimestamp"] < longer["deletionTimestamp"]


def test_finished_pod_is_deleted_at_once(api: Api, bound_pod: str) -> None:
    api.patch(f"{bound_pod}/status", {"status": {"phase": "Succeeded"}}).expect(200)
    api.delete(bound_pod).expect(200)
    assert api.get(bound_pod).status == 404


def test_binding_assigns_a_node_once(api: Api, sandbox: Sandbox, pod: str) -> None:
    body = {"apiVersion": "v1", "kind": "Binding", "target": {"kind": "Node", "name": "node-x"}}
    assert api.post(f"{pod}/binding", body).expect(201)["status"] == "Success"
    bound = api.get(pod).expect(200)
    assert bound["spec"]["nodeName"] == "node-x"
    assert [entry["type"] for entry in bound["status"]["conditions"]] == ["PodScheduled"]
    api.post(f"{pod}/binding", body).refused(409, "Conflict")


def eviction(name: str) -> Body:
    """An eviction of a pod."""
    return {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}


def test_eviction_deletes(api: Api, pod: str, name: str) -> None:
    assert api.post(f"{pod}/eviction", eviction(name)).expect(201)["status"] == "Success"
    assert api.get(pod).status == 404


def test_eviction_of_an_absent_pod_is_not_found(api: Api, pods: str, name: str) -> None:
    api.post(f"{pods}/{name}/eviction", eviction(name)).refused(404, "NotFound")


def test_refused_eviction_is_too_many_requests(api: Api, sandbox: Sandbox, pod: str, name: str) -> None:
    api.patch(pod, {"metadata": {"labels": {"protected": "yes"}}}).expect(200)
    refusal = api.post(f"{pod}/eviction", eviction(name)).refused(429, "TooManyRequests")
    assert "Eviction triggered evacuation" in refusal["message"]
    assert api.get(pod).status == 200


def test_service_gets_an_address_and_keeps_it(api: Api, namespace: str, name: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/services"
    body = {"metadata": {"name": name}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}
    spec = api.post(path, body).expect(201)["spec"]
    assert spec["type"] == "ClusterIP"
    assert spec["ports"][0] == {"port": 80, "protocol": "TCP", "targetPort": 80}
    patched = api.patch(f"{path}/{name}", {"spec": {"selector": {"a": "c"}}}).expect(200)
    assert patched["spec"]["clusterIP"] == spec["clusterIP"]


def test_headless_service_has_no_address(api: Api, namespace: str, name: str) -> None:
    body = {"metadata": {"name": name}, "spec": {"clusterIP": "None", "ports": [{"port": 80}]}}
    stored = api.post(f"/api/v1/namespaces/{namespace}/services", body).expect(201)
    assert stored["spec"]["clusterIP"] == "None"


def test_events_are_selected_by_their_object(api: Api, namespace: str, name: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/events"
    involved = {"kind": "Pod", "namespace": namespace, "name": name, "uid": "u"}
    event = {"metadata": {"name": name}, "involvedObject": involved, "reason": "Tested", "type": "Normal"}
    api.post(path, event).expect(201)
    selector = f"involvedObject.name={name},involvedObject.kind=Pod,reason=Tested"
    assert len(api.get(path, [("fieldSelector", selector)]).expect(200)["items"]) == 1
