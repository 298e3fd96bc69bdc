"""Replacing and patching objects."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Widgets
from tests.contract.harness import JSON_PATCH, STRATEGIC_MERGE_PATCH, Api, Body

pytestmark = pytest.mark.since(kubernetes="1.26")


@pytest.fixture
def path(widgets: Widgets, widget: Body) -> str:
    """Where the stored widget is."""
    return f"{widgets.path}/{widget['metadata']['name']}"


def test_update_moves_version_and_generation(api: Api, widget: Body, path: str) -> None:
    widget["spec"]["size"] = 2
    updated = api.put(path, widget).expect(200)["metadata"]
    assert updated["generation"] == 2
    assert int(updated["resourceVersion"]) > int(widget["metadata"]["resourceVersion"])


def test_stale_version_is_a_conflict(api: Api, widget: Body, path: str) -> None:
    api.patch(path, {"spec": {"size": 2}}).expect(200)
    refusal = api.put(path, widget).refused(409, "Conflict")
    assert "the object has been modified" in refusal["message"]


def test_update_without_change_keeps_the_version(api: Api, widget: Body, path: str) -> None:
    assert api.put(path, widget).expect(200)["metadata"] == widget["metadata"]


def test_update_without_version_is_invalid(api: Api, widget: Body, path: str) -> None:
    del widget["metadata"]["resourceVersion"]
    refusal = api.put(path, widget).refused(422, "Invalid")
    assert refusal["details"]["causes"][0]["field"] == "metadata.resourceVersion"


def test_update_of_an_absent_object_is_not_found(api: Api, widgets: Widgets, name: str) -> None:
    api.put(f"{widgets.path}/{name}", widgets.body(name, resourceVersion="1")).refused(404, "NotFound")


def test_update_under_another_name_is_refused(api: Api, widget: Body, path: str) -> None:
    widget["metadata"]["name"] = "another"
    api.put(path, widget).refused(400, "BadRequest")


def test_metadata_change_keeps_the_generation(api: Api, path: str) -> None:
    assert api.patch(path, {"metadata": {"labels": {"a": "b"}}}).expect(200)["metadata"]["generation"] == 1


def test_status_is_written_through_its_subresource_only(api: Api, path: str) -> None:
    both = {"spec": {"size": 9}, "status": {"phase": "Seen"}}
    through = api.patch(f"{path}/status", both).expect(200)
    assert (through["spec"]["size"], through["status"]["phase"]) == (1, "Seen")
    assert through["metadata"]["generation"] == 1
    around = api.patch(path, {"spec": {"size": 4}, "status": {"phase": "Ignored"}}).expect(200)
    assert (around["spec"]["size"], around["status"]["phase"]) == (4, "Seen")
    assert around["metadata"]["generation"] == 2


def test_json_patch_changes_values(api: Api, path: str) -> None:
    operations = [
        {"op": "test", "path": "/spec/size", "value": 1},
        {"op": "replace", "path": "/spec/size", "value": 5},
        {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}},
    ]
    patched = api.patch(path, operations, JSON_PATCH).expect(200)
    assert (patched["spec"]["size"], patched["metadata"]["labels"]) == (5, {"a": "b"})


def test_failed_test_operation_is_invalid(api: Api, path: str) -> None:
    api.patch(path, [{"op": "test", "path": "/spec/size", "value": 9}], JSON_PATCH).refused(422, "Invalid")


def test_removal_of_an_absent_path_is_invalid(api: Api, path: str) -> None:
    api.patch(path, [{"op": "remove", "path": "/spec/none"}], JSON_PATCH).refused(422, "Invalid")


@pytest.mark.parametrize("operations", [{}, 5, [5], [{"op": "fly"}], [{"path": "/spec"}]])
def test_garbage_json_patch_is_refused(api: Api, path: str, operations: object) -> None:
    assert api.patch(path, operations, JSON_PATCH).status in (400, 422)


def test_merge_patch_sets_and_removes(api: Api, path: str) -> None:
    api.patch(path, {"metadata": {"labels": {"a": "b"}}}).expect(200)
    patched = api.patch(path, {"metadata": {"labels": {"a": None, "c": "d"}}, "spec": {"size": 6}}).expect(200)
    assert (patched["spec"]["size"], patched["metadata"]["labels"]) == (6, {"c": "d"})


def test_merge_patch_with_stale_version_is_a_conflict(api: Api, path: str) -> None:
    api.patch(path, {"metadata": {"resourceVersion": "1"}, "spec": {"size": 7}}).refused(409, "Conflict")


def test_merge_patch_to_an_invalid_value_is_refused(api: Api, path: str) -> None:
    api.patch(path, {"spec": {"size": 0}}).refused(422, "Invalid")
    assert api.get(path).expect(200)["spec"]["size"] == 1


def test_kind_cannot_be_patched(api: Api, path: str) -> None:
    refusal = api.patch(path, {"kind": "Gadget"}).refused(422, "Invalid")
    assert "must be Widget" in refusal["message"]


def test_patch_dry_run_stores_nothing(api: Api, path: str) -> None:
    tried = api.patch(path, {"spec": {"size": 3}}, query=[("dryRun", "All")]).expect(200)
    assert tried["spec"]["size"] == 3
    assert api.get(path).expect(200)["spec"]["size"] == 1


def test_strategic_patch_of_a_custom_resource_is_unsupported(api: Api, path: str) -> None:
    refusal = api.patch(path, {"spec": {"size": 7}}, STRATEGIC_MERGE_PATCH)
    refusal.refused(415, "UnsupportedMediaType")


def test_unknown_patch_type_is_unsupported(api: Api, path: str) -> None:
    api.patch(path, {}, "text/plain").refused(415, "UnsupportedMediaType")


def test_new_finalizer_during_deletion_is_refused(api: Api, path: str) -> None:
    api.patch(path, {"metadata": {"finalizers": ["example.com/a"]}}).expect(200)
    api.delete(path).expect(200)
    refusal = api.patch(path, {"metadata": {"finalizers": ["example.com/a", "example.com/b"]}}).refused(422, "Invalid")
    assert "no new finalizers can be added if the object is being deleted" in refusal["message"]
    api.patch(path, {"metadata": {"finalizers": None}}).expect(200)
    assert api.get(path).status == 404
