"""Properties of the pure parts, over generated input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.sandbox.apiserver import protobuf
from conformance.sandbox.apiserver.apply import apply_configuration
from conformance.sandbox.apiserver.builtin import load_builtin
from conformance.sandbox.apiserver.errors import KubeObject, StatusError
from conformance.sandbox.apiserver.ownership import Manager, flatten, managers_of, record
from conformance.sandbox.apiserver.patch import json_patch, merge_patch
from conformance.sandbox.apiserver.selectors import field_selector, label_selector

POD = next(resource for resource in load_builtin() if resource.kind == "Pod")

_names = st.sampled_from(["a", "b", "c"])
_containers = st.lists(
    st.fixed_dictionaries({"name": _names}, optional={"image": _names, "command": st.lists(_names, max_size=2)}),
    max_size=3,
    unique_by=lambda container: str(container["name"]),
)
_pods = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries({}, optional={"labels": st.dictionaries(_names, _names, max_size=3)}),
        "spec": st.fixed_dictionaries(
            {"containers": _containers},
            optional={"nodeSelector": st.dictionaries(_names, _names, max_size=2), "hostname": _names},
        ),
    }
)
_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def applied(live: KubeObject, configuration: KubeObject, manager: str) -> KubeObject:
    """The object after an apply, with its managers recorded."""
    applier = Manager(manager, "Apply", "", "v1", frozenset())
    merged, managers = apply_configuration(live, configuration, POD.fields, applier, force=True)
    record(merged, managers)
    return merged


@given(_pods)
def test_managed_fields_round_trip(pod: KubeObject) -> None:
    paths = frozenset(flatten(pod, POD.fields))
    record(pod, [Manager("m", "Apply", "", "v1", paths)])
    assert [manager.paths for manager in managers_of(pod)] == ([paths] if paths else [])


@given(_pods, _pods)
def test_apply_makes_what_is_applied_true_and_is_idempotent(live: KubeObject, configuration: KubeObject) -> None:
    once = applied(live, configuration, "m")
    present = flatten(once, POD.fields)
    wanted = {path: value for path, value in flatten(configuration, POD.fields).items() if value != {}}
    assert {path: present.get(path) for path in wanted if path in present} == wanted
    assert applied(once, configuration, "m") == once


@given(_pods, _pods)
def test_withdrawn_configuration_leaves_no_leaf_behind(first: KubeObject, second: KubeObject) -> None:
    """What one manager applied and then no longer applies is gone, unless the second manager owns it."""
    both = applied(applied({"metadata": {}}, first, "one"), second, "two")
    left = flatten(applied(both, {"metadata": {}}, "one"), POD.fields)
    alone = flatten(applied({"metadata": {}}, second, "two"), POD.fields)
    assert {path for path, value in left.items() if value not in ({}, [])} == {
        path for path, value in alone.items() if value not in ({}, [])
    }


@given(st.binary(max_size=64))
def test_protobuf_garbage_is_a_value_error(data: bytes) -> None:
    with pytest.raises((ValueError, protobuf.UnknownKindError)):
        protobuf.decode(protobuf.MAGIC + data)


def code_of(call: Callable[[], object]) -> int:
    """200, or the code of the refusal."""
    try:
        call()
    except StatusError as error:
        return error.code
    return 200


@given(st.text(alphabet="ab=!,() in", max_size=12))
def test_selectors_parse_or_are_refused(text: str) -> None:
    pod = {"metadata": {"name": "a", "labels": {"a": "b"}}}
    assert code_of(lambda: label_selector(text)(pod)) in (200, 400)
    assert code_of(lambda: field_selector(text, POD)(pod)) in (200, 400)


@settings(max_examples=200)
@given(_json, _json)
def test_patches_answer_or_refuse(target: Any, patch: Any) -> None:
    document = target if isinstance(target, dict) else {"a": target}
    assert code_of(lambda: merge_patch(document, patch)) in (200, 400)
    assert code_of(lambda: json_patch(document, patch)) in (200, 400, 422)
