"""Deleting: finalizers, preconditions, owners, namespaces."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Widgets
from tests.contract.harness import Api, Body, eventually

pytestmark = pytest.mark.since(kubernetes="1.26")

BLOCKED: Body = {"finalizers": ["example.com/blocked"]}


def is_gone(api: Api, path: str) -> bool:
    """Whether nothing is there any more."""
    return api.get(path).status == 404


def owned_by(owner: Body) -> Body:
    """Metadata that makes `owner` the owner."""
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "blockOwnerDeletion": True}
    return {"ownerReferences": [{**reference, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}]}


def test_deletion_answers_success_and_removes(api: Api, widgets: Widgets, widget: Body) -> None:
    path = f"{widgets.path}/{widget['metadata']['name']}"
    answer = api.delete(path).expect(200)
    assert answer["status"] == "Success"
    assert answer["details"]["uid"] == widget["metadata"]["uid"]
    api.delete(path).refused(404, "NotFound")


def test_finalizer_keeps_an_object_until_it_is_taken_off(api: Api, widgets: Widgets, name: str) -> None:
    path = f"{widgets.path}/{name}"
    api.post(widgets.path, widgets.body(name, **BLOCKED)).expect(201)
    api.delete(path).expect(200)
    waiting = api.get(path).expect(200)["metadata"]
    assert waiting["deletionTimestamp"]
    assert waiting["deletionGracePeriodSeconds"] == 0
    again = api.delete(path).expect(200)["metadata"]
    assert again["deletionTimestamp"] == waiting["deletionTimestamp"]
    api.patch(path, {"metadata": {"finalizers": None}}).expect(200)
    assert is_gone(api, path)


@pytest.mark.parametrize("precondition", [{"uid": "another"}, {"resourceVersion": "1"}])
def test_failed_precondition_is_a_conflict(api: Api, widgets: Widgets, widget: Body, precondition: Body) -> None:
    path = f"{widgets.path}/{widget['metadata']['name']}"
    refusal = api.delete(path, {"preconditions": precondition}).refused(409, "Conflict")
    assert "recondition" in refusal["message"]


def test_dry_run_deletes_nothing(api: Api, widgets: Widgets, widget: Body) -> None:
    path = f"{widgets.path}/{widget['metadata']['name']}"
    api.delete(path, query=[("dryRun", "All")]).expect(200)
    assert api.get(path).status == 200


def test_collection_is_deleted_by_selector(api: Api, widgets: Widgets, name: str) -> None:
    for suffix in ("a", "b", "c"):
        labels = {"doomed": name} if suffix != "c" else {}
        api.post(widgets.path, widgets.body(f"{name}-{suffix}", labels=labels)).expect(201)
    api.delete(widgets.path, query=[("labelSelector", f"doomed={name}")]).expect(200)
    assert [is_gone(api, f"{widgets.path}/{name}-{suffix}") for suffix in "abc"] == [True, True, False]


@pytest.mark.parametrize("body", [{"gracePeriodSeconds": "x"}, {"preconditions": 5}, {"propagationPolicy": "Never"}])
def test_garbage_options_are_refused(api: Api, widgets: Widgets, widget: Body, body: Body) -> None:
    assert api.delete(f"{widgets.path}/{widget['metadata']['name']}", body).status in (400, 422)


def test_dependents_follow_their_owner(api: Api, widgets: Widgets, widget: Body, name: str) -> None:
    api.post(widgets.path, widgets.body(f"{name}-child", **owned_by(widget))).expect(201)
    api.delete(f"{widgets.path}/{name}").expect(200)
    eventually("the dependent goes", lambda: is_gone(api, f"{widgets.path}/{name}-child"), 30)


def test_dependent_of_an_absent_owner_is_collected(api: Api, widgets: Widgets, widget: Body, name: str) -> None:
    api.delete(f"{widgets.path}/{name}").expect(200)
    api.post(widgets.path, widgets.body(f"{name}-late", **owned_by(widget))).expect(201)
    eventually("the dependent goes", lambda: is_gone(api, f"{widgets.path}/{name}-late"), 60)


def test_orphans_outlive_their_owner(api: Api, widgets: Widgets, widget: Body, name: str) -> None:
    child = f"{widgets.path}/{name}-child"
    api.post(widgets.path, widgets.body(f"{name}-child", **owned_by(widget))).expect(201)
    api.delete(f"{widgets.path}/{name}", {"propagationPolicy": "Orphan"}).expect(200)
    eventually("the owner goes", lambda: is_gone(api, f"{widgets.path}/{name}"))
    eventually("the reference goes", lambda: not api.get(child).expect(200)["metadata"].get("ownerReferences"))


def test_foreground_deletion_waits_for_dependents(api: Api, widgets: Widgets, widget: Body, name: str) -> None:
    owner, child = f"{widgets.path}/{name}", f"{widgets.path}/{name}-child"
    api.post(widgets.path, widgets.body(f"{name}-child", **owned_by(widget), **BLOCKED)).expect(201)
    api.delete(owner, {"propagationPolicy": "Foreground"}).expect(200)
    eventually("the dependent is being deleted", lambda: api.get(child).body["metadata"].get("deletionTimestamp"), 30)
    assert api.get(owner).expect(200)["metadata"]["finalizers"] == ["foregroundDeletion"]
    api.patch(child, {"metadata": {"finalizers": None}}).expect(200)
    eventually("the owner goes", lambda: is_gone(api, owner), 30)


def test_namespace_takes_its_objects_along(api: Api, widgets: Widgets, name: str) -> None:
    inside = f"/apis/{widgets.api_version}/namespaces/{name}/widgets"
    api.post("/api/v1/namespaces", {"metadata": {"name": name}}).expect(201)
    api.post(inside, widgets.body("one", **BLOCKED)).expect(201)
    api.post(f"/api/v1/namespaces/{name}/configmaps", {"metadata": {"name": "two"}}).expect(201)
    answer = api.delete(f"/api/v1/namespaces/{name}").expect(200)
    assert answer["status"]["phase"] == "Terminating"
    eventually("its objects go", lambda: is_gone(api, f"/api/v1/namespaces/{name}/configmaps/two"), 30)
    refusal = api.post(inside, widgets.body("late")).refused(403, "Forbidden")
    assert refusal["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    assert not is_gone(api, f"/api/v1/namespaces/{name}")
    api.patch(f"{inside}/one", {"metadata": {"finalizers": None}}).expect(200)
    eventually("the namespace goes", lambda: is_gone(api, f"/api/v1/namespaces/{name}"), 30)


def test_new_namespace_is_furnished(api: Api, name: str) -> None:
    created = api.post("/api/v1/namespaces", {"metadata": {"name": name}}).expect(201)
    assert created["status"]["phase"] == "Active"
    assert created["metadata"]["labels"]["kubernetes.io/metadata.name"] == name
    path = f"/api/v1/namespaces/{name}"
    eventually("a default account", lambda: api.get(f"{path}/serviceaccounts/default").status == 200)
    api.delete(path).expect(200)


def test_definition_takes_its_objects_along(api: Api, namespace: str) -> None:
    other = Widgets(f"gone.{namespace}.example.com", namespace)
    collection = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    api.post(collection, other.definition()).expect(201)
    eventually("it is served", lambda: api.get(other.path).status == 200)
    api.post(other.path, other.body("one")).expect(201)
    api.delete(f"{collection}/{other.crd}").expect(200)
    eventually("it is no longer served", lambda: is_gone(api, other.path), 30)


def test_definition_under_a_wrong_name_is_refused(api: Api, namespace: str) -> None:
    body = Widgets(f"bad.{namespace}.example.com", namespace).definition()
    body["metadata"]["name"] = "another.example.com"
    api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body).refused(422, "Invalid")
