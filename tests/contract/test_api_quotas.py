"""ResourceQuota on pods: refusals in Kubernetes' words (v1.24 and later), and a status that is never late.

On another cluster than the sandbox the tests that end a pod by hand, or that want a status within the write, rest.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.contract.harness import Api, Body, Sandbox, eventually

pytestmark = pytest.mark.since(kubernetes="1.26")


@pytest.fixture
def space(api: Api) -> Iterator[str]:
    """The path of a namespace of the test's own."""
    path = f"/api/v1/namespaces/quota-{uuid.uuid4().hex[:8]}"
    api.post("/api/v1/namespaces", {"metadata": {"name": path.rpartition("/")[2]}}).expect(201)
    yield path
    api.delete(path)


@pytest.fixture
def quota(api: Api, space: str) -> Callable[..., str]:
    """Makes a quota of these limits, waits until it counts, and gives its path."""

    def make(hard: Body, **spec: Any) -> str:
        api.post(f"{space}/resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": hard, **spec}}).expect(201)
        path = f"{space}/resourcequotas/q"
        eventually("the quota counts", lambda: "used" in api.get(path).expect(200).get("status", {}))
        return path

    return make


def pod_body(name: str, resources: Body | None = None, **spec: Any) -> Body:
    """A pod that nobody starts (it waits for a scheduler of its own)."""
    container = {"name": "main", "image": "example.com/image:1", "resources": resources or {}}
    bare = {"automountServiceAccountToken": False, "schedulerName": "nobody", "containers": [container]}
    return {"metadata": {"name": name}, "spec": {**bare, **spec}}


def used(api: Api, path: str) -> Body:
    found: Body = api.get(path).expect(200)["status"]["used"]
    return found


def test_pods_over_the_limit_are_forbidden(api: Api, space: str, quota: Callable[..., str]) -> None:
    path = quota({"pods": 1, "count/pods": "5"})
    api.post(f"{space}/pods", pod_body("one")).expect(201)
    refusal = api.post(f"{space}/pods", pod_body("two")).refused(403, "Forbidden")
    text = "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"
    assert refusal["message"] == f'pods "two" is forbidden: {text}'
    assert refusal["details"] == {"name": "two", "kind": "pods"}
    assert api.get(f"{space}/pods/two").status == 404
    assert used(api, path) == {"pods": "1", "count/pods": "1"}
    assert api.get(path).expect(200)["status"]["hard"] == {"pods": "1", "count/pods": "5"}


def test_cpu_and_memory_are_summed_and_named_together(api: Api, space: str, quota: Callable[..., str]) -> None:
    path = quota({"requests.cpu": "1", "cpu": "1", "requests.memory": "1Gi", "limits.memory": "1024Mi"})
    resources = {"requests": {"cpu": "600m"}, "limits": {"memory": "640Mi"}}
    api.post(f"{space}/pods", pod_body("one", resources)).expect(201)
    expected = {"requests.cpu": "600m", "cpu": "600m", "requests.memory": "640Mi", "limits.memory": "640Mi"}
    assert used(api, path) == expected
    refusal = api.post(f"{space}/pods", pod_body("two", resources)).refused(403, "Forbidden")
    assert refusal["message"].partition("forbidden: ")[2] == (
        "exceeded quota: q, requested: cpu=600m,limits.memory=640Mi,requests.cpu=600m,requests.memory=640Mi, "
        "used: cpu=600m,limits.memory=640Mi,requests.cpu=600m,requests.memory=640Mi, "
        "limited: cpu=1,limits.memory=1Gi,requests.cpu=1,requests.memory=1Gi"
    )


def test_every_container_has_to_state_what_is_limited(api: Api, space: str, quota: Callable[..., str]) -> None:
    quota({"limits.cpu": "2", "limits.memory": "1Gi", "requests.cpu": "1"})
    first = {"name": "first", "image": "example.com/image:1", "resources": {"limits": {"memory": "1Mi"}}}
    body = pod_body("one", {"requests": {"cpu": "1m"}}, initContainers=[first])
    refusal = api.post(f"{space}/pods", body).refused(403, "Forbidden")
    assert refusal["message"] == (
        'pods "one" is forbidden: failed quota: q: must specify limits.cpu for: first,main; limits.memory for: main; '
        "requests.cpu for: first"
    )


def test_an_init_container_counts_only_where_it_needs_more(api: Api, space: str, quota: Callable[..., str]) -> None:
    path = quota({"requests.cpu": "1"})
    first = {"name": "first", "image": "example.com/image:1", "resources": {"requests": {"cpu": "300m"}}}
    beside = {**first, "name": "beside", "restartPolicy": "Always"}
    api.post(f"{space}/pods", pod_body("one", {"requests": {"cpu": "200m"}}, initContainers=[first])).expect(201)
    assert used(api, path) == {"requests.cpu": "300m"}
    api.post(f"{space}/pods", pod_body("two", {"requests": {"cpu": "200m"}}, initContainers=[beside])).expect(201)
    assert used(api, path) == {"requests.cpu": "800m"}


def test_a_pod_that_has_ended_makes_room(api: Api, sandbox: Sandbox, space: str, quota: Callable[..., str]) -> None:
    """Only as an object it goes on counting."""
    path = quota({"pods": "1", "count/pods": "2"})
    api.post(f"{space}/pods", pod_body("one")).expect(201)
    api.patch(f"{space}/pods/one/status", {"status": {"phase": "Succeeded"}}).expect(200)
    assert used(api, path) == {"pods": "0", "count/pods": "1"}
    api.post(f"{space}/pods", pod_body("two")).expect(201)
    refusal = api.post(f"{space}/pods", pod_body("three")).refused(403, "Forbidden")
    assert "requested: count/pods=1,pods=1, used: count/pods=2,pods=1" in refusal["message"]


def test_a_deleted_pod_makes_room(api: Api, space: str, quota: Callable[..., str]) -> None:
    path = quota({"pods": "1"})
    api.post(f"{space}/pods", pod_body("one")).expect(201)
    api.delete(f"{space}/pods/one", {"gracePeriodSeconds": 0}).expect(200)
    eventually("there is room", lambda: used(api, path) == {"pods": "0"})
    api.post(f"{space}/pods", pod_body("two")).expect(201)


def test_a_quota_counts_what_is_there_already_and_may_change(
    api: Api, sandbox: Sandbox, space: str, quota: Callable[..., str]
) -> None:
    api.post(f"{space}/pods", pod_body("one")).expect(201)
    path = quota({"pods": "1"})
    assert used(api, path) == {"pods": "1"}
    api.post(f"{space}/pods", pod_body("two")).refused(403, "Forbidden")
    api.patch(path, {"spec": {"hard": {"pods": "2"}}}).expect(200)
    assert api.get(path).expect(200)["status"] == {"hard": {"pods": "2"}, "used": {"pods": "1"}}
    api.post(f"{space}/pods", pod_body("two")).expect(201)


def test_a_dry_run_is_refused_too_and_counts_nothing(api: Api, space: str, quota: Callable[..., str]) -> None:
    path = quota({"pods": "1"})
    dry = [("dryRun", "All")]
    api.post(f"{space}/pods", pod_body("one"), dry).expect(201)
    assert used(api, path) == {"pods": "0"}
    api.post(f"{space}/pods", pod_body("one")).expect(201)
    api.post(f"{space}/pods", pod_body("two"), dry).refused(403, "Forbidden")


def test_many_at_once_get_no_more_than_there_is(api: Api, space: str, quota: Callable[..., str]) -> None:
    path = quota({"pods": "3"})
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda i: api.post(f"{space}/pods", pod_body(f"p{i}")).status, range(12)))
    assert sorted(answers) == [201] * 3 + [403] * 9
    assert used(api, path) == {"pods": "3"}


def test_a_scope_leaves_other_pods_alone(api: Api, space: str, quota: Callable[..., str]) -> None:
    path = quota({"pods": "0"}, scopes=["NotBestEffort"])
    api.post(f"{space}/pods", pod_body("one")).expect(201)
    api.post(f"{space}/pods", pod_body("two", {"requests": {"cpu": "1m"}})).refused(403, "Forbidden")
    assert used(api, path) == {"pods": "0"}


@pytest.mark.parametrize(("value", "status"), [("lots", 400), ("-1", 422)])
def test_a_limit_that_is_no_amount_is_refused(api: Api, space: str, value: str, status: int) -> None:
    body = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": value}}}
    assert api.post(f"{space}/resourcequotas", body).status == status


def test_an_amount_in_a_pod_that_is_none_is_refused(api: Api, space: str) -> None:
    refusal = api.post(f"{space}/pods", pod_body("one", {"requests": {"cpu": "lots"}})).refused(400, "BadRequest")
    assert "quantities must match the regular expression" in refusal["message"]
