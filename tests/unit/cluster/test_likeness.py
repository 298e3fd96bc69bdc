"""Whether an object is what a manifest says: what the server adds counts for nothing, everything else does."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.cluster.likeness import difference

WANTED = {
    "metadata": {"name": "net", "labels": {"app": "x"}},
    "spec": {"config": '{"cniVersion": "1.0.0", "type": "demo"}', "list": [{"name": "a"}, {"name": "b"}], "count": 0},
}


def found(**spec: Any) -> dict[str, Any]:
    """The same object as a server gives it back, with a part of its spec as it should not be."""
    meta = {"name": "net", "labels": {"app": "x", "theirs": "y"}, "uid": "1", "managedFields": []}
    own = {
        "config": '{"type":"demo",  "cniVersion":"1.0.0"}',
        "list": [{"name": "a", "protocol": "TCP"}, {"name": "b", "protocol": "TCP"}],
        "count": 0,
        "defaulted": True,
    }
    return {"metadata": meta, "spec": {**own, **spec}, "status": {"ready": 1}}


def test_what_a_server_adds_counts_for_nothing() -> None:
    assert difference(found(), WANTED) == ""


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ({"config": '{"type":"other","cniVersion":"1.0.0"}'}, "spec.config"),
        ({"config": '{"type":"demo"'}, "spec.config"),
        ({"config": None}, "spec.config"),
        ({"list": [{"name": "a"}, {"name": "c"}]}, "spec.list[1].name"),
        ({"list": [{"name": "b"}, {"name": "a"}]}, "spec.list[0].name"),
        ({"list": [{"name": "a"}]}, "spec.list"),
        ({"list": {"name": "a"}}, "spec.list"),
        ({"count": None}, "spec.count"),
        ({"count": "0"}, "spec.count"),
    ],
)
def test_the_first_difference_is_named(spec: dict[str, Any], place: str) -> None:
    assert difference(found(**spec), WANTED) == place


@pytest.mark.parametrize("nothing", [{}, []])
def test_what_a_server_leaves_out_because_it_is_empty(nothing: Any) -> None:
    assert difference({"spec": {}}, {"spec": {"list": nothing}}) == ""
    assert difference({"spec": {"list": "x"}}, {"spec": {"list": nothing}}) == "spec.list"


def test_the_object_itself_can_be_what_differs() -> None:
    assert difference("one", "other") == "(root)"
    assert difference({}, {"spec": {"a": 1}}) == "spec", "a part that is missing altogether is named as a whole"


@pytest.mark.parametrize("text", ["{not json", "[", "plain"])
def test_a_text_that_only_looks_like_json_is_a_text(text: str) -> None:
    assert difference({"a": text}, {"a": text}) == ""
    assert difference({"a": text + " "}, {"a": text}) == "a"
