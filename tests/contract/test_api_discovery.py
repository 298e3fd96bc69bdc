"""How clients find out what the API serves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes.dynamic import DynamicClient

from tests.contract.conftest import Widgets
from tests.contract.harness import Api, Sandbox

pytestmark = pytest.mark.since(kubernetes="1.26")

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


def dynamic_client(api: Api, cache: Path) -> Any:
    """The official dynamic client with a discovery cache of its own."""
    make: Callable[..., Any] = DynamicClient
    return make(api.client, cache_file=str(cache / "discovery"))


def test_version_has_a_git_version(api: Api) -> None:
    assert api.get("/version").expect(200)["gitVersion"].startswith("v1.")


def test_ready_check_answers_ok(api: Api) -> None:
    assert api.get("/readyz").expect(200) == b"ok"


def test_group_and_resource_lists_name_a_custom_resource(api: Api, widgets: Widgets) -> None:
    groups = api.get("/apis").expect(200)["groups"]
    assert widgets.group in [group["name"] for group in groups]
    listed = api.get(f"/apis/{widgets.api_version}").expect(200)
    by_name = {entry["name"]: entry for entry in listed["resources"]}
    assert by_name["widgets"]["kind"] == "Widget"
    assert by_name["widgets"]["shortNames"] == ["wg"]
    assert by_name["widgets/status"]["verbs"] == ["get", "patch", "update"]


@pytest.mark.since(kubernetes="1.30")
def test_aggregated_discovery_names_a_custom_resource(api: Api, widgets: Widgets) -> None:
    found = api.get("/apis", accept=AGGREGATED)
    assert found.expect(200)["kind"] == "APIGroupDiscoveryList"
    assert "as=APIGroupDiscoveryList" in found.headers["Content-Type"]
    group = next(item for item in found.body["items"] if item["metadata"]["name"] == widgets.group)
    assert group["versions"][0]["resources"][0]["responseKind"]["kind"] == "Widget"


def test_unknown_groups_and_resources_are_not_found(api: Api, widgets: Widgets) -> None:
    assert api.get("/apis/no.such.group/v1").status == 404
    assert api.get(f"/apis/{widgets.api_version}/namespaces/{widgets.namespace}/gadgets").status == 404
    assert api.get("/nothing/here").status == 404


def test_absent_scale_subresource_is_not_found(api: Api, widgets: Widgets, name: str) -> None:
    api.post(widgets.path, widgets.body(name)).expect(201)
    assert api.get(f"{widgets.path}/{name}/scale").status == 404


def test_openapi_v3_describes_a_custom_resource(api: Api, widgets: Widgets) -> None:
    index = api.get("/openapi/v3").expect(200)
    location = index["paths"][f"apis/{widgets.api_version}"]["serverRelativeURL"]
    schemas = api.get(location).expect(200)["components"]["schemas"]
    kinds = [gvk["kind"] for schema in schemas.values() for gvk in schema.get("x-kubernetes-group-version-kind", [])]
    assert "Widget" in kinds


def test_dynamic_client_works_from_discovery_alone(api: Api, widgets: Widgets, name: str, tmp_path: Path) -> None:
    found = dynamic_client(api, tmp_path).resources.get(api_version=widgets.api_version, kind="Widget")
    created = found.create(body=widgets.body(name), namespace=widgets.namespace)
    assert created.metadata.name == name
    assert found.get(name=name, namespace=widgets.namespace).spec.mode == "a"


@pytest.mark.since(kubevirt="1.1")
def test_stream_group_is_discovered(api: Api, sandbox: Sandbox) -> None:
    listed = api.get("/apis/subresources.kubevirt.io/v1").expect(200)
    assert "virtualmachineinstances/portforward" in [entry["name"] for entry in listed["resources"]]
