"""The three patch formats that are computed from the stored object alone (apply is in `apply.py`)."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import jsonpointer

from conformance.sandbox.apiserver.errors import KubeObject, StatusError, bad_request
from conformance.sandbox.apiserver.schema import RawSchema, child, items, list_keys

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_MAX_OPERATIONS = 10_000


def json_patch(target: KubeObject, operations: object) -> KubeObject:
    """RFC 6902. Raises StatusError 422 when an operation (a failed `test` too) does not apply, 400 when it is none."""
    if not isinstance(operations, list):
        raise bad_request("json: cannot unmarshal a JSON patch that is not a list of operations")
    if len(operations) > _MAX_OPERATIONS:
        raise StatusError(
            413, "RequestEntityTooLarge", f"The allowed maximum operations in a JSON patch is {_MAX_OPERATIONS}"
        )
    try:
        patched = jsonpatch.apply_patch(target, operations)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        message = f"the server rejected our request due to an error in our request: {error}"
        raise StatusError(422, "Invalid", message) from error
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise bad_request(f"the JSON patch cannot be applied: {type(error).__name__}: {error}") from error
    return _as_object(patched)


def merge_patch(target: KubeObject, patch: object) -> KubeObject:
    """RFC 7396."""
    return _as_object(_merge(target, patch))


def strategic_merge_patch(target: KubeObject, patch: object, schema: RawSchema) -> KubeObject:
    """Kubernetes' strategic merge: lists with keys are merged by their first key, `$patch` directives are obeyed.

    Source: Kubernetes API conventions, "Strategic Merge Patch".
    """
    return _as_object(_strategic(copy.deepcopy(target), patch, schema))


def _as_object(value: object) -> KubeObject:
    if not isinstance(value, dict):
        raise bad_request("the patched document is not an object")
    return value


def _merge(target: object, patch: object) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged


def _strategic(target: object, patch: object, schema: RawSchema) -> Any:
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    merged: dict[str, Any] = target if isinstance(target, dict) else {}
    retained = patch.get("$retainKeys")
    if isinstance(retained, list):
        merged = {key: value for key, value in merged.items() if key in retained}
    for key, value in patch.items():
        if key.startswith("$"):
            _list_directive(merged, key, value)
        elif value is None:
            merged.pop(key, None)
        elif isinstance(value, list) and isinstance(merged.get(key), list):
            merged[key] = _strategic_list(merged[key], value, child(schema, key))
        else:
            merged[key] = _strategic(merged.get(key), value, child(schema, key))
    return merged


def _list_directive(merged: dict[str, Any], key: str, value: object) -> None:
    """`$deleteFromPrimitiveList/<field>`; orders (`$setElementOrder/...`) are hints and left out."""
    directive, _, name = key.partition("/")
    if directive == "$deleteFromPrimitiveList" and isinstance(value, list) and isinstance(merged.get(name), list):
        merged[name] = [item for item in merged[name] if item not in value]


def _strategic_list(current: list[Any], patch: list[Any], schema: RawSchema) -> list[Any]:
    if schema.get("x-kubernetes-list-type") == "set":
        return list(dict.fromkeys([*current, *patch]))
    keys = list_keys(schema)
    if not keys or not all(isinstance(item, dict) for item in (*current, *patch)):
        return patch
    key = keys[0]
    if any(item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if "$patch" not in item]
    merged = list(current)
    for item in patch:
        at = next((index for index, found in enumerate(merged) if found.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            merged = [found for found in merged if found.get(key) != item.get(key)]
        elif at is None:
            merged.append(_strategic({}, item, items(schema)))
        else:
            merged[at] = _strategic(merged[at], item, items(schema))
    return merged
