"""Creating objects: what the server adds, drops and refuses."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.contract.conftest import Widgets
from tests.contract.harness import Api, Body, Sandbox

pytestmark = pytest.mark.since(kubernetes="1.26")


def causes(body: Body) -> list[tuple[str, str]]:
    """(field, reason) of every cause."""
    return [(cause["field"], cause["reason"]) for cause in body["details"]["causes"]]


def test_server_sets_identity_and_generation(widget: Body, namespace: str) -> None:
    metadata = widget["metadata"]
    assert str(uuid.UUID(metadata["uid"])) == metadata["uid"]
    assert int(metadata["resourceVersion"]) > 0
    assert metadata["generation"] == 1
    assert metadata["namespace"] == namespace
    assert metadata["creationTimestamp"].endswith("Z")


def test_server_ignores_identity_that_the_client_invents(api: Api, widgets: Widgets, name: str) -> None:
    invented: Body = {"uid": "x", "creationTimestamp": "2000-01-01T00:00:00Z", "generation": 7}
    body = widgets.body(name, **invented, deletionTimestamp="2000-01-01T00:00:00Z")
    metadata = api.post(widgets.path, body).expect(201)["metadata"]
    assert {key: metadata[key] for key in invented} != invented
    assert "deletionTimestamp" not in metadata


def test_schema_defaults_are_set(widget: Body) -> None:
    assert widget["spec"]["mode"] == "a"


def test_null_counts_as_absent_for_a_default(api: Api, widgets: Widgets, name: str) -> None:
    stored = api.post(widgets.path, widgets.body(name, {"size": 1, "mode": None})).expect(201)
    assert stored["spec"]["mode"] == "a"


def test_unknown_fields_are_pruned_unless_preserved(api: Api, widgets: Widgets, name: str) -> None:
    spec = {"size": 1, "bogus": 1, "opaque": {"kept": 1}}
    stored = api.post(widgets.path, widgets.body(name, spec)).expect(201)
    assert stored["spec"] == {"size": 1, "mode": "a", "opaque": {"kept": 1}}


def test_unknown_field_is_warned_about(api: Api, widgets: Widgets, name: str) -> None:
    found = api.post(widgets.path, widgets.body(name, {"size": 1, "bogus": 1}))
    assert found.headers["Warning"] == r'299 - "unknown field \"spec.bogus\""'


def test_unknown_field_is_refused_when_strict(api: Api, widgets: Widgets, name: str) -> None:
    body = widgets.body(name, {"size": 1, "bogus": 1})
    refusal = api.post(widgets.path, body, [("fieldValidation", "Strict")]).refused(400, "BadRequest")
    assert refusal["message"] == (
        'Widget in version "v1" cannot be handled as a Widget: strict decoding error: unknown field "spec.bogus"'
    )


def test_status_is_ignored_on_creation(api: Api, widgets: Widgets, name: str) -> None:
    stored = api.post(widgets.path, {**widgets.body(name), "status": {"phase": "Invented"}}).expect(201)
    assert not stored.get("status")


def test_taken_name_is_refused(api: Api, widgets: Widgets, widget: Body) -> None:
    name = widget["metadata"]["name"]
    refusal = api.post(widgets.path, widgets.body(name)).refused(409, "AlreadyExists")
    assert refusal["message"] == f'widgets.{widgets.group} "{name}" already exists'
    assert refusal["details"] == {"name": name, "group": widgets.group, "kind": "widgets"}


def test_absent_object_is_not_found(api: Api, widgets: Widgets) -> None:
    refusal = api.get(f"{widgets.path}/absent").refused(404, "NotFound")
    assert refusal["message"] == f'widgets.{widgets.group} "absent" not found'
    assert refusal["details"] == {"name": "absent", "group": widgets.group, "kind": "widgets"}


def test_missing_namespace_is_not_found(api: Api, widgets: Widgets, name: str) -> None:
    path = f"/apis/{widgets.api_version}/namespaces/no-such-namespace/widgets"
    assert api.post(path, widgets.body(name)).refused(404, "NotFound")["details"]["kind"] == "namespaces"


def test_foreign_namespace_in_the_body_is_refused(api: Api, widgets: Widgets, name: str) -> None:
    api.post(widgets.path, widgets.body(name, namespace="elsewhere")).refused(400, "BadRequest")


@pytest.mark.parametrize(
    ("spec", "cause", "text"),
    [
        ({"size": 99}, ("spec.size", "FieldValueInvalid"), "should be less than or equal to 10"),
        ({"size": 0}, ("spec.size", "FieldValueInvalid"), "should be greater than or equal to 1"),
        ({"size": "x"}, ("spec.size", "FieldValueTypeInvalid"), 'must be of type integer: "string"'),
        ({}, ("spec.size", "FieldValueRequired"), "Required value"),
        ({"size": 1, "mode": "q"}, ("spec.mode", "FieldValueNotSupported"), 'supported values: "a", "b"'),
        ({"size": 1, "code": "X1"}, ("spec.code", "FieldValueInvalid"), "should match '^[a-z]+$'"),
        ({"size": 1, "tags": [5]}, ("spec.tags[0]", "FieldValueTypeInvalid"), 'must be of type string: "integer"'),
        ({"size": 1, "parts": [{}]}, ("spec.parts[0].name", "FieldValueRequired"), "Required value"),
    ],
)
def test_invalid_value_names_field_and_reason(
    api: Api, widgets: Widgets, spec: dict[str, Any], cause: tuple[str, str], text: str
) -> None:
    refusal = api.post(widgets.path, widgets.body("invalid", spec)).refused(422, "Invalid")
    assert cause in causes(refusal)
    assert text in refusal["message"]
    assert refusal["details"]["kind"] == "Widget"


@pytest.mark.parametrize("bad", ["Bad_Name", "-x", "x" * 254, "a..b"])
def test_invalid_name_is_refused(api: Api, widgets: Widgets, bad: str) -> None:
    refusal = api.post(widgets.path, widgets.body(bad)).refused(422, "Invalid")
    assert ("metadata.name", "FieldValueInvalid") in causes(refusal)


def test_missing_name_is_refused(api: Api, widgets: Widgets) -> None:
    assert ("metadata.name", "FieldValueRequired") in causes(
        api.post(widgets.path, widgets.body("")).refused(422, "Invalid")
    )


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"labels": {"bad key!": "x"}}, "metadata.labels"),
        ({"labels": {"key": "bad value!"}}, "metadata.labels"),
        ({"annotations": {"bad key!": "x"}}, "metadata.annotations"),
        ({"finalizers": ["bad finalizer!"]}, "metadata.finalizers"),
    ],
)
def test_invalid_metadata_is_refused(
    api: Api, widgets: Widgets, name: str, metadata: dict[str, Any], field: str
) -> None:
    refusal = api.post(widgets.path, widgets.body(name, **metadata)).refused(422, "Invalid")
    assert (field, "FieldValueInvalid") in causes(refusal)


def test_owner_reference_without_uid_is_refused(api: Api, widgets: Widgets, name: str) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner"}
    refusal = api.post(widgets.path, widgets.body(name, ownerReferences=[owner])).refused(422, "Invalid")
    assert "uid" in refusal["message"]


def test_generated_name_has_five_more_characters(api: Api, widgets: Widgets) -> None:
    body = widgets.body("")
    body["metadata"] = {"generateName": "generated-"}
    stored = api.post(widgets.path, body).expect(201)["metadata"]
    assert stored["name"].startswith("generated-")
    assert len(stored["name"]) == len("generated-") + 5


def test_dry_run_stores_nothing(api: Api, widgets: Widgets, name: str) -> None:
    tried = api.post(widgets.path, widgets.body(name), [("dryRun", "All")]).expect(201)
    assert tried["spec"]["mode"] == "a"
    assert api.get(f"{widgets.path}/{name}").status == 404


def test_dry_run_still_refuses(api: Api, widgets: Widgets, name: str) -> None:
    api.post(widgets.path, widgets.body(name, {"size": 99}), [("dryRun", "All")]).refused(422, "Invalid")


def test_int_or_string_takes_both(api: Api, widgets: Widgets, name: str) -> None:
    for index, port in enumerate((80, "http")):
        stored = api.post(widgets.path, widgets.body(f"{name}-{index}", {"size": 1, "port": port})).expect(201)
        assert stored["spec"]["port"] == port


def test_foreign_version_in_the_body_is_refused(api: Api, widgets: Widgets, name: str) -> None:
    body = {**widgets.body(name), "apiVersion": f"{widgets.group}/v2"}
    api.post(widgets.path, body).refused(400, "BadRequest")


def test_secret_string_data_is_encoded(api: Api, namespace: str, name: str) -> None:
    body = {"metadata": {"name": name}, "stringData": {"key": "v"}}
    stored = api.post(f"/api/v1/namespaces/{namespace}/secrets", body).expect(201)
    assert stored["data"] == {"key": "dg=="}
    assert "stringData" not in stored
    assert stored["type"] == "Opaque"


def test_typed_client_round_trips_a_config_map(api: Api, namespace: str, name: str) -> None:
    core = api.typed()
    core.create_namespaced_config_map(namespace, {"metadata": {"name": name}, "data": {"a": "b"}})
    assert core.read_namespaced_config_map(name, namespace).data == {"a": "b"}
    core.delete_namespaced_config_map(name, namespace)


def test_wrong_type_in_a_built_in_kind_is_a_bad_request(api: Api, namespace: str, name: str) -> None:
    body = {"metadata": {"name": name}, "data": {"a": 5}}
    api.post(f"/api/v1/namespaces/{namespace}/configmaps", body).refused(400, "BadRequest")


@pytest.mark.parametrize("data", [b"{bad json", b"[]", b"5", b'"text"', b"", b"\xff\xfe"])
def test_garbage_is_a_bad_request(api: Api, widgets: Widgets, data: bytes) -> None:
    found = api.raw("POST", widgets.path, data=data, Content_Type="application/json")
    assert found.status == 400
    assert json.loads(found.data)["reason"] == "BadRequest"


@pytest.mark.parametrize("metadata", [{"labels": ["x"]}, {"labels": {"a": 1}}, {"finalizers": "x"}, {"name": 5}])
def test_metadata_of_wrong_type_is_a_bad_request(api: Api, widgets: Widgets, metadata: Body) -> None:
    body = {**widgets.body("x"), "metadata": {"name": "x", **metadata}}
    api.post(widgets.path, body).refused(400, "BadRequest")


def test_deeply_nested_body_is_refused(api: Api, widgets: Widgets) -> None:
    depth = 3_000
    data = b'{"a":' * depth + b"1" + b"}" * depth
    assert api.raw("POST", widgets.path, data=data, Content_Type="application/json").status == 400


def test_body_over_three_mebibytes_is_too_large(api: Api, sandbox: Sandbox, namespace: str, name: str) -> None:
    body = {"metadata": {"name": name}, "data": {"a": "x" * (3 << 20)}}
    refusal = api.post(f"/api/v1/namespaces/{namespace}/configmaps", body)
    refusal.refused(413, "RequestEntityTooLarge")
