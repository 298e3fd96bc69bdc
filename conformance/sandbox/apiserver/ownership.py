"""Field ownership: which paths an object has, who manages them, and `metadata.managedFields`.

A path is a tuple of FieldsV1 elements: `f:<field>`, `k:<json of the keys>` for an item of an associative list and
`v:<json>` for a member of a set. Source: Kubernetes documentation, "Server-Side Apply", and KEP-555.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from conformance.sandbox.apiserver.errors import KubeObject
from conformance.sandbox.apiserver.metadata import now
from conformance.sandbox.apiserver.schema import RawSchema, child, is_atomic, is_set, items, list_keys

Path = tuple[str, ...]
Fields = dict[Path, Any]

MEMBER = "\x00member"
"""The value of a path that only says that a list item exists."""

_OWNED_METADATA = ("f:labels", "f:annotations", "f:finalizers", "f:ownerReferences")


def flatten(obj: KubeObject, schema: RawSchema) -> Fields:
    """Every ownable path of an object with its value. `schema` is a resource's `fields`."""
    return dict(_walk(obj, schema, ()))


def _walk(value: object, schema: RawSchema, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value and not is_atomic(schema):
        for key, part in value.items():
            deeper = (*path, f"f:{key}")
            if _is_ownable(deeper):
                yield from _walk(part, child(schema, key), deeper)
    elif isinstance(value, list) and is_set(schema):
        for part in value:
            yield (*path, _value_element(part)), part
    elif isinstance(value, list) and (keys := list_keys(schema)) and all(isinstance(part, dict) for part in value):
        for part in value:
            deeper = (*path, key_element(part, keys))
            yield deeper, MEMBER
            yield from _walk(part, items(schema), deeper)
    elif path:
        yield path, value


def _is_ownable(path: Path) -> bool:
    if path[0] in ("f:apiVersion", "f:kind"):
        return False
    return path[0] != "f:metadata" or len(path) == 1 or path[1] in _OWNED_METADATA


def key_element(item: Mapping[str, Any], keys: Iterable[str]) -> str:
    """The element of an associative list's item."""
    return "k:" + json.dumps({key: item[key] for key in sorted(keys) if key in item}, separators=(",", ":"))


def _value_element(value: object) -> str:
    return "v:" + json.dumps(value, separators=(",", ":"))


# ---------------------------------------------------------------------------------------------- managers


@dataclass(frozen=True)
class Manager:
    """One entry of managedFields."""

    name: str
    operation: Literal["Apply", "Update"]
    subresource: str
    api_version: str
    paths: frozenset[Path]
    time: str = ""

    @property
    def identity(self) -> tuple[str, str, str]:
        """What tells two managers apart."""
        return self.name, self.operation, self.subresource

    def without(self, paths: Iterable[Path]) -> Manager:
        """The same manager with fewer paths."""
        return replace(self, paths=self.paths.difference(paths))


def managers_of(obj: KubeObject) -> list[Manager]:
    """The managers of a stored object."""
    return [
        Manager(
            name=entry.get("manager", ""),
            operation=entry.get("operation", "Update"),
            subresource=entry.get("subresource", ""),
            api_version=entry.get("apiVersion", ""),
            paths=frozenset(_decode(entry.get("fieldsV1") or {}, ())),
            time=entry.get("time", ""),
        )
        for entry in obj["metadata"].get("managedFields") or []
    ]


def record(obj: KubeObject, managers: Iterable[Manager]) -> None:
    """Write managers with paths into an object's managedFields, in place."""
    entries = [_entry(manager) for manager in managers if manager.paths]
    if entries:
        obj["metadata"]["managedFields"] = entries
    else:
        obj["metadata"].pop("managedFields", None)


def _entry(manager: Manager) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": manager.time or now(),
        "fieldsType": "FieldsV1",
        "fieldsV1": _encode(manager.paths),
    }
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry


def _encode(paths: Iterable[Path]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path in sorted(paths):
        node = root
        for element in path:
            node = node.setdefault(element, {})
    for path in paths:
        node = root
        for element in path:
            node = node[element]
        if node:
            node["."] = {}
    return root


def _decode(node: Mapping[str, Any], path: Path) -> Iterator[Path]:
    if not node and path:
        yield path
    for element, deeper in node.items():
        if element == ".":
            yield path
        elif isinstance(deeper, Mapping):
            yield from _decode(deeper, (*path, element))


def take_over(managers: list[Manager], writer: Manager, changed: set[Path], gone: set[Path]) -> list[Manager]:
    """Managers after `writer` changed some paths and removed others by an update: changed paths become its own.

    A write that changes nothing leaves them as they are, their order too: it is no new version of the object.
    """
    if not changed:
        return [manager.without(gone) for manager in managers]
    others = [manager.without(changed | gone) for manager in managers if manager.identity != writer.identity]
    own = writer.paths.union(*(manager.paths for manager in managers if manager.identity == writer.identity))
    return [*others, replace(writer, paths=(own | changed) - gone, time=now())]
