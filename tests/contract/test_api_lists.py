"""Listing: selectors, pages, and the shapes that clients negotiate."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Widgets
from tests.contract.harness import Api, Body

pytestmark = pytest.mark.since(kubernetes="1.26")

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"


@pytest.fixture
def labelled(api: Api, widgets: Widgets, name: str) -> str:
    """Three widgets: `app` is x, x and y; `tier` is 1 and 2 on the first two. Returns their common prefix."""
    for suffix, labels in (("a", {"app": "x", "tier": "1"}), ("b", {"app": "x", "tier": "2"}), ("c", {"app": "y"})):
        api.post(widgets.path, widgets.body(f"{name}-{suffix}", labels={**labels, "set": name})).expect(201)
    return name


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("app=x", "ab"),
        ("app==y", "c"),
        ("app!=x", "c"),
        ("app in (x,y),!tier", "c"),
        ("tier notin (1),app", "bc"),
        ("tier", "ab"),
        ("app in (x), tier in (2)", "b"),
    ],
)
def test_label_selector(api: Api, widgets: Widgets, labelled: str, selector: str, found: str) -> None:
    listed = api.get(widgets.path, [("labelSelector", f"{selector},set={labelled}")]).expect(200)
    assert [item["metadata"]["name"] for item in listed["items"]] == [f"{labelled}-{suffix}" for suffix in found]


@pytest.mark.parametrize("selector", ["app in", "a b", "=x", "app in (x", "a=b=c", ",,"])
def test_garbage_label_selector_is_a_bad_request(api: Api, widgets: Widgets, selector: str) -> None:
    api.get(widgets.path, [("labelSelector", selector)]).refused(400, "BadRequest")


def test_field_selector_by_name(api: Api, widgets: Widgets, labelled: str) -> None:
    listed = api.get(widgets.path, [("fieldSelector", f"metadata.name={labelled}-b")]).expect(200)
    assert [item["metadata"]["name"] for item in listed["items"]] == [f"{labelled}-b"]


def test_unknown_field_selector_is_a_bad_request(api: Api, widgets: Widgets) -> None:
    refusal = api.get(widgets.path, [("fieldSelector", "spec.size=1")]).refused(400, "BadRequest")
    assert "field label not supported: spec.size" in refusal["message"]


def test_list_has_kind_version_and_order(api: Api, widgets: Widgets, labelled: str) -> None:
    listed = api.get(widgets.path).expect(200)
    assert (listed["kind"], listed["apiVersion"]) == ("WidgetList", widgets.api_version)
    assert int(listed["metadata"]["resourceVersion"]) > 0
    names = [item["metadata"]["name"] for item in listed["items"]]
    assert names == sorted(names)
    assert f"{labelled}-a" in names


def test_list_across_namespaces_contains_them(api: Api, widgets: Widgets, labelled: str) -> None:
    listed = api.get(f"/apis/{widgets.api_version}/widgets", [("labelSelector", f"set={labelled}")]).expect(200)
    assert len(listed["items"]) == 3


def test_pages_are_complete_and_disjoint(api: Api, widgets: Widgets, labelled: str) -> None:
    query = [("labelSelector", f"set={labelled}"), ("limit", "2")]
    first = api.get(widgets.path, query).expect(200)
    assert first["metadata"]["remainingItemCount"] == 1
    second = api.get(widgets.path, [*query, ("continue", first["metadata"]["continue"])]).expect(200)
    names = [item["metadata"]["name"] for item in (*first["items"], *second["items"])]
    assert names == [f"{labelled}-{suffix}" for suffix in "abc"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert "continue" not in second["metadata"]


@pytest.mark.parametrize("query", [("continue", "zzz"), ("limit", "many"), ("limit", "-1")])
def test_garbage_page_is_a_bad_request(api: Api, widgets: Widgets, query: tuple[str, str]) -> None:
    api.get(widgets.path, [query, ("limit", "1")]).refused(400, "BadRequest")


def test_table_has_the_printer_columns(api: Api, widgets: Widgets, widget: Body) -> None:
    path = f"{widgets.path}/{widget['metadata']['name']}"
    api.patch(f"{path}/status", {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}).expect(200)
    found = api.get(path, accept=TABLE).expect(200)
    assert found["kind"] == "Table"
    assert [column["name"] for column in found["columnDefinitions"]] == ["Name", "Size", "Ready", "Age"]
    name, size, ready, age = found["rows"][0]["cells"]
    assert (name, size, ready) == (widget["metadata"]["name"], 1, "True")
    assert age.endswith("s")
    assert found["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


def test_table_of_a_list_and_whole_objects(api: Api, widgets: Widgets, labelled: str) -> None:
    query = [("labelSelector", f"set={labelled}"), ("includeObject", "Object")]
    found = api.get(widgets.path, query, accept=TABLE).expect(200)
    assert [row["object"]["kind"] for row in found["rows"]] == ["Widget"] * 3


def test_metadata_only(api: Api, widgets: Widgets, labelled: str) -> None:
    one = api.get(f"{widgets.path}/{labelled}-a", accept=METADATA).expect(200)
    assert (one["kind"], "spec" in one) == ("PartialObjectMetadata", False)
    many = api.get(widgets.path, [("labelSelector", f"set={labelled}")], accept=METADATA_LIST).expect(200)
    assert (many["kind"], len(many["items"])) == ("PartialObjectMetadataList", 3)


def test_unacceptable_media_type_is_refused(api: Api, widgets: Widgets) -> None:
    assert api.get(widgets.path, accept="image/png").status == 406
