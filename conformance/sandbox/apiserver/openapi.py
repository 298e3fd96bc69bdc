"""OpenAPI v3: what `kubectl explain`, `diff` and client-side validation read.

Source: Kubernetes documentation, "The Kubernetes API" (OpenAPI V3).
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from conformance.sandbox.apiserver.errors import KubeObject, route_not_found
from conformance.sandbox.apiserver.resources import Registry, Resource

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_TEXT = {"type": "string"}
_ENVELOPE = {
    "apiVersion": {**_TEXT, "description": "Group and version of the schema of this object."},
    "kind": {**_TEXT, "description": "The type of this object."},
    "metadata": {
        "allOf": [{"$ref": f"#/components/schemas/{_META}"}],
        "description": "Name, namespace, labels and the like.",
    },
}
_TEXT_MAP = {"type": "object", "additionalProperties": _TEXT}
_META_SCHEMA = {
    "type": "object",
    "description": "ObjectMeta is metadata that all persisted resources must have.",
    "properties": {
        "annotations": {**_TEXT_MAP, "description": "Unstructured values for tools."},
        "creationTimestamp": {**_TEXT, "format": "date-time", "description": "When the server created the object."},
        "deletionGracePeriodSeconds": {"type": "integer", "format": "int64"},
        "deletionTimestamp": {**_TEXT, "format": "date-time", "description": "When the object will be deleted."},
        "finalizers": {"type": "array", "items": _TEXT, "description": "Who has to act before the object goes."},
        "generateName": {**_TEXT, "description": "Prefix of a name that the server completes."},
        "generation": {"type": "integer", "format": "int64", "description": "Grows with the desired state."},
        "labels": {**_TEXT_MAP, "description": "Keys and values to select by."},
        "managedFields": {"type": "array", "items": {"type": "object"}},
        "name": {**_TEXT, "description": "Unique within a namespace."},
        "namespace": {**_TEXT, "description": "The space within which the name is unique."},
        "ownerReferences": {"type": "array", "items": {"type": "object"}, "description": "Objects this depends on."},
        "resourceVersion": {**_TEXT, "description": "Changes with every write."},
        "uid": {**_TEXT, "description": "Unique in time and space."},
    },
}
_ACTIONS = {"get": "get", "put": "put", "patch": "patch", "delete": "delete"}


class OpenApi:
    """Renders the documents and keeps them until the registry changes."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._generation = -1
        self._documents: dict[str, bytes] = {}

    def index(self) -> bytes:
        """`/openapi/v3`: the paths of the documents, with a hash for caches."""
        return orjson.dumps(
            {
                "paths": {
                    path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={hashlib.sha256(data).hexdigest().upper()}"}
                    for path, data in self._current().items()
                }
            }
        )

    def document(self, path: str) -> bytes:
        """`/openapi/v3/<path>`; StatusError 404."""
        found = self._current().get(path)
        if found is None:
            raise route_not_found()
        return found

    def _current(self) -> dict[str, bytes]:
        if self._generation != self._registry.generation:
            self._generation = self._registry.generation
            self._documents = {
                f"apis/{group}/{version}" if group else f"api/{version}": orjson.dumps(_document(resources))
                for group, versions in self._registry.groups().items()
                for version, resources in versions.items()
            }
        return self._documents


def _document(resources: list[Resource]) -> KubeObject:
    schemas: dict[str, Any] = {_META: _META_SCHEMA}
    paths: dict[str, Any] = {}
    for resource in resources:
        name = ".".join([*reversed((resource.group or "core").split(".")), resource.version, resource.kind])
        schemas[name] = _schema(resource)
        paths.update(_paths(resource, {"$ref": f"#/components/schemas/{name}"}))
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "sandbox"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _schema(resource: Resource) -> dict[str, Any]:
    raw = resource.schema.raw
    return {
        **raw,
        "properties": {**(raw.get("properties") or {}), **_ENVELOPE},
        "x-kubernetes-group-version-kind": [_gvk(resource)],
    }


def _paths(resource: Resource, reference: dict[str, str]) -> dict[str, Any]:
    prefix = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    scope = "/namespaces/{namespace}" if resource.namespaced else ""
    collection = f"{prefix}{scope}/{resource.plural}"
    return {
        collection: {
            "get": _operation(resource, "list", reference),
            "post": _operation(resource, "post", reference),
        },
        f"{collection}/{{name}}": {
            method: _operation(resource, action, reference) for method, action in _ACTIONS.items()
        },
    }


def _operation(resource: Resource, action: str, reference: dict[str, str]) -> dict[str, Any]:
    names = ("dryRun", "fieldManager", "fieldValidation", "force")
    return {
        "operationId": f"{action}{resource.group.title().replace('.', '')}{resource.version.title()}{resource.kind}",
        "parameters": [{"name": name, "in": "query", "schema": _TEXT} for name in names],
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(resource),
    }


def _gvk(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}
