"""Label and field selectors.

Source: Kubernetes documentation, "Labels and Selectors" and "Field Selectors".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from conformance.sandbox.apiserver.errors import KubeObject, bad_request
from conformance.sandbox.apiserver.resources import Resource

Predicate = Callable[[KubeObject], bool]

_REQUIREMENT = re.compile(r"(?:[^,()]|\([^()]*\))+")
_SET = re.compile(r"(\S+)\s+(in|notin)\s*\(([^)]*)\)")
_EQUALITY = re.compile(r"([^=!\s]+)\s*(!=|==|=)\s*([^=!,\s]*)")
_PRESENCE = re.compile(r"(!?)\s*([^=!\s(),]+)")
_ALWAYS_SELECTABLE = frozenset({"metadata.name", "metadata.namespace"})


def label_selector(text: str) -> Predicate:
    """A predicate from `a=b,c!=d,e in (f,g),h notin (i),j,!k`. Raises StatusError 400."""
    requirements = [_label_requirement(part.strip()) for part in _parts(text)]
    return lambda obj: all(requirement(obj["metadata"].get("labels") or {}) for requirement in requirements)


def _parts(text: str) -> list[str]:
    parts = _REQUIREMENT.findall(text)
    if ",".join(parts) != text:
        raise bad_request(f'unable to parse requirement: found unexpected text in "{text}"')
    return parts


def _label_requirement(part: str) -> Callable[[dict[str, str]], bool]:
    if found := _SET.fullmatch(part):
        key, operator, listed = found.groups()
        values = {value.strip() for value in listed.split(",")}
        return (lambda labels: labels.get(key) in values) if operator == "in" else _not_in(key, values)
    if found := _EQUALITY.fullmatch(part):
        key, operator, value = found.groups()
        return _not_in(key, {value}) if operator == "!=" else lambda labels: labels.get(key) == value
    if found := _PRESENCE.fullmatch(part):
        absent, key = found.groups()
        return (lambda labels: key not in labels) if absent else (lambda labels: key in labels)
    raise bad_request(f"unable to parse requirement: <nil>: Invalid value: {part!r}")


def _not_in(key: str, values: set[str]) -> Callable[[dict[str, str]], bool]:
    return lambda labels: labels.get(key) not in values


def field_selector(text: str, resource: Resource) -> Predicate:
    """A predicate from `a.b=c,d.e!=f` over the fields that the resource lets clients select by.

    Raises StatusError 400 for others.
    """
    requirements: list[tuple[str, bool, str]] = []
    for part in filter(None, text.split(",")):
        found = _EQUALITY.fullmatch(part.strip())
        if not found:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        path, operator, value = found.groups()
        if path not in _ALWAYS_SELECTABLE and path not in resource.selectable:
            raise bad_request(f"field label not supported: {path}")
        requirements.append((path, operator != "!=", value))
    return lambda obj: all((field_value(obj, path) == value) is wanted for path, wanted, value in requirements)


def field_value(obj: KubeObject, path: str) -> str:
    """The value at a dotted path as text; empty when absent. `source` of an event is its component."""
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict):
        value = value.get("component")
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def selection(resource: Resource, namespace: str | None, labels: str, fields: str, name: str = "") -> Predicate:
    """The predicate of a list or watch request. `name` restricts it to one object."""
    by_label = label_selector(labels) if labels else None
    by_field = field_selector(fields, resource) if fields else None

    def selects(obj: KubeObject) -> bool:
        metadata = obj["metadata"]
        if namespace is not None and metadata.get("namespace", "") != namespace:
            return False
        if name and metadata["name"] != name:
            return False
        return (by_label is None or by_label(obj)) and (by_field is None or by_field(obj))

    return selects
