"""Structural schemas: pruning, defaulting and validation of objects, with the API's own wording of the causes.

A schema is the `openAPIV3Schema` of a CustomResourceDefinition version; built-in kinds are described the same way.
Source of the rules and texts: Kubernetes documentation, "Extend the API with CustomResourceDefinitions", and recorded
answers of a v1.36 API server.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

import jsonschema_rs

from conformance.sandbox.apiserver.errors import Cause, KubeObject

RawSchema = Mapping[str, Any]
ENVELOPE = ("apiVersion", "kind", "metadata")

_COPIED = (
    *("type", "required", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"),
    *("minProperties", "maxProperties", "multipleOf", "uniqueItems"),
)


class Schema:
    """A compiled structural schema. Raises ValueError when it is none that JSON Schema can express."""

    def __init__(self, raw: RawSchema) -> None:
        self.raw = raw
        self._validator = jsonschema_rs.validator_for(_json_schema(raw))

    def prune(self, obj: KubeObject) -> list[str]:
        """Apply defaults and drop unknown fields, in place; returns the paths of what was dropped."""
        dropped: list[str] = []
        _prune(obj, self.raw, "", dropped)
        return dropped

    def causes(self, obj: KubeObject) -> list[Cause]:
        """Everything that is wrong with an object, in the order the schema finds it; empty when valid."""
        if self._validator.is_valid(obj):
            return []
        return [_cause(error) for error in self._validator.iter_errors(obj)]


def child(schema: RawSchema, key: str) -> RawSchema:
    """The schema of a property or map value; an empty one where nothing is said about it."""
    found = (schema.get("properties") or {}).get(key)
    if found is None:
        found = schema.get("additionalProperties")
    return found if isinstance(found, Mapping) else {}


def items(schema: RawSchema) -> RawSchema:
    """The schema of a list's items."""
    found = schema.get("items")
    return found if isinstance(found, Mapping) else {}


def list_keys(schema: RawSchema) -> tuple[str, ...]:
    """The keys that identify the items of an associative list; empty for atomic lists and sets."""
    if schema.get("x-kubernetes-list-type") != "map":
        return ()
    return tuple(schema.get("x-kubernetes-list-map-keys") or ())


def is_set(schema: RawSchema) -> bool:
    """Whether a list is a set of scalars."""
    return schema.get("x-kubernetes-list-type") == "set"


def is_atomic(schema: RawSchema) -> bool:
    """Whether a map is owned and replaced as a whole."""
    return schema.get("x-kubernetes-map-type") == "atomic"


# ---------------------------------------------------------------------------------------------- translation


def _json_schema(schema: RawSchema) -> dict[str, Any]:
    """The JSON Schema (2020-12) that accepts what a structural schema accepts."""
    result: dict[str, Any] = {key: schema[key] for key in _COPIED if key in schema}
    if isinstance(schema.get("properties"), Mapping):
        result["properties"] = {name: _json_schema(value) for name, value in schema["properties"].items()}
    for key in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(key), Mapping):
            result[key] = _json_schema(schema[key])
    for key in ("allOf", "anyOf", "oneOf"):
        if key in schema:
            result[key] = [_json_schema(value) for value in schema[key]]
    for limit, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if schema.get(exclusive) is True and limit in result:
            result[exclusive] = result.pop(limit)
    if schema.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
    if schema.get("nullable") and isinstance(result.get("type"), str):
        result["type"] = [result["type"], "null"]
    return result


# ---------------------------------------------------------------------------------------------- pruning


def _keeps_unknown(schema: RawSchema) -> bool:
    described = "properties" in schema or "additionalProperties" in schema
    return bool(schema.get("x-kubernetes-preserve-unknown-fields")) or (not described and "type" not in schema)


def _prune(value: Any, schema: RawSchema, path: str, dropped: list[str]) -> None:
    if isinstance(value, dict):
        _prune_map(value, schema, path, dropped)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _prune(item, items(schema), f"{path}[{index}]", dropped)


def _prune_map(value: dict[str, Any], schema: RawSchema, path: str, dropped: list[str]) -> None:
    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    enveloped = path == "" or bool(schema.get("x-kubernetes-embedded-resource"))
    keeps_unknown = _keeps_unknown(schema)
    for key in list(value):
        if enveloped and key in ENVELOPE:
            continue
        where = f"{path}.{key}".lstrip(".")
        if key in properties:
            if value[key] is None and not properties[key].get("nullable"):
                del value[key]  # a null that may not be one counts as absent, so that a default applies
            else:
                _prune(value[key], properties[key], where, dropped)
        elif isinstance(additional, Mapping):
            _prune(value[key], additional, where, dropped)
        elif additional is not True and not keeps_unknown:
            dropped.append(where)
            del value[key]
    for key, property_schema in properties.items():
        if "default" in property_schema and key not in value:
            value[key] = copy.deepcopy(property_schema["default"])
            _prune(value[key], property_schema, f"{path}.{key}".lstrip("."), dropped)


# ---------------------------------------------------------------------------------------------- wording


def field_path(parts: Iterable[str | int]) -> str:
    """`spec.networks[0].name` from its parts."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")


def type_name(value: object) -> str:
    """The OpenAPI name of a JSON value's type."""
    for types, name in _TYPE_NAMES:
        if isinstance(value, types):
            return name
    return "null"


_TYPE_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)

_IN_BODY = {
    "minimum": "should be greater than or equal to {0}",
    "maximum": "should be less than or equal to {0}",
    "exclusiveMinimum": "should be greater than {0}",
    "exclusiveMaximum": "should be less than {0}",
    "multipleOf": "should be a multiple of {0}",
    "pattern": "should match '{0}'",
    "minLength": "should be at least {0} chars long",
    "minItems": "should have at least {0} items",
    "minProperties": "should have at least {0} properties",
    "anyOf": "must validate at least one schema (anyOf)",
    "oneOf": "must validate one and only one schema (oneOf)",
    "not": "must not validate the schema (not)",
}


def _cause(error: jsonschema_rs.ValidationError) -> Cause:
    keyword, limit, found = error.kind.name, error.kind.value, error.instance
    where = field_path(error.instance_path)
    if keyword == "required":
        return Cause("FieldValueRequired", "Required value", f"{where}.{limit}".lstrip("."))
    if keyword == "type":
        name = type_name(found)
        text = f"{where} in body must be of type {','.join(_flat(limit))}"
        return Cause("FieldValueTypeInvalid", f'Invalid value: "{name}": {text}: "{name}"', where)
    if keyword == "enum":
        supported = ", ".join(json.dumps(value) for value in limit)
        message = f"Unsupported value: {json.dumps(found)}: supported values: {supported}"
        return Cause("FieldValueNotSupported", message, where)
    reason, message = _bound_fault(keyword, limit, found, where) or (
        "FieldValueInvalid",
        f"Invalid value: {json.dumps(found)}: {error.message}",
    )
    return Cause(reason, message, where)


def _bound_fault(keyword: str, limit: object, found: object, where: str) -> tuple[str, str] | None:
    """Reason and message for a value beyond a bound; None for a keyword that is no bound."""
    size = len(found) if isinstance(found, Sized) else 0
    if keyword == "maxLength":
        return "FieldValueTooLong", f"Too long: may not be more than {limit} bytes"
    if keyword in ("maxItems", "maxProperties"):
        return "FieldValueTooMany", f"Too many: {size}: must have at most {limit} items"
    if keyword in _IN_BODY:
        shown = size if keyword == "minItems" else found
        text = f"{where} in body {_IN_BODY[keyword].format(limit)}"
        return "FieldValueInvalid", f"Invalid value: {json.dumps(shown)}: {text}"
    return None


def _flat(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _flat(part)
