"""Server-side apply."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.conftest import Widgets
from tests.contract.harness import APPLY_PATCH, Api, Body

pytestmark = pytest.mark.since(kubernetes="1.26")


@pytest.fixture
def path(widgets: Widgets, name: str) -> str:
    """Where the applied widget will be."""
    return f"{widgets.path}/{name}"


def configuration(widgets: Widgets, name: str, **spec: Any) -> Body:
    """A widget as an applier writes it."""
    return widgets.body(name, spec)


def managers(body: Body) -> dict[tuple[str, str], Any]:
    """fieldsV1 by (manager, operation)."""
    entries = body["metadata"]["managedFields"]
    return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in entries}


def test_apply_creates_and_owns(api: Api, widgets: Widgets, path: str, name: str) -> None:
    created = api.apply(path, configuration(widgets, name, size=2), "one").expect(201)
    assert managers(created)["one", "Apply"] == {"f:spec": {"f:size": {}}}


def test_apply_of_the_same_keeps_the_version(api: Api, widgets: Widgets, path: str, name: str) -> None:
    first = api.apply(path, configuration(widgets, name, size=2), "one").expect(201)
    second = api.apply(path, configuration(widgets, name, size=2), "one").expect(200)
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


def test_foreign_field_is_a_conflict(api: Api, widgets: Widgets, path: str, name: str) -> None:
    api.apply(path, configuration(widgets, name, size=2), "one").expect(201)
    refusal = api.apply(path, configuration(widgets, name, size=3), "two").refused(409, "Conflict")
    assert refusal["message"] == 'Apply failed with 1 conflict: conflict with "one": .spec.size'
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".spec.size"}
    assert refusal["details"]["causes"] == [cause]


def test_force_takes_a_field_over(api: Api, widgets: Widgets, path: str, name: str) -> None:
    api.apply(path, configuration(widgets, name, size=2), "one").expect(201)
    forced = api.apply(path, configuration(widgets, name, size=3), "two", force=True).expect(200)
    assert forced["spec"]["size"] == 3
    assert set(managers(forced)) >= {("two", "Apply")}
    assert ("one", "Apply") not in managers(forced)


def test_equal_value_is_shared(api: Api, widgets: Widgets, path: str, name: str) -> None:
    api.apply(path, configuration(widgets, name, size=2), "one").expect(201)
    shared = api.apply(path, configuration(widgets, name, size=2), "two").expect(200)
    assert {("one", "Apply"), ("two", "Apply")} <= set(managers(shared))


def test_dropped_field_is_removed(api: Api, widgets: Widgets, path: str, name: str) -> None:
    api.apply(path, configuration(widgets, name, size=2, tags=["x"]), "one").expect(201)
    applied = api.apply(path, configuration(widgets, name, size=2), "one").expect(200)
    assert "tags" not in applied["spec"]


def test_dropped_field_of_two_managers_stays(api: Api, widgets: Widgets, path: str, name: str) -> None:
    api.apply(path, configuration(widgets, name, size=2, tags=["x"]), "one").expect(201)
    api.apply(path, configuration(widgets, name, size=2, tags=["x"]), "two").expect(200)
    applied = api.apply(path, configuration(widgets, name, size=2), "one").expect(200)
    assert applied["spec"]["tags"] == ["x"]


def test_two_managers_own_keys_of_one_map(api: Api, widgets: Widgets, path: str, name: str) -> None:
    api.apply(path, configuration(widgets, name, size=1, options={"a": "1"}), "one").expect(201)
    api.apply(path, configuration(widgets, name, size=1, options={"b": "2"}), "two").expect(200)
    applied = api.apply(path, configuration(widgets, name, size=1), "one").expect(200)
    assert applied["spec"]["options"] == {"b": "2"}


def test_list_items_are_merged_by_key_and_removed_whole(api: Api, widgets: Widgets, path: str, name: str) -> None:
    mine = [{"name": "a", "weight": 1}, {"name": "b", "weight": 2}]
    api.apply(path, configuration(widgets, name, size=1, parts=mine), "one").expect(201)
    api.apply(path, configuration(widgets, name, size=1, parts=[{"name": "c"}]), "two").expect(200)
    applied = api.apply(path, configuration(widgets, name, size=1, parts=mine[:1]), "one").expect(200)
    assert applied["spec"]["parts"] == [{"name": "a", "weight": 1}, {"name": "c"}]


def test_update_takes_ownership_of_what_it_changes(api: Api, widgets: Widgets, path: str, name: str) -> None:
    api.apply(path, configuration(widgets, name, size=2), "one").expect(201)
    api.patch(path, {"spec": {"size": 5}}, query=[("fieldManager", "editor")]).expect(200)
    refusal = api.apply(path, configuration(widgets, name, size=2), "one").refused(409, "Conflict")
    assert f'conflict with "editor" using {widgets.api_version}' in refusal["message"]


def test_applied_labels_are_owned_one_by_one(api: Api, widgets: Widgets, path: str, name: str) -> None:
    body = configuration(widgets, name, size=1)
    body["metadata"]["labels"] = {"mine": "1"}
    api.apply(path, body, "one").expect(201)
    api.patch(path, {"metadata": {"labels": {"theirs": "2"}}}).expect(200)
    applied = api.apply(path, configuration(widgets, name, size=1), "one").expect(200)
    assert applied["metadata"]["labels"] == {"theirs": "2"}


def test_apply_needs_a_manager(api: Api, widgets: Widgets, path: str, name: str) -> None:
    refusal = api.patch(path, configuration(widgets, name, size=1), APPLY_PATCH).refused(422, "Invalid")
    assert "fieldManager" in refusal["message"]


def test_apply_needs_an_api_version(api: Api, path: str) -> None:
    query = [("fieldManager", "one")]
    api.patch(path, {"spec": {"size": 1}}, APPLY_PATCH, query).refused(400, "BadRequest")


def test_apply_under_another_name_is_refused(api: Api, widgets: Widgets, path: str) -> None:
    api.apply(path, configuration(widgets, "another", size=1), "one").refused(400, "BadRequest")


def test_apply_accepts_yaml(api: Api, widgets: Widgets, path: str, name: str) -> None:
    text = f"apiVersion: {widgets.api_version}\nkind: Widget\nmetadata: {{name: {name}}}\nspec: {{size: 3}}\n"
    found = api.raw("PATCH", path, [("fieldManager", "one")], data=text.encode(), Content_Type=APPLY_PATCH)
    assert found.status == 201


def test_applied_invalid_value_is_refused(api: Api, widgets: Widgets, path: str, name: str) -> None:
    api.apply(path, configuration(widgets, name, size=99), "one").refused(422, "Invalid")
