"""Other shapes of an answer that clients negotiate: `Table` and `PartialObjectMetadata`.

Source: Kubernetes documentation, "API concepts" (Receiving resources as Tables, metadata-only fetches).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from typing import Any, Literal

import jsonpath

from conformance.sandbox.apiserver.errors import KubeObject
from conformance.sandbox.apiserver.printers import PRINTERS, Cell, age
from conformance.sandbox.apiserver.resources import Column, Resource

Shape = Literal["object", "table", "metadata", "unacceptable"]

_NAME_COLUMN = {
    "name": "Name",
    "type": "string",
    "format": "name",
    "description": "Name must be unique within a namespace.",
    "priority": 0,
}


def negotiate(accept: str) -> Shape:
    """The shape that an Accept header asks for; the first clause that can be served counts."""
    if not accept:
        return "object"
    for clause in accept.split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        if media not in ("application/json", "application/*", "*/*"):
            continue
        wanted = next((value[3:] for value in parameters if value.startswith("as=")), "")
        if wanted == "Table":
            return "table"
        if wanted.startswith("PartialObjectMetadata"):
            return "metadata"
        if not wanted:
            return "object"
    return "unacceptable"


def partial(obj: KubeObject) -> KubeObject:
    """An object's metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def table(
    resource: Resource,
    objects: Iterable[KubeObject],
    metadata: dict[str, Any],
    include: str = "Metadata",
    *,
    columns: bool = True,
) -> KubeObject:
    """A `Table` of objects. `include` is the includeObject parameter: None, Metadata or Object."""
    result: KubeObject = {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [_NAME_COLUMN, *map(_definition, resource.columns)] if columns else None,
        "rows": [_row(resource, obj, include) for obj in objects],
    }
    return result


def _definition(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _row(resource: Resource, obj: KubeObject, include: str) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": [obj["metadata"]["name"], *(_cell(resource, c, obj) for c in resource.columns)]}
    if include == "Object":
        row["object"] = resource.present(obj)
    elif include != "None":
        row["object"] = partial(obj)
    return row


def _cell(resource: Resource, column: Column, obj: KubeObject) -> Cell:
    if not column.path:
        try:
            return PRINTERS[resource.key, column.name](obj)
        except (TypeError, AttributeError, KeyError, ValueError):
            return "<invalid>"  # a status may hold anything; one odd object must not hide the others
    value = next(iter(compiled_path(column.path).findall(obj)), None)
    if column.type == "date" and isinstance(value, str):
        return age(value)
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return value if isinstance(value, (str, int, float, bool)) else None


@functools.lru_cache(maxsize=512)
def compiled_path(path: str) -> jsonpath.CompoundJSONPath | jsonpath.JSONPath:
    """A printer column's JSONPath; raises jsonpath.JSONPathError when it is none."""
    return jsonpath.compile("$" + path)
